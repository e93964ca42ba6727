// Day two: what changed, and the box's own settings.

import { useEffect, useState } from "preact/hooks";

import { clock, duration, megabits } from "../../assets/web/figures.js";
import { strength } from "../../assets/web/password.js";
import { heldAs, kilobits, readersTime, stickWords, tonight, waitWords } from "./logic.js";
import { Action, Field, Form, html, Password, Sure, Title } from "../../assets/web/parts.js";

/** @import { Ready } from "./store.js" */
/** @import { Event } from "./types.js" */

/** How often the history is asked for anew. Milliseconds. */
const EVERY = 5000;

/** @param {{ app: Ready }} props */
export function History({ app }) {
  const { say, events, overview } = app;
  useEffect(() => {
    const ask = () => app.history().catch((error) => app.refused(error));
    ask();
    const timer = setInterval(() => document.visibilityState === "visible" && ask(), EVERY);
    return () => clearInterval(timer);
  }, []);
  const now = Date.now();
  const names = new Map(overview.cameras.map(({ id, name }) => [id, name]));
  /** @param {Event} event */
  const text = ({ code, camera, sentence }) =>
    say(`event.${code}`, { camera: names.get(camera ?? "") ?? camera ?? say("event.a_camera") }, sentence);
  return html`<${Title}>${say("history.title")}<//>
    ${events?.length === 0 && html`<p>${say("history.none")}</p>`}
    ${!events && html`<p>${say("app.loading")}</p>`}
    <ol class="history" data-test="history">
      ${(events ?? []).map((event, index) => {
        const at = readersTime(event.at_ms, overview.now_ms, now);
        return html`<li key=${`${event.at_ms} ${index}`}><time datetime=${new Date(at).toISOString()}>${clock(at, now, app.language)}</time> <span>${text(event)}</span></li>`;
      })}
    </ol>`;
}

/** @param {{ app: Ready }} props */
export function Box({ app }) {
  const { say, overview } = app;
  return html`<${Title}>${say("box.title")}<//>
    <${Name} app=${app} />
    <${Uplink} app=${app} />
    <section class="card">
      <h2>${say("box.about")}</h2>
      <dl>
        <dt>${say("box.condition")}</dt><dd data-test="condition" data-condition=${overview.condition}>${say(`condition.${overview.condition}`)}</dd>
        <dt>${say("box.running")}</dt><dd>${duration(overview.up_s).map(([unit, number]) => say(`unit.${unit}`, { number })).join(" ")}</dd>
        <dt>${say("box.time")}</dt><dd>${clock(overview.now_ms, Date.now(), app.language)}</dd>
        <dt>${say("box.pages")}</dt><dd>${overview.pages.map((page) => html`<a key=${page} href=${page}>${page}</a> `)}</dd>
        ${overview.secure && html`
          <dt>${say("box.secure")}</dt><dd>${overview.secure.pages.map((page) => html`<a key=${page} href=${page}>${page}</a> `)}</dd>
          <dt>${say("box.fingerprint")}</dt><dd><code>${overview.secure.fingerprint}</code></dd>`}
        ${overview.label && html`<dt>${say("box.label")}</dt><dd>${overview.label}</dd>`}
      </dl>
    </section>
    <${Updates} app=${app} />
    <${NewPassword} app=${app} />
    <${Service} app=${app} />`;
}

/** Which version runs, what is under way, and how the last update ended.
 * @param {{ app: Ready }} props */
function Updates({ app }) {
  const { say, overview, language } = app;
  const { state, running, other, coming, last, look, wait, stick } = overview.update;
  const now = Date.now();
  const version = coming?.version ?? "";
  /** @param {number} ms */
  const when = (ms) => clock(readersTime(ms, overview.now_ms, now), now, language);
  return html`<section class="card">
    <h2>${say("box.updates")}</h2>
    <dl>
      <dt>${say("box.version")}</dt><dd data-test="version">${running?.version ?? overview.version}</dd>
      ${other && html`<dt>${say("box.other")}</dt><dd data-test="other-system">${say(`held.${heldAs(other)}`, { version: other.version ?? "" })}</dd>`}
      ${last && html`<dt>${say("box.last_update")}</dt>
        <dd data-test="update-last" data-end=${last.end}>
          ${when(last.at_ms)} ${say(`ended.${last.end}`, { version: last.version }, last.sentence)}
          ${last.why && ` ${say(`why.${last.why}`, {}, "")}`}
        </dd>`}
    </dl>
    <p data-test="update" data-state=${state} role="status">${state === "single" ? say("box.updates_none") : say(`update.${state}`, { version, percent: coming?.percent ?? 0 })}</p>
    ${state === "installing" && html`<progress max="100" value=${coming?.percent ?? 0} aria-label=${say("box.updates")}></progress>`}
    ${state === "complete" && html`<p data-test="update-wait" data-wait=${wait?.reason ?? "nobody"}>${say(...waitWords(wait, now, (ms) => clock(ms, now, language)))}</p>
      <div class="actions">
        <${Sure} app=${app} act=${() => app.update(0)} label=${say("box.update_now")} question=${say("box.update_sure", { version })} test="update-now" />
        <${Action} app=${app} act=${() => app.update(tonight(new Date(now)))} label=${say("box.update_later")} test="update-later" />
      </div>`}
    ${stick && html`<p data-test="update-stick" data-good=${stick.good}>${say("box.stick")}: ${say(stickWords(stick), { version: stick.version ?? "" })}${stick.good ? "" : ` ${stick.sentence}`}</p>`}
    ${look && !look.good && html`<p class="soft">${look.sentence}</p>`}
  </section>`;
}

