// Who may watch a camera: everybody with the link, or those who were given a share of their own.

import { Action, Copy, Field, Form, html, Qr, Sure } from "../../firmware/assets/web/parts.js";
import { expiry } from "./logic.js";
import { at, Once, Select, SOON, useHeard, Waiting } from "./pieces.js";

/** @import { Camera, NewShare, Share } from "./types.js" */
/** @import { Store } from "./store.js" */

/** @param {{ app: Store, camera: Camera }} props */
export function Access({ app, camera }) {
  const { say } = app;
  const open = camera.access === "public";
  const change = async () => {
    await app.send("PATCH", `cameras/${camera.id}`, { access: open ? "private" : "public" }, "camera");
    await app.load(`cameras/${camera.id}`);
  };
  return html`<section class="card" data-test="access" data-access=${camera.access}>
    <h2>${say("access.title")}</h2>
    <p>${say(open ? "access.public_text" : "access.private_text")}</p>
    ${open
      ? html`<${Action} app=${app} act=${change} label=${say("access.make_private")} test="make-private" />`
      : html`<${Sure} app=${app} act=${change} label=${say("access.make_public")} question=${say("access.make_public_sure")} test="make-public" />`}
    ${!open && html`<${Shares} app=${app} camera=${camera} />`}
  </section>`;
}

/** @param {{ app: Store, camera: Camera }} props */
function Shares({ app, camera }) {
  const { say } = app;
  const path = `cameras/${camera.id}/shares`;
  /** @type {import("./store.js").Heard<Share[]>} */
  const shares = useHeard(app, path, SOON);
  const label = app.draft(`share-${camera.id}`);
  const kind = app.draft(`share-kind-${camera.id}`, "link");
  const time = app.draft(`share-time-${camera.id}`, "week");
  /** @type {NewShare | null} */
  const made = app.held.get(`share-${camera.id}`) ?? null;
  const send = async () => {
    const share = { kind: kind[0], label: label[0].trim(), expires_ms: expiry(time[0], Date.now()) };
    app.held.set(`share-${camera.id}`, await app.send("POST", path, share, "share"));
    app.done(`share-${camera.id}`);
    await app.load(path);
  };
  /** @param {string} id */
  const back = async (id) => {
    await app.send("DELETE", `${path}/${id}`, undefined, "share");
    if (made?.id === id) app.held.delete(`share-${camera.id}`);
    await app.load(path);
  };
  return html`<h3>${say("share.title")}</h3>
    ${made && html`<${New} app=${app} share=${made} id=${camera.id} />`}
    ${!shares.value && html`<${Waiting} app=${app} of=${shares} />`}
    <ul class="plain" data-test="shares">${(shares.value ?? []).map((share) => html`<li key=${share.id} class="card" data-test=${`share-${share.id}`}>
      <strong>${share.label || say(`share.${share.kind}`)}</strong>
      <p class="soft">${say(`share.${share.kind}`)} · ${say("share.made")} ${at(app, share.made_ms)} ${share.made_by} · ${share.expires_ms === null
        ? say("share.no_end")
        : html`${say("share.ends")} ${at(app, share.expires_ms)}`}</p>
      <${Sure} app=${app} act=${() => back(share.id)} label=${say("share.back")} question=${say("share.back_sure")} test=${`back-${share.id}`} />
    </li>`)}</ul>
    ${shares.value?.length === 0 && html`<p class="soft">${say("share.none")}</p>`}
    <${Form} app=${app} send=${send} label=${say("share.make")} test="share-go" kind="">
      <${Field} label=${say("share.label")} draft=${label} hint=${say("share.label_hint")} test="share-label" maxlength="64" autocomplete="off" />
      <${Select} label=${say("share.kind")} draft=${kind} test="share-kind" options=${[["link", say("share.link")], ["embed", say("share.embed")]]} />
      <${Select} label=${say("share.time")} draft=${time} test="share-time"
        options=${["hour", "day", "week", "month", "never"].map((name) => [name, say(`share.for_${name}`)])} />
    <//>`;
}

/** A share just made: its secret is shown now and never again.
 * @param {{ app: Store, share: NewShare, id: string }} props */
function New({ app, share: { kind, url, embed }, id }) {
  const { say } = app;
  const text = kind === "embed" ? embed : url;
  return html`<${Once} app=${app} test="share-new" done=${() => app.hold(`share-${id}`, null)}>
    ${kind === "link" && html`<${Qr} text=${url} label=${say("share.qr")} />`}
    <p><code data-test="share-url" data-url=${url}>${text}</code></p>
    <${Copy} say=${say} text=${text} name=${say("share.copy")} test="share-copy" />
  <//>`;
}
