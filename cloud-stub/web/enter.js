// Before one is signed in: the way in, and the first password.

import { Field, Form, html, Password, Title } from "../../firmware/assets/web/parts.js";
import { strength } from "../../firmware/assets/web/password.js";
import { useHeard, Waiting } from "./pieces.js";

/** @import { Invitation as Invited } from "./types.js" */
/** @import { Store } from "./store.js" */

/** @param {{ app: Store }} props */
export function SignIn({ app }) {
  const { say } = app;
  const email = app.draft("signin-email");
  const password = app.draft("signin-password");
  return html`<${Title}>${say("signin.title")}<//>
    <p>${say("signin.text")}</p>
    <${Form} app=${app} send=${() => app.signIn(email[0].trim(), password[0])} label=${say("signin.go")} test="signin-go">
      <${Field} label=${say("signin.email")} draft=${email} test="signin-email" type="email" autocomplete="username" inputmode="email" autocapitalize="none" spellcheck="false" />
      <${Password} say=${say} label=${say("signin.password")} draft=${password} test="signin-password" autocomplete="current-password" />
    <//>
    <details><summary>${say("signin.lost")}</summary><p>${say("signin.lost_text")}</p></details>
    <p><a href="/find" data-test="find">${say("signin.find")}</a></p>`;
}

/** @param {{ app: Store }} props */
export function Invitation({ app }) {
  const { say } = app;
  const secret = app.route.rest[0] ?? "";
  const path = `invitations/${encodeURIComponent(secret)}`;
  /** @type {import("./store.js").Heard<Invited>} */
  const invited = useHeard(app, path, 0);
  const name = app.draft("new-name");
  const password = app.draft("new-password");
  if (invited.error?.status === 404) {
    return html`<${Title}>${say("invitation.over")}<//>
      <p data-test="invitation-over">${say("invitation.over_text")}</p>
      <p><a href="#">${say("invitation.signin")}</a></p>`;
  }
  const { value } = invited;
  if (!value) return html`<${Title}>${say("invitation.title")}<//><${Waiting} app=${app} of=${invited} />`;
  const send = async () => {
    if (!value.known && name[0].trim() === "") throw { code: "name_missing" };
    if (!value.known && strength(password[0]) === "short") throw { code: "password_too_short" };
    await app.accept(secret, { name: name[0].trim(), password: password[0], language: app.language });
  };
  return html`<${Title}>${say("invitation.title")}<//>
    <p data-test="invitation" data-role=${value.role ?? "operator"}>${say(`invitation.${value.role ?? "operator"}`, { tenant: value.tenant_name ?? "" })}</p>
    <p>${say(value.known ? "invitation.known" : "invitation.email", { email: value.email })}</p>
    <${Form} app=${app} send=${send} label=${say("invitation.go")} test="invitation-go">
      ${value.known
        ? html`<${Password} say=${say} label=${say("signin.password")} draft=${password} test="new-password" autocomplete="current-password" />`
        : html`<${Field} label=${say("profile.name")} draft=${name} test="new-name" autocomplete="name" maxlength="64" />
          <${Password} say=${say} label=${say("password.label")} draft=${password} test="new-password" meter autocomplete="new-password" />`}
    <//>`;
}