/** A form whose success is said.
 * @param {{ app: Ready, send: () => Promise<unknown>, children?: any, [more: string]: unknown }} props */
function Saved({ app, send, children, ...rest }) {
  const [done, set] = useState(false);
  const sent = async () => {
    set(false);
    await send();
    set(true);
  };
  return html`<${Form} app=${app} send=${sent} ...${rest} note=${html`<span role="status" class="good">${done ? app.say("box.saved") : ""}</span>`}>${children}<//>`;
}

/** @param {{ app: Ready }} props */
function Name({ app }) {
  const { say } = app;
  const draft = app.draft("site", app.overview.name ?? "");
  return html`<section class="card"><${Saved} app=${app} send=${() => app.rename(draft[0].trim())} label=${say("do.save")} test="site-go" kind="">
    <${Field} label=${say("box.name")} draft=${draft} hint=${say("box.name_hint")} maxlength="64" test="site" autocomplete="off" />
  <//></section>`;
}

/** @param {{ app: Ready }} props */
function Uplink({ app }) {
  const { say, overview } = app;
  const { uplink_cap_kbps: cap, uplink_bit_rate: rate } = overview;
  const draft = app.draft("uplink", cap === null ? "" : String(cap / 1000));
  const send = async () => {
    const kbps = kilobits(draft[0]);
    if (kbps === undefined) throw { code: "uplink_wrong" };
    await app.cap(kbps);
  };
  return html`<section class="card">
    <h2>${say("box.uplink")}</h2>
    <p data-test="uplink-now">${say("box.uplink_now", { rate: megabits(rate, app.language) })}</p>
    ${cap !== null && html`<meter min="0" max=${cap * 1000} high=${cap * 900} value=${rate} aria-label=${say("box.uplink")}></meter>`}
    <${Saved} app=${app} send=${send} label=${say("do.save")} test="uplink-go" kind="">
      <${Field} label=${say("box.uplink_cap")} draft=${draft} hint=${say("box.uplink_hint")} inputmode="decimal" test="uplink" autocomplete="off" />
    <//>
  </section>`;
}

/** @param {{ app: Ready }} props */
function NewPassword({ app }) {
  const { say } = app;
  const old = app.draft("password-old");
  const fresh = app.draft("password-new");
  const send = async () => {
    if (strength(fresh[0]) === "short") throw { code: "password_too_short" };
    await app.newPassword(old[0], fresh[0]);
  };
  return html`<section class="card">
    <h2>${say("box.password")}</h2>
    <${Saved} app=${app} send=${send} label=${say("box.password")} test="password-change" kind="">
      <${Password} say=${say} label=${say("box.password_old")} draft=${old} test="password-old" autocomplete="current-password" />
      <${Password} say=${say} label=${say("password.label")} draft=${fresh} test="password-new" meter autocomplete="new-password" />
    <//>
  </section>`;
}

/** @param {{ app: Ready }} props */
function Service({ app }) {
  const { say } = app;
  const password = app.draft("reset-password");
  return html`<section class="card">
    <h2>${say("box.service")}</h2>
    <p><a class="button" href="/api/v1/setup/diagnostics" download="streambox.txt" data-test="diagnostics">${say("box.diagnostics")}</a></p>
    <p class="soft">${say("box.diagnostics_text")}</p>
    <${Sure} app=${app} act=${() => app.restart()} label=${say("box.restart")} question=${say("box.restart_sure")} test="restart" />
    <details>
      <summary data-test="reset-open">${say("box.reset")}</summary>
      <p>${say("box.reset_text")}</p>
      <${Form} app=${app} send=${() => app.reset(password[0])} label=${say("box.reset_go")} test="reset-go" kind="danger">
        <${Password} say=${say} label=${say("signin.label")} draft=${password} test="reset-password" autocomplete="current-password" />
      <//>
    </details>
    <${Action} app=${app} act=${() => app.signOut()} label=${say("do.signout")} test="signout" />
  </section>`;
}
