// One camera: its picture, what it is doing, what stands in its way, and what can be changed of it.

import { useEffect, useRef, useState } from "preact/hooks";

import { get } from "./api.js";
import { megabits } from "../../assets/web/figures.js";
import { condition, current, deviceTitle, format, host, improvements, moved, obstacles } from "./logic.js";
import { Obstacles } from "./find.js";
import { Action, Field, Form, html, Password, Refusal as Refused, Sure } from "../../assets/web/parts.js";

/** @import { Refusal } from "../../assets/web/words.js" */
/** @import { Ready } from "./store.js" */
/** @import { Camera as One, Encoder as Made } from "./types.js" */

/** How often a still picture is asked for anew. Milliseconds. */
const STILL = 30_000;

/** @param {{ app: Ready, camera: One, index: number, shown: boolean }} props */
export function Camera({ app, camera, index, shown }) {
  const { say } = app;
  const { id, name, address } = camera;
  const state = condition(camera);
  const fix = obstacles(camera).filter((obstacle) => current(obstacle, app.overview.now_ms));
  const watch = () => {
    app.wanted = id;
    app.changed();
    document.querySelector("[data-test=preview]")?.scrollIntoView({ block: "center" });
  };
  return html`<li class="card camera" data-test=${`camera-${id}`} data-state=${state}>
    <div class="row top">
      ${camera.snapshot && state === "live" && html`<${Still} app=${app} camera=${camera} />`}
      <div class="grow">
        <h2>${name}</h2>
        <p class=${`state ${state}`}>${say(`state.${state}`)}</p>
        <p class="soft">${[deviceTitle({ ...camera, name: null }), host(address)].filter(Boolean).join(" · ")}</p>
        ${state === "live" && html`<p class="soft">${facts(app, camera)}</p>`}
        ${state === "live" && camera.picture === "sub" && html`<p class="soft">${say("state.sub")}</p>`}
      </div>
    </div>
    <${Obstacles} app=${app} list=${fix} address=${address} test=${id} />
    ${fix.some(({ code }) => code === "changed_device") && html`<button type="button" onClick=${() => app.go("find")} data-test=${`replace-${id}`}>${say("cameras.add")}</button>`}
    <${Ready} app=${app} camera=${camera} can=${fix.some((obstacle) => obstacle.fix === "improve")} />
    <div class="actions">
      ${state === "live" && !shown && html`<button type="button" onClick=${watch} data-test=${`watch-${id}`} aria-label=${say("cameras.watch_of", { name })}>${say("cameras.watch")}</button>`}
    </div>
    <details data-test=${`change-${id}`}>
      <summary aria-label=${say("change.of", { name })}>${say("change.title")}</summary>
      ${camera.ours ? html`<${Change} app=${app} camera=${camera} />` : html`<p>${say("cameras.file")}</p>`}
      <${Places} app=${app} camera=${camera} index=${index} />
    </details>
  </li>`;
}

/** @param {Ready} app
 * @param {One} camera */
function facts(app, { state, fps, bit_rate: rate }) {
  const size = state.size ? `${state.size[0]}×${state.size[1]}` : "";
  const parts = [
    format(state.video),
    size,
    fps > 0 && app.say("unit.fps", { number: Math.round(fps) }),
    rate > 0 && app.say("unit.megabits", { number: megabits(rate, app.language) }),
  ];
  return parts.filter(Boolean).join(", ");
}

/** A still picture. One that does not come leaves its place empty.
 * @param {{ app: Ready, camera: One }} props */
function Still({ app, camera }) {
  const [time, set] = useState(0);
  const [there, is] = useState(true);
  useEffect(() => {
    const timer = setInterval(() => document.visibilityState === "visible" && set((before) => before + 1), STILL);
    return () => clearInterval(timer);
  }, []);
  useEffect(() => is(true), [time]);
  if (!there) return html`<span class="still" aria-hidden="true"></span>`;
  return html`<img class="still" src=${`/api/v1/setup/cameras/${camera.id}/snapshot.jpg?${time}`}
    alt=${app.say("cameras.snapshot", { name: camera.name })} onError=${() => is(false)} data-test=${`still-${camera.id}`} />`;
}

/** "Make it browser-ready", and what that changed.
 * @param {{ app: Ready, camera: One, can: boolean }} props */
function Ready({ app, camera, can }) {
  const { say } = app;
  const { id, name } = camera;
  const result = app.improved.get(id);
  if (result?.busy) return html`<p role="status" class="busy">${say("improve.busy")}</p>`;
  return html`${result?.before && html`<${BeforeAfter} app=${app} result=${result} id=${id} />`}
    ${result?.error && html`<${Refused} say=${say} error=${result.error} />`}
    ${can && camera.ours && html`<button type="button" data-test=${`improve-${id}`} onClick=${() => app.improve([id])} aria-label=${say("improve.one_of", { name })}>${say("improve.one")}</button>`}`;
}

