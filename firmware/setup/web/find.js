// Cameras appear while one looks; the owner ticks them and says once what opens them.

import { addable, choice, deviceTitle, deviceUrl, sortDevices, suggested } from "./logic.js";
import { Action, Field, Form, html, Password, Title } from "../../assets/web/parts.js";
import { obstacleWords } from "./obstacle.js";

/** @import { Ready } from "./store.js" */
/** @import { Device as Found, Obstacle, Pick } from "./types.js" */

/** Whether the box that an event is about is ticked.
 * @param {Event} event */
const checked = (event) => /** @type {HTMLInputElement} */ (event.target).checked;

/** @param {{ app: Ready }} props */
export function Find({ app }) {
  const { say, overview } = app;
  const { done, cameras, others } = sortDevices(overview.devices, app.seen);
  const picks = app.picks;
  const [address, typeAddress] = app.draft("address");
  const addAddress = async () => {
    const value = address.trim();
    if (value === "") return;
    if (!app.addresses.includes(value)) app.addresses = [...app.addresses, value];
    typeAddress("");
  };
  const count = say("find.count", { count: cameras.length });
  return html`<${Title}>${say("find.title")}<//>
    <p class="searching">${say("find.searching")}</p>
    <p role="status" data-test="find-count">${cameras.length > 0 ? count : say("find.none")}</p>
    <ul class="cards" aria-label=${say("find.title")}>
      ${cameras.map((device) => html`<${Device} key=${device.key} app=${app} device=${device} />`)}
      ${app.addresses.map((typed, index) => html`<li key=${`address ${typed}`} class="card">
        <div class="row">
          <strong class="grow">${picks[picks.length - app.addresses.length + index]?.title}</strong>
          <button type="button" aria-label=${say("find.address_drop", { name: picks[picks.length - app.addresses.length + index]?.title })}
            onClick=${() => {
              app.addresses = app.addresses.filter((other) => other !== typed);
              app.changed();
            }}>×</button>
        </div>
      </li>`)}
    </ul>
    ${others.length > 0 && html`<details data-test="others">
      <summary>${say("find.others", { count: others.length })}</summary>
      <p>${say("find.others_text")}</p>
      <ul class="cards">${others.map((device) => html`<${Device} key=${device.key} app=${app} device=${device} />`)}</ul>
    </details>`}
    <details data-test="address-open">
      <summary>${say("find.address")}</summary>
      <${Form} app=${app} send=${addAddress} label=${say("find.address_add")} test="address-add" kind="">
        <${Field} label=${say("find.address_label")} draft=${[address, typeAddress]} hint=${say("find.address_text")} test="address"
          inputmode="url" autocapitalize="none" spellcheck="false" autocomplete="off" placeholder="192.168.1.64" />
      <//>
    </details>
    ${done.length > 0 && html`<p class="soft">${say("find.added", { count: done.length })}</p>`}
    <${Onward} app=${app} picks=${picks} />`;
}

/** @param {{ app: Ready, picks: Pick[] }} props */
function Onward({ app, picks }) {
  const { say } = app;
  return html`<div class="onward">
    <p class="soft">${say(picks.length > 0 ? "find.choose" : "find.nothing")}</p>
    <div class="actions">
      <button type="button" class="primary" data-test="devices-go" aria-disabled=${String(picks.length === 0)}
        onClick=${() => picks.length > 0 && app.go("access")}>${say("find.go", { count: picks.length })}</button>
      ${app.wizard && html`<button type="button" data-test="devices-later" onClick=${() => app.go("cameras")}>${say("do.later")}</button>`}
    </div>
  </div>`;
}

/** One device, ticked or not.
 * @param {{ app: Ready, device: Found }} props */
