// Who is told when a camera is away, and after how long.

import { useState } from "preact/hooks";

import { Field, Form, html, Title } from "../../firmware/assets/web/parts.js";
import { isAddress, isEmail, listed } from "./logic.js";
import { Lines, Once, useHeard, Waiting } from "./pieces.js";

/** @import { Alerts as Told } from "./types.js" */
/** @import { Store } from "./store.js" */

/** @param {{ app: Store }} props */
export function Alerts({ app }) {
  const { say, tenant } = app;
  const path = `tenants/${tenant?.id}/alerts`;
  /** @type {import("./store.js").Heard<Told>} */
  const heard = useHeard(app, path, 0);
  const { value } = heard;
  if (!value) return html`<${Title}>${say("page.alerts")}<//><${Waiting} app=${app} of=${heard} />`;
  return html`<${Title}>${say("page.alerts")}<//><p>${say("alerts.text")}</p><${Change} app=${app} told=${value} path=${path} />`;
}

/** @param {{ app: Store, told: Told, path: string }} props */
function Change({ app, told, path }) {
  const { say } = app;
  const emails = app.draft("alert-emails", told.emails.join("\n"));
  const webhooks = app.draft("alert-webhooks", told.webhooks.map(({ url }) => url).join("\n"));
  const after = app.draft("alert-after", String(told.after_s / 60));
  const [done, set] = useState(false);
  const send = async () => {
    set(false);
    const minutes = Number(after[0].replace(",", "."));
    if (!(minutes >= 0.5 && minutes <= 1440)) throw { code: "minutes_wrong" };
    const what = { emails: listed(emails[0]), webhooks: listed(webhooks[0]).map((url) => ({ url })), after_s: Math.round(minutes * 60) };
    if (!what.emails.every(isEmail)) throw { code: "email_wrong" };
    if (!what.webhooks.every(({ url }) => isAddress(url, ["https:", "http:"]))) throw { code: "webhook_wrong" };
    /** @type {Told} */
    const kept = await app.send("PUT", path, what, "alerts");
    const fresh = kept.webhooks.filter(({ secret }) => secret);
    if (fresh.length > 0) app.held.set("webhook-secrets", fresh);
    await app.load(path);
    app.done("alert-emails", "alert-webhooks", "alert-after");
    set(true);
  };
  /** @type {Told["webhooks"] | null} */
  const secrets = app.held.get("webhook-secrets") ?? null;
  return html`${!told.mail && html`<p class="banner">${say("alerts.no_mail")}</p>`}
  ${secrets && html`<${Once} app=${app} test="webhook-secrets" done=${() => app.hold("webhook-secrets", null)}>
    <p>${say("alerts.secret")}</p>
    <dl>${secrets.map(({ url, secret }) => html`<dt key=${url}>${url}</dt><dd key=${`${url} is`}><code>${secret}</code></dd>`)}</dl>
  <//>`}
  <section class="card"><${Form} app=${app} send=${send} label=${say("do.save")} test="alerts-go"
    note=${html`<span role="status" class="good" data-test="saved-alerts">${done ? say("do.saved") : ""}</span>`}>
    <${Lines} label=${say("alerts.emails")} draft=${emails} hint=${say("alerts.emails_hint")} test="alert-emails" />
    <${Lines} label=${say("alerts.webhooks")} draft=${webhooks} hint=${say("alerts.webhooks_hint")} test="alert-webhooks" />
    <${Field} label=${say("alerts.after")} draft=${after} hint=${say("alerts.after_hint")} test="alert-after" inputmode="decimal" autocomplete="off" />
  <//></section>`;
}