/** @param {{ app: Ready, result: { before: Made, after: Made }, id: string }} props */
function BeforeAfter({ app, result, id }) {
  const { say } = app;
  const rows = improvements(result);
  if (rows.length === 0) return html`<p role="status">${say("improve.same")}</p>`;
  /** @param {string} what
   * @param {any} value */
  const text = (what, value) => {
    if (value === null) return "–";
    if (what === "gop") return say("unit.seconds", { number: value });
    return what === "rate" ? say("unit.megabits", { number: megabits(value, app.language) }) : value;
  };
  return html`<table data-test=${`improved-${id}`}>
    <caption>${say("improve.done")}</caption>
    <thead><tr><th scope="col">${say("improve.what")}</th><th scope="col">${say("improve.before")}</th><th scope="col">${say("improve.after")}</th></tr></thead>
    <tbody>${rows.map(([what, before, after]) => html`<tr key=${what}><th scope="row">${say(`improve.${what}`)}</th><td>${text(what, before)}</td><td>${text(what, after)}</td></tr>`)}</tbody>
  </table>`;
}

/** Up and down. The focus stays on the button that was pressed, though its card moves.
 * @param {{ app: Ready, camera: One, index: number }} props */
function Places({ app, camera: { id, name }, index }) {
  const { say } = app;
  const ids = app.overview.cameras.map((camera) => camera.id);
  const ref = useRef(/** @type {HTMLElement | null} */ (null));
  const [said, tell] = useState("");
  /** @param {number} by */
  const move = (by) => async () => {
    const order = moved(ids, id, by);
    if (!order) return;
    await app.order(order);
    tell(say("change.moved", { name, number: index + 1 + by, all: ids.length }));
    /** @type {HTMLElement | null | undefined} */ (ref.current?.querySelector(by < 0 ? "button" : ":scope > div:last-of-type button"))?.focus();
  };
  if (ids.length < 2) return null;
  return html`<div class="actions places" ref=${ref}>
    <${Action} app=${app} act=${move(-1)} label="↑" name=${say("change.up", { name })} test=${`up-${id}`} />
    <${Action} app=${app} act=${move(1)} label="↓" name=${say("change.down", { name })} test=${`down-${id}`} />
    <p role="status" class="aside">${said}</p>
  </div>`;
}

/** @param {{ app: Ready, camera: One }} props */
function Change({ app, camera }) {
  const { say } = app;
  const { id, name } = camera;
  const typed = app.draft(`name ${id}`, name);
  const user = app.draft(`user ${id}`, "admin");
  const password = app.draft(`password ${id}`);
  const rename = async () => {
    await app.change(id, { name: typed[0].trim() });
    app.drafts.delete(`name ${id}`);
    app.changed();
  };
  const login = async () => {
    await app.change(id, { login: { user: user[0].trim(), password: password[0] } });
    app.drafts.delete(`password ${id}`);
    app.changed();
  };
  return html`<${Form} app=${app} send=${rename} label=${say("do.save")} test=${`rename-${id}`} kind="">
      <${Field} label=${say("change.name")} draft=${typed} maxlength="64" test=${`name-${id}`} autocomplete="off" />
    <//>
    <${Switch} app=${app} camera=${camera} />
    <details>
      <summary data-test=${`login-open-${id}`}>${say("change.login")}</summary>
      <${Form} app=${app} send=${login} label=${say("do.save")} test=${`login-${id}`} kind="">
        <${Field} label=${say("access.user")} draft=${user} test=${`user-${id}`} autocomplete="off" autocapitalize="none" spellcheck="false" />
        <${Password} say=${say} label=${say("access.password")} draft=${password} test=${`password-${id}`} autocomplete="off" />
      <//>
    </details>
    <${Encoder} app=${app} camera=${camera} />
    <${Sure} app=${app} act=${() => app.remove(id)} label=${say("change.remove")} question=${say("change.remove_sure")} test=${`remove-${id}`} />`;
}

/** @param {{ app: Ready, camera: One }} props */
function Switch({ app, camera: { id, on } }) {
  const [error, set] = useState(/** @type {Refusal | null} */ (null));
  /** @param {globalThis.Event} event */
  const turn = async (event) => {
    const box = /** @type {HTMLInputElement} */ (event.target);
    const wanted = box.checked;
    try {
      await app.change(id, { on: wanted });
      set(null);
    } catch (thrown) {
      const refused = /** @type {Refusal} */ (thrown);
      box.checked = on;
      app.refused(refused);
      set(refused);
    }
  };
  return html`<label class="row tick">
      <input type="checkbox" role="switch" checked=${on} onChange=${turn} data-test=${`on-${id}`} />
      <span class="grow">${app.say("change.on")}</span>
    </label>
    ${error && html`<${Refused} say=${app.say} error=${error} />`}`;
}

/** How the camera makes its picture, asked only when somebody wants to know.
 * @param {{ app: Ready, camera: One }} props */
function Encoder({ app, camera: { id, name } }) {
  const { say } = app;
  const [encoder, set] = useState(/** @type {Made | null} */ (null));
  /** @param {Made} encoder */
  const text = (encoder) =>
    say("change.facts", {
      encoding: format(encoder.encoding),
      size: `${encoder.width}×${encoder.height}`,
      fps: Math.round(encoder.fps),
      rate: megabits(encoder.bit_rate_kbps * 1000, app.language),
    });
  return html`<details>
    <summary>${say("change.picture")}</summary>
    <p role="status">${encoder ? text(encoder) : ""}</p>
    ${encoder?.improvable
      ? html`<button type="button" onClick=${() => app.improve([id])} aria-label=${say("improve.one_of", { name })} data-test=${`ready-${id}`}>${say("improve.one")}</button>`
      : html`<${Action} app=${app} act=${async () => set(await get(`cameras/${id}/encoder`))} label=${say("change.picture_load")} test=${`encoder-${id}`} />`}
  </details>`;
}
