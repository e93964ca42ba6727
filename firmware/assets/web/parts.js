// What every view is made of. Each control is a native one, with a label that a screen reader says, and a name for tests.

import { h } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import htm from "htm";
import { encode } from "uqr";

import { LANGUAGES, NAMES } from "./language.js";
import { strength } from "./password.js";
import { refusal } from "./words.js";

/** @import { ComponentChildren } from "preact" */
/** @import { Say, Refusal as Refused } from "./words.js" */
/** @import { Language } from "./language.js" */

/** What every part wants of its page: its words, and to be told of refusals, which may end a session.
 * @typedef {{ say: Say, refused: (error: Refused) => void }} Page */

/** A text that is typed: its value and how it is changed. It outlives the view.
 * @typedef {[string, (value: string) => void]} Draft */

export const html = htm.bind(h);

/** The value of the field that an event is about.
 * @param {Event} event */
export const typed = (event) => /** @type {HTMLInputElement} */ (event.target).value;

/** What was thrown, as a refusal.
 * @param {unknown} error
 * @returns {Refused} */
const asRefusal = (error) => (typeof error === "object" && error !== null ? error : {});

let names = 0;

/** A name for an element that another one refers to. Preact's own useId may give the same one twice on a page. */
export const useName = () => useState(() => `part-${(names += 1)}`)[0];

/** The heading of a view. The focus goes there when the view is changed, so that a screen reader begins with it.
 * @param {{ children?: ComponentChildren, quiet?: boolean }} props */
export function Title({ children, quiet }) {
  const ref = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    if (!quiet) ref.current?.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }, []);
  return html`<h1 tabindex="-1" ref=${ref}>${children}</h1>`;
}

/** A form that is sent once at a time, says what was refused, and keeps what was typed. `send` may throw a Refused.
 * @param {{ app: Page, send: () => Promise<unknown>, label: string, busy?: string, test: string, disabled?: boolean,
 *   children?: ComponentChildren, kind?: string, note?: ComponentChildren }} props */
export function Form({ app, send, label, busy, test, disabled, children, kind = "primary", note }) {
  const [state, set] = useState({ waiting: false, error: /** @type {Refused | null} */ (null) });
  const alive = useRef(true);
  useEffect(() => () => void (alive.current = false), []);
  /** @param {Event} event */
  const submit = async (event) => {
    event.preventDefault();
    if (state.waiting || disabled) return;
    set({ waiting: true, error: null });
    try {
      await send();
      if (alive.current) set({ waiting: false, error: null });
    } catch (thrown) {
      const error = asRefusal(thrown);
      app.refused(error);
      if (alive.current) set({ waiting: false, error });
    }
  };
  const { say } = app;
  return html`<form onSubmit=${submit} novalidate>
    ${children}
    <${Refusal} say=${say} error=${state.error} />
    <div class="actions">
      <button class=${kind} type="submit" data-test=${test} aria-disabled=${String(state.waiting || Boolean(disabled))}>
        ${state.waiting ? (busy ?? say("do.working")) : label}
      </button>
      ${note}
    </div>
  </form>`;
}

/** Why something was refused. It is there before it has text, so that screen readers say it.
 * @param {{ say: Say, error: Refused | null }} props */
export function Refusal({ say, error }) {
  return html`<p class="refusal" role="alert">${error ? refusal(say, error) : ""}</p>`;
}

/** A button that does one thing and says what was refused.
 * @param {{ app: Page, act: () => Promise<unknown>, label: string, busy?: string, test: string, kind?: string, name?: string }} props */
export function Action({ app, act, label, busy, test, kind = "", name }) {
  const [state, set] = useState({ waiting: false, error: /** @type {Refused | null} */ (null) });
  const press = async () => {
    if (state.waiting) return;
    set({ waiting: true, error: null });
    try {
      await act();
      set({ waiting: false, error: null });
    } catch (thrown) {
      const error = asRefusal(thrown);
      app.refused(error);
      set({ waiting: false, error });
    }
  };
  return html`<div class="action">
    <button type="button" class=${kind} onClick=${press} data-test=${test} aria-disabled=${String(state.waiting)} aria-label=${name}>
      ${state.waiting ? (busy ?? app.say("do.working")) : label}
    </button>
    ${state.error && html`<${Refusal} say=${app.say} error=${state.error} />`}
  </div>`;
}

/** A button that asks once more before it acts.
 * @param {{ app: Page, act: () => Promise<unknown>, label: string, question: string, test: string }} props */
