// What the portal's views share beyond the parts of every page.

import { useEffect } from "preact/hooks";

import { clock, duration } from "../../firmware/assets/web/figures.js";
import { html, Refusal, typed, useName } from "../../firmware/assets/web/parts.js";
import { condition } from "./logic.js";

/** @import { Draft } from "../../firmware/assets/web/parts.js" */
/** @import { Say } from "../../firmware/assets/web/words.js" */
/** @import { Heard, Store } from "./store.js" */

/** How often what is on the screen is asked for anew, milliseconds. */
export const SOON = 3000;
export const LATER = 20_000;

/** What is at an address, kept fresh while the view is there. An empty path asks for nothing.
 * @template T
 * @param {Store} app
 * @param {string} path
 * @param {number} [every] milliseconds; 0: once
 * @returns {Heard<T>} */
export function useHeard(app, path, every = SOON) {
  useEffect(() => (path ? app.watch(path, every) : undefined), [path]);
  return app.heard.get(path) ?? {};
}

/** What stands where an answer is not there yet, or never comes.
 * @param {{ app: Store, of: Heard }} props */
export function Waiting({ app, of }) {
  return of.error ? html`<${Refusal} say=${app.say} error=${of.error} />` : html`<p role="status">${app.say("app.loading")}</p>`;
}

/** A choice of several. `options` are [value, words].
 * @param {{ label: string, draft: Draft, options: [string, string][], test: string, hint?: string }} props */
export function Select({ label, draft, options, test, hint }) {
  const id = useName();
  const [value, change] = draft;
  return html`<div class="field">
    <label for=${id}>${label}</label>
    <select id=${id} class="wide" data-test=${test} aria-describedby=${hint ? `${id}-hint` : undefined}
      onChange=${(/** @type {Event} */ event) => change(typed(event))}>
      ${options.map(([name, words]) => html`<option key=${name} value=${name} selected=${name === value}>${words}</option>`)}
    </select>
    ${hint && html`<p class="hint" id=${`${id}-hint`}>${hint}</p>`}
  </div>`;
}

/** Several lines to type.
 * @param {{ label: string, draft: Draft, test: string, hint?: string, rows?: number }} props */
export function Lines({ label, draft, test, hint, rows = 3 }) {
  const id = useName();
  const [value, change] = draft;
  return html`<div class="field">
    <label for=${id}>${label}</label>
    <textarea id=${id} rows=${rows} value=${value} data-test=${test} autocapitalize="none" spellcheck="false"
      aria-describedby=${hint ? `${id}-hint` : undefined}
      onInput=${(/** @type {Event} */ event) => change(typed(event))}></textarea>
    ${hint && html`<p class="hint" id=${`${id}-hint`}>${hint}</p>`}
  </div>`;
}

/** A live picture: the player's own page.
 * @param {{ id: string, title: string, test?: string }} props */
export const Live = ({ id, title, test }) => html`<iframe src=${`/${id}/`} title=${title} data-test=${test} data-camera=${id}
  allow="autoplay; fullscreen"></iframe>`;

/** A camera's condition: a coloured dot and a word.
 * @param {{ app: Store, camera: import("./types.js").Camera, test?: string }} props */
export function State({ app, camera, test }) {
  const word = condition(camera);
  return html`<p class=${`state ${word === "away" ? "stopped" : word}`} data-test=${test} data-state=${word}>${app.say(`state.${word}`)}</p>`;
}

/** A moment as people of the page's language write it.
 * @param {Store} app
 * @param {number} ms */
export const at = (app, ms) => html`<time datetime=${new Date(ms).toISOString()}>${clock(ms, Date.now(), app.language ?? "ru")}</time>`;

/** How long something lasts, in words.
 * @param {Say} say
 * @param {number} ms */
export function lasting(say, ms) {
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return say("unit.s", { number: Math.max(0, seconds) });
  return duration(seconds).map(([unit, number]) => say(`unit.${unit}`, { number })).join(" ");
}

/** Where in a long list one is.
 * @param {{ app: Store, page: number, pages: number, turn: (page: number) => void, test: string }} props */
export function Turn({ app, page, pages, turn, test }) {
  if (pages <= 1) return null;
  const { say } = app;
  return html`<div class="actions" role="group" aria-label=${say("list.pages")}>
    <button type="button" data-test=${`${test}-before`} aria-disabled=${String(page === 0)} onClick=${() => page > 0 && turn(page - 1)}>${say("list.before")}</button>
    <span role="status">${say("list.page", { page: page + 1, all: pages })}</span>
    <button type="button" data-test=${`${test}-after`} aria-disabled=${String(page >= pages - 1)} onClick=${() => page < pages - 1 && turn(page + 1)}>${say("list.after")}</button>
  </div>`;
}

/** Something that is shown once, with the words that it is.
 * @param {{ app: Store, children: any, test: string, done: () => void }} props */
export function Once({ app, children, test, done }) {
  return html`<section class="card needs" role="status" data-test=${test}>
    <p><strong>${app.say("once.text")}</strong></p>
    ${children}
    <div class="actions"><button type="button" data-test=${`${test}-done`} onClick=${done}>${app.say("once.done")}</button></div>
  </section>`;
}
