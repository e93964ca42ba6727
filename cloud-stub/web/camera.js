// One camera: its picture, its link, how it is, and what may be changed.

import { Action, Copy, Field, Form, html, Qr, Sure, Title } from "../../firmware/assets/web/parts.js";
import { Access } from "./access.js";
import { LATER, Live, Once, Select, SOON, State, useHeard, Waiting } from "./pieces.js";
import { Events, Figures, Latency } from "./status.js";

/** @import { Camera as One, Made, Site } from "./types.js" */
/** @import { Store } from "./store.js" */

/** @param {{ app: Store }} props */
export function Camera({ app }) {
  const { say } = app;
  const id = app.route.rest[0] ?? "";
  /** @type {import("./store.js").Heard<One>} */
  const heard = useHeard(app, `cameras/${encodeURIComponent(id)}`, SOON);
  const camera = heard.value;
  if (!camera) return html`<${Title}>${say("camera.title")}<//><${Waiting} app=${app} of=${heard} />`;
  return html`<${Title}>${camera.title}<//>
    <${State} app=${app} camera=${camera} test="camera-state" />
    ${camera.on && camera.sentence && app.language === "en" && html`<p class="obstacle">${camera.sentence}</p>`}
    ${camera.on && html`<div class="preview"><${Live} id=${camera.id} title=${say("wall.picture", { name: camera.title })} test="live" /></div>`}
    <${Link} app=${app} camera=${camera} />
    <${Figures} app=${app} id=${camera.id} />
    <${Latency} app=${app} id=${camera.id} />
    <${Events} app=${app} id=${camera.id} />
    ${app.may("owner") && html`<${Access} app=${app} camera=${camera} />`}
    <${Change} app=${app} camera=${camera} />`;
}

/** @param {{ app: Store, camera: One }} props */
function Link({ app, camera: { id, title, url, access } }) {
  const { say } = app;
  return html`<section class="card link">
    <h2>${say("link.title")}</h2>
    <div class="row top">
      <${Qr} text=${url} label=${say("link.qr", { name: title })} />
      <div class="grow">
        <p><a href=${url} target="_blank" rel="noreferrer noopener" data-test="link">${url}</a></p>
        <p class="soft">${say(access === "public" ? "link.public" : "link.private")}</p>
        <div class="actions">
          <${Copy} say=${say} text=${url} name=${say("link.copy_of", { name: title })} test="copy" />
          <a class="button" href=${`#/sheet/camera/${id}`} data-test="sheet">${say("link.sheet")}</a>
        </div>
      </div>
    </div>
  </section>`;
}

/** Name, site, the link's switch, and for cameras without a box the key and the end.
 * @param {{ app: Store, camera: One }} props */
function Change({ app, camera }) {
  const { say, tenant } = app;
  const path = `cameras/${camera.id}`;
  /** @type {import("./store.js").Heard<Site[]>} */
  const sites = useHeard(app, `tenants/${tenant?.id}/sites`, LATER);
  const title = app.draft(`title-${camera.id}`, camera.title);
  const site = app.draft(`site-${camera.id}`, camera.site);
  const fresh = app.held.get(`key-${camera.id}`);
  const save = async () => {
    if (title[0].trim() === "") throw { code: "name_missing" };
    // A camera behind a box stands where its box does.
    const what = camera.kind === "box" ? { title: title[0].trim() } : { title: title[0].trim(), site: site[0] };
    await app.send("PATCH", path, what, "camera");
    await app.load(path);
    app.done(`title-${camera.id}`, `site-${camera.id}`);
  };
  const turn = async () => {
    await app.send("PATCH", path, { on: !camera.on }, "camera");
    await app.load(path);
  };
  const key = async () => {
    /** @type {Made} */
    const made = await app.send("POST", `${path}/key`, {}, "camera");
    app.hold(`key-${camera.id}`, made.push);
  };
  const remove = async () => {
    await app.send("DELETE", path, undefined, "camera");
    app.go("cameras");
  };
  /** @type {[string, string][]} */
  const options = [["", say("sites.without")], .../** @type {[string, string][]} */ ((sites.value ?? []).map(({ id, name }) => [id, name]))];
  return html`<section class="card">
    <h2>${say("camera.change")}</h2>
    <${Form} app=${app} send=${save} label=${say("do.save")} test="camera-save" kind="">
      <${Field} label=${say("camera.name")} draft=${title} test="camera-name" maxlength="64" autocomplete="off" />
      ${camera.kind !== "box" && html`<${Select} label=${say("camera.site")} draft=${site} options=${options} test="camera-site" />`}
    <//>
    ${camera.on
      ? html`<${Sure} app=${app} act=${turn} label=${say("camera.off")} question=${say("camera.off_sure")} test="camera-off" />`
      : html`<p>${say("camera.is_off")}</p><${Action} app=${app} act=${turn} label=${say("camera.on")} kind="primary" test="camera-on" />`}
    ${camera.kind === "push" && html`<h3>${say("push.key")}</h3>
      ${fresh
        ? html`<${Push} app=${app} push=${fresh} done=${() => app.hold(`key-${camera.id}`, null)} />`
        : html`<${Sure} app=${app} act=${key} label=${say("push.new_key")} question=${say("push.new_key_sure")} test="new-key" />`}`}
    ${camera.kind !== "box" && html`<h3>${say("camera.end")}</h3>
      <${Sure} app=${app} act=${remove} label=${say("camera.remove")} question=${say("camera.remove_sure", { name: camera.title })} test="camera-remove" />`}
  </section>`;
}

/** Where to push, shown once.
 * @param {{ app: Store, push: NonNullable<Made["push"]>, done: () => void }} props */
export function Push({ app, push, done }) {
  const { say } = app;
  return html`<${Once} app=${app} test="push" done=${done}>
    <dl>
      <dt>${say("push.url")}</dt><dd>${push.url
        ? html`<code data-test="push-url">${push.url}</code> <${Copy} say=${say} text=${push.url} name=${say("push.copy_url")} test="push-copy-url" />`
        : say("push.none")}</dd>
      <dt>${say("push.key")}</dt><dd><code data-test="push-key">${push.key}</code> <${Copy} say=${say} text=${push.key} name=${say("push.copy_key")} test="push-copy-key" /></dd>
    </dl>
    <p class="soft">${say("push.how")}</p>
  <//>`;
}
