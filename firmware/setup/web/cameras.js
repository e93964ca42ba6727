// All cameras: what needs the owner first, then the live picture, then one card for each.

import { fixable, condition, missingChannels, deviceTitle, host, previewed } from "./logic.js";
import { Camera } from "./camera.js";
import { Action, Field, Form, html, Password, Title } from "../../assets/web/parts.js";
import { refusal } from "../../assets/web/words.js";

/** @import { Ready } from "./store.js" */
/** @import { Camera as One, Device } from "./types.js" */

/** @param {{ app: Ready }} props */
export function Cameras({ app }) {
  const { say, overview, wizard } = app;
  const { cameras, devices } = overview;
  const on = cameras.filter((camera) => camera.on);
  const live = on.filter((camera) => condition(camera) === "live").length;
  const { login, improve } = fixable(cameras);
  const shown = previewed(cameras, app.wanted);
  return html`<${Title}>${say(wizard ? "cameras.check" : "cameras.title")}<//>
    <p role="status" data-test="cameras-count" data-live=${live} data-all=${on.length}>
      ${cameras.length === 0 ? say("cameras.none") : say("cameras.live", { live, all: on.length })}
    </p>
    <${Refused} app=${app} />
    ${login.length > 0 && html`<${OtherLogin} app=${app} cameras=${login} />`}
    ${improve.length > 0 && html`<${Improve} app=${app} cameras=${improve} />`}
    ${missingChannels(devices, app.left).map((device) => html`<${Channels} key=${device.key} app=${app} device=${device} />`)}
    ${shown && html`<section class="preview">
      <h2>${say("cameras.preview", { name: shown.name })}</h2>
      <iframe src=${`/${shown.id}/`} title=${say("cameras.preview", { name: shown.name })} data-test="preview" data-camera=${shown.id} allow="autoplay; fullscreen"></iframe>
    </section>`}
    <ul class="cards" aria-label=${say("cameras.title")}>
      ${cameras.map((camera, index) => html`<${Camera} key=${camera.id} app=${app} camera=${camera} index=${index} shown=${shown?.id === camera.id} />`)}
    </ul>
    <div class=${wizard ? "onward" : ""}><div class="actions">
      ${wizard && html`<button type="button" class="primary" data-test="cameras-go" onClick=${() => app.go("cloud")}>${say("do.next")}</button>`}
      <button type="button" data-test="add-cameras" onClick=${() => app.go("find")}>${say("cameras.add")}</button>
    </div></div>`;
}

/** What could not be added, and why.
 * @param {{ app: Ready }} props */
function Refused({ app }) {
  const { say, outcomes } = app;
  if (outcomes.length === 0) return null;
  const dismiss = () => {
    app.outcomes = [];
    app.changed();
  };
  return html`<section class="card needs" role="alert" data-test="not-added">
    <h2>${say("cameras.refused")}</h2>
    <ul class="plain">${outcomes.map(({ title, error }, index) => html`<li key=${index}><strong>${title}</strong>: ${refusal(say, error)}</li>`)}</ul>
    <button type="button" onClick=${dismiss}>${say("cameras.dismiss")}</button>
  </section>`;
}

/** Cameras with another password: one form for all that share it.
 * @param {{ app: Ready, cameras: One[] }} props */
function OtherLogin({ app, cameras }) {
  const { say } = app;
  const user = app.draft("other-user", "admin");
  const password = app.draft("other-password");
  const ticked = cameras.filter(({ id }) => app.ticks.get(`login ${id}`) ?? true);
  const send = async () => {
    const login = { user: user[0].trim(), password: password[0] };
    await Promise.all(ticked.map(({ id }) => app.change(id, { login })));
    app.drafts.delete("other-password");
    app.changed();
  };
  return html`<section class="card needs" data-test="other-login">
    <h2>${say("login.title")}</h2>
    <p>${say("login.text")}</p>
    <ul class="plain">${cameras.map(({ id, name, address }) => html`<li key=${id}><label class="row tick">
      <input type="checkbox" checked=${app.ticks.get(`login ${id}`) ?? true} data-test=${`other-${id}`}
        onChange=${(/** @type {Event} */ event) => {
          app.ticks.set(`login ${id}`, /** @type {HTMLInputElement} */ (event.target).checked);
          app.changed();
        }} />
      <span class="grow"><strong>${name}</strong> <span class="soft">${host(address)}</span></span>
    </label></li>`)}</ul>
    <${Form} app=${app} send=${send} label=${say("login.go", { count: ticked.length })} test="other-go" disabled=${ticked.length === 0}>
      <${Field} label=${say("access.user")} draft=${user} test="other-user" autocomplete="off" autocapitalize="none" spellcheck="false" />
      <${Password} say=${say} label=${say("access.password")} draft=${password} test="other-password" autocomplete="off" />
    <//>
  </section>`;
}

/** One press for all cameras that can be made ready.
 * @param {{ app: Ready, cameras: One[] }} props */
function Improve({ app, cameras }) {
  const { say } = app;
  const open = cameras.filter(({ id }) => !app.improved.get(id)?.error);
  if (open.length === 0) return null;
  return html`<section class="card needs" data-test="improve">
    <h2>${say("improve.title", { count: open.length })}</h2>
    <p>${open.map(({ name }) => name).join(", ")}</p>
    <p>${say("improve.text")}</p>
    <${Action} app=${app} act=${() => app.improve(open.map(({ id }) => id))} label=${say("improve.all")} busy=${say("improve.busy")} kind="primary" test="improve-all" />
  </section>`;
}

/** A recorder has more pictures than are cameras of the box. Its login is asked for unless it was typed just now.
 * @param {{ app: Ready, device: Device }} props */
function Channels({ app, device }) {
  const { say } = app;
  const user = app.draft("channels-user", "admin");
  const password = app.draft("channels-password");
  const title = deviceTitle(device) ?? device.addresses[0] ?? device.key;
  const count = device.channels.length - device.cameras.length;
  const known = app.loginOf(device);
  const send = () => app.addChannels(device, title, known ?? { user: user[0].trim(), password: password[0] });
  const later = html`<button type="button" onClick=${() => app.leave(device)} data-test=${`channels-later-${device.key}`}>${say("do.later")}</button>`;
  return html`<section class="card needs" data-test=${`channels-${device.key}`}>
    <h2>${say("cameras.more_channels", { name: title, count })}</h2>
    <ul class="plain">${device.channels.map(({ token, name }) => html`<li key=${token}>${name}</li>`)}</ul>
    <${Form} app=${app} send=${send} label=${say("cameras.add_channels")} test=${`channels-go-${device.key}`} note=${later}>
      ${!known && html`<${Field} label=${say("access.user")} draft=${user} test="channels-user" autocomplete="off" autocapitalize="none" spellcheck="false" />
        <${Password} say=${say} label=${say("access.password")} draft=${password} test="channels-password" autocomplete="off" />`}
    <//>
  </section>`;
}
