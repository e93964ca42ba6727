// When boxes of a site may restart for an update, in the site's own time.

import { Form, html, typed, useName } from "../../firmware/assets/web/parts.js";
import { overnight, stretches, toggled, window as hours } from "./rollout.js";

/** @import { Site, Window as Told } from "./types.js" */
/** @import { Draft } from "../../firmware/assets/web/parts.js" */
/** @import { Store } from "./store.js" */

/** Days of a week, from Monday. */
const DAYS = [0, 1, 2, 3, 4, 5, 6];
/** What is proposed: at night on every day. */
const NIGHT = { days: DAYS, from: "02:00", to: "05:00" };

/** A site's hours in one line.
 * @param {Store} app
 * @param {Told | null | undefined} told */
export function inWords({ say }, told) {
  if (!told) return say("window.always");
  const days = stretches(told.days).map(([from, to]) => (from === to ? say(`day.${from}`) : `${say(`day.${from}`)}–${say(`day.${to}`)}`));
  return say(overnight(told) ? "window.night" : "window.day", { days: told.days.length === DAYS.length ? say("window.daily") : days.join(", "), from: told.from, to: told.to });
}

/** @param {{ app: Store, site: Site, path: string }} props `path`: of the list that is asked anew */
export function Hours({ app, site, path }) {
  const { say } = app;
  const key = `window-${site.id}`;
  const told = site.window ?? null;
  const first = told ?? NIGHT;
  const always = app.draft(`${key}-always`, told ? "" : "yes");
  const from = app.draft(`${key}-from`, first.from);
  const to = app.draft(`${key}-to`, first.to);
  const days = app.draft(`${key}-days`, first.days.join(" "));
  const chosen = days[0].split(" ").filter(Boolean).map(Number);
  const send = async () => {
    const window = hours({ always: always[0] === "yes", days: chosen, from: from[0], to: to[0] });
    await app.send("PATCH", `sites/${site.id}`, { window }, "window");
    await app.load(path);
    app.done(`${key}-always`, `${key}-from`, `${key}-to`, `${key}-days`);
  };
  return html`<h3>${say("window.title")}</h3>
    <${Form} app=${app} send=${send} label=${say("do.save")} test=${`${key}-go`} kind="">
      <p class="hint">${say("window.text", { zone: site.time_zone })}</p>
      ${[["yes", "window.always"], ["", "window.only"]].map(([value, words]) => html`<label key=${words} class="row tick"><input type="radio" name=${key} checked=${always[0] === value}
        onChange=${() => always[1](value ?? "")} data-test=${`${key}-${value === "yes" ? "always" : "only"}`} /><span class="grow">${say(words ?? "")}</span></label>`)}
      ${always[0] !== "yes" && html`<fieldset><legend>${say("window.days")}</legend><div class="days">
          ${DAYS.map((day) => html`<label key=${day} class="row tick"><input type="checkbox" checked=${chosen.includes(day)} data-test=${`${key}-day-${day}`}
            onChange=${() => days[1](toggled(chosen, day).join(" "))} /><span>${say(`day.${day}`)}</span></label>`)}
        </div></fieldset>
        <div class="times"><${Time} label=${say("window.from")} draft=${from} test=${`${key}-from`} /><${Time} label=${say("window.to")} draft=${to} test=${`${key}-to`} /></div>
        ${overnight({ from: from[0], to: to[0] }) && html`<p class="hint" role="status">${say("window.over")}</p>`}`}
    <//>`;
}

/** A time of the day.
 * @param {{ label: string, draft: Draft, test: string }} props */
function Time({ label, draft, test }) {
  const id = useName();
  const [value, change] = draft;
  return html`<div class="field"><label for=${id}>${label}</label><input id=${id} type="time" value=${value} data-test=${test}
    onInput=${(/** @type {Event} */ event) => change(typed(event))} /></div>`;
}