function Device({ app, device }) {
  const { say } = app;
  const title = deviceTitle(device) ?? say("find.unknown");
  const can = addable(device);
  /** @param {string} name
   * @param {boolean} on */
  const tick = (name, on) => {
    app.ticks.set(name, on);
    app.changed();
  };
  /** @param {string} name */
  const ticked = (name) => can && (app.ticks.get(name) ?? suggested(device));
  const reach = device.obstacles.some(({ fix }) => fix === "reach");
  const test = `device-${device.key}`;
  const about = html`<span class="grow">
    <strong>${title}</strong>
    <span class="soft">${[device.name !== title && device.name, device.addresses[0]].filter(Boolean).join(" · ")}</span>
    ${device.channels.length > 0 && html`<span class="soft">${say("find.recorder", { count: device.channels.length })}</span>`}
  </span>`;
  return html`<li class="card">
    ${can && device.channels.length === 0
      ? html`<label class="row tick">
          <input type="checkbox" checked=${ticked(device.key)} onChange=${(/** @type {Event} */ event) => tick(device.key, checked(event))} data-test=${test} />
          ${about}
        </label>`
      : html`<div class="row" data-test=${test}>${about}</div>`}
    ${can && device.channels.length > 0 && html`<ul class="channels" aria-label=${title}>
      ${device.channels.map((channel) => html`<li key=${channel.token}><label class="row tick">
        <input type="checkbox" checked=${ticked(choice(device, channel))} data-test=${`channel-${device.key}-${channel.token}`}
          onChange=${(/** @type {Event} */ event) => tick(choice(device, channel), checked(event))} />
        <span class="grow">${channel.name}</span>
      </label></li>`)}
    </ul>`}
    <${Obstacles} app=${app} list=${device.obstacles} address=${device.addresses[0]} test=${test} />
    ${reach &&
    (app.reached.has(device.key)
      ? html`<p role="status">${say("find.reaching")}</p>`
      : html`<p class="soft">${say("find.reach_text")}</p>
          <${Action} app=${app} act=${() => app.reach(device.key)} label=${say("find.reach")} test=${`reach-${device.key}`} />`)}
  </li>`;
}

/** What stands in the way, in words, with the way to the device's own page where that helps.
 * @param {{ app: Ready, list: Obstacle[], address?: string | undefined, test: string }} props */
export function Obstacles({ app, list, address, test }) {
  if (list.length === 0) return null;
  // Nobody opens the page of a camera that cannot be reached.
  const open = address && list.some(({ fix }) => fix === "open_device") && !list.some(({ fix }) => fix === "reach");
  return html`<div class="obstacles">
    ${list.map((obstacle) => {
      const { what, more } = obstacleWords(app.say, obstacle, obstacle.until_ms ? app.clockTime(obstacle.until_ms) : null);
      return html`<p key=${obstacle.code} class="obstacle" data-test=${`obstacle-${obstacle.code}`}>${what}${more.map((line) => html`<span class="more">${line}</span>`)}</p>`;
    })}
    ${open && html`<p><a class="button" href=${deviceUrl(address)} target="_blank" rel="noreferrer noopener" data-test=${`open-${test}`}>${app.say("find.open")}</a></p>`}
  </div>`;
}

/** One user name and password for all that is ticked.
 * @param {{ app: Ready }} props */
export function Access({ app }) {
  const { say } = app;
  const picks = app.picks;
  const user = app.draft("camera-user", "admin");
  const password = app.draft("camera-password");
  return html`<${Title}>${say("access.title")}<//>
    <p>${say("access.text")}</p>
    <ul class="tags">${picks.map(({ title, address }, index) => html`<li key=${index}>${title} <span class="soft">${title === address ? "" : address}</span></li>`)}</ul>
    <${Form} app=${app} send=${() => app.add(picks, { user: user[0].trim(), password: password[0] })} label=${say("access.go", { count: picks.length })} test="login-go"
      note=${html`<button type="button" onClick=${() => app.go("find")} data-test="access-back">${say("do.back")}</button>`}>
      <${Field} label=${say("access.user")} draft=${user} test="camera-user" autocomplete="off" autocapitalize="none" spellcheck="false" />
      <${Password} say=${say} label=${say("access.password")} draft=${password} test="camera-password" autocomplete="off" />
    <//>
    <p class="soft">${say("access.several")}</p>
    <${Action} app=${app} act=${() => app.add(picks, null)} label=${say("access.none")} test="login-none" />`;
}