export function Sure({ app, act, label, question, test }) {
  const [asked, ask] = useState(false);
  const ref = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    if (asked) ref.current?.querySelector("button")?.focus();
  }, [asked]);
  if (!asked) return html`<button type="button" class="danger" onClick=${() => ask(true)} data-test=${test}>${label}</button>`;
  return html`<div class="sure" role="group" ref=${ref}>
    <p>${question}</p>
    <div class="actions">
      <${Action} app=${app} act=${act} label=${label} kind="danger" test=${`${test}-yes`} />
      <button type="button" onClick=${() => ask(false)} data-test=${`${test}-no`}>${app.say("do.cancel")}</button>
    </div>
  </div>`;
}

/** A line of text to type. `draft` is [value, change]: it outlives the view.
 * @param {{ label: string, draft: Draft, test: string, hint?: string, [more: string]: unknown }} props */
export function Field({ label, draft, test, hint, ...rest }) {
  const id = useName();
  const [value, change] = draft;
  return html`<div class="field">
    <label for=${id}>${label}</label>
    <input id=${id} value=${value} onInput=${(/** @type {Event} */ event) => change(typed(event))} data-test=${test}
      aria-describedby=${hint ? `${id}-hint` : undefined} ...${rest} />
    ${hint && html`<p class="hint" id=${`${id}-hint`}>${hint}</p>`}
  </div>`;
}

/** A password to type, with a button that shows it. `meter`: say how good it is.
 * @param {{ say: Say, label: string, draft: Draft, test: string, meter?: boolean, autocomplete: string }} props */
export function Password({ say, label, draft, test, meter, autocomplete }) {
  const id = useName();
  const [shown, show] = useState(false);
  const [value, change] = draft;
  const level = value === "" ? null : strength(value);
  return html`<div class="field">
    <label for=${id}>${label}</label>
    <div class="with-button">
      <input id=${id} type=${shown ? "text" : "password"} value=${value} onInput=${(/** @type {Event} */ event) => change(typed(event))}
        autocomplete=${autocomplete} autocapitalize="none" spellcheck="false" data-test=${test}
        aria-describedby=${meter ? `${id}-level` : undefined} />
      <button type="button" aria-pressed=${String(shown)} onClick=${() => show(!shown)} aria-controls=${id}
        data-test=${`${test}-show`}>${say(shown ? "do.hide" : "do.show")}</button>
    </div>
    ${meter && html`<p class="level" id=${`${id}-level`} role="status" data-level=${level}>${level ? say(`password.${level}`) : ""}</p>`}
  </div>`;
}

/** A text as a QR code, drawn here: nothing is asked of the internet for it.
 * @param {{ text: string, label: string }} props */
export function Qr({ text, label }) {
  const { data, size } = encode(text, { ecc: "M", border: 3 });
  const dark = data.flatMap((row, y) => row.flatMap((on, x) => (on ? [`M${x} ${y}h1v1h-1z`] : [])));
  return html`<svg class="qr" viewBox=${`0 0 ${size} ${size}`} role="img" aria-label=${label} shape-rendering="crispEdges">
    <rect width=${size} height=${size} fill="#fff" /><path d=${dark.join("")} fill="#000" />
  </svg>`;
}

/** A button that copies a text. Browsers keep the clipboard to HTTPS pages, so there is the old way, too.
 * @param {{ say: Say, text: string, name: string, test: string }} props */
export function Copy({ say, text, name, test }) {
  const [done, set] = useState(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = document.createElement("textarea");
      area.value = text;
      area.className = "aside";
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    set(true);
    setTimeout(() => set(false), 2500);
  };
  return html`<button type="button" onClick=${copy} data-test=${test} aria-label=${done ? undefined : name}>
    <span role="status">${say(done ? "do.copied" : "do.copy")}</span>
  </button>`;
}

/** The choice of the language in the header.
 * @param {{ app: { say: Say, language: Language | null, choose: (language: Language) => unknown } }} props */
export function LanguageSelect({ app }) {
  return html`<label class="language">
    <span class="aside">${app.say("language.label")}</span>
    <select data-test="language" onChange=${(/** @type {Event} */ event) => app.choose(/** @type {Language} */ (typed(event)))}>
      ${LANGUAGES.map((language) => html`<option key=${language} value=${language} lang=${language} selected=${language === app.language}>${NAMES[language]}</option>`)}
    </select>
  </label>`;
}
