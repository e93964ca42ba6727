// Oneself: name, language, password, and the way out.

import { useState } from "preact/hooks";

import { Action, Field, Form, html, Password, Title } from "../../firmware/assets/web/parts.js";
import { strength } from "../../firmware/assets/web/password.js";

/** @import { Store } from "./store.js" */

/** @param {{ app: Store }} props */
export function Profile({ app }) {
  const { say, me } = app;
  const person = me?.person;
  const name = app.draft("profile-name", person?.name ?? "");
  const old = app.draft("password-old");
  const fresh = app.draft("password-new");
  const [saved, save] = useState("");
  const rename = async () => {
    save("");
    if (name[0].trim() === "") throw { code: "name_missing" };
    await app.send("PATCH", "me", { name: name[0].trim() }, "me");
    await app.who();
    app.done("profile-name");
    save("name");
  };
  const change = async () => {
    save("");
    if (strength(fresh[0]) === "short") throw { code: "password_too_short" };
    await app.send("PATCH", "me", { password: { old: old[0], new: fresh[0] } }, "password");
    // The other browsers are signed out, and this one's key may be new.
    await app.who();
    app.done("password-old", "password-new");
    save("password");
  };
  /** @param {string} what */
  const note = (what) => html`<span role="status" class="good" data-test=${`saved-${what}`}>${saved === what ? say("do.saved") : ""}</span>`;
  return html`<${Title}>${say("page.profile")}<//>
    <p>${person?.email}</p>
    ${me && me.tenants.length > 0 && html`<ul class="tags">${me.tenants.map(({ id, name, role }) => html`<li key=${id}>${name}: ${say(`role.${role}`)}</li>`)}</ul>`}
    <section class="card"><${Form} app=${app} send=${rename} label=${say("do.save")} test="profile-go" kind="" note=${note("name")}>
      <${Field} label=${say("profile.name")} draft=${name} test="profile-name" autocomplete="name" maxlength="64" />
    <//></section>
    <section class="card">
      <h2>${say("profile.password")}</h2>
      <${Form} app=${app} send=${change} label=${say("profile.password")} test="password-go" kind="" note=${note("password")}>
        <${Password} say=${say} label=${say("profile.old")} draft=${old} test="password-old" autocomplete="current-password" />
        <${Password} say=${say} label=${say("password.label")} draft=${fresh} test="password-new" meter autocomplete="new-password" />
      <//>
    </section>
    <${Action} app=${app} act=${() => app.signOut()} label=${say("do.signout")} test="signout" />`;
}

/** Somebody who is nobody anywhere.
 * @param {{ app: Store }} props */
export const Nothing = ({ app }) => html`<${Title}>${app.say("nothing.title")}<//><p data-test="nothing">${app.say("nothing.text")}</p>`;
