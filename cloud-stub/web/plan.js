// A new update: which version, who tries it first, and how long each ring is watched. Nothing is sent to boxes from here.

import { Field, Form, html, Title, typed } from "../../firmware/assets/web/parts.js";
import { LATER, Lines, Select, useHeard, Waiting } from "./pieces.js";
import { planned, SOAK, toggled, versions } from "./rollout.js";

/** @import { Box, Campaign, Chosen, Release } from "./types.js" */
/** @import { Heard, Store } from "./store.js" */

/** How many boxes a search for canaries shows. */
const FOUND = 8;

/** @param {{ app: Store }} props */
export function Plan({ app }) {
  const { say } = app;
  /** @type {Heard<Release[]>} */
  const heard = useHeard(app, "fleet/releases", LATER);
  const all = versions(heard.value ?? []);
  return html`<${Title}>${say("fleet.plan")}<//>
    ${!heard.value && html`<${Waiting} app=${app} of=${heard} />`}
    ${heard.value && all.length === 0 && html`<p data-test="plan-empty">${say("plan.none")}</p>`}
    ${all.length > 0 && html`<${Draft} app=${app} all=${all} />`}
    <p><a href="#/updates" data-test="back">${say("fleet.back")}</a></p>`;
}

/** @param {{ app: Store, all: ReturnType<typeof versions> }} props */
function Draft({ app, all }) {
  const { say } = app;
  const name = app.draft("plan-name");
  const version = app.draft("plan-version", all[0]?.version ?? "");
  const hours = app.draft("plan-hours", String(SOAK.hours));
  const note = app.draft("plan-note");
  const release = all.find((known) => known.version === version[0]);
  const known = release?.boards ?? [];
  /** Boards that are left out: so what is published for another board later is in.
   * @type {string[]} */
  const without = app.held.get("plan-without") ?? [];
  const boards = known.filter((board) => !without.includes(board));
  /** @type {Chosen[]} */
  const canaries = app.held.get("plan-canaries") ?? [];
  const send = async () => {
    const what = planned({ name: name[0], version: release?.version ?? "", boards, all: known, canaries, hours: hours[0], note: note[0] });
    /** @type {Campaign} */
    const made = await app.send("POST", "fleet/campaigns", what, "campaign");
    app.held.delete("plan-canaries");
    app.held.delete("plan-without");
    app.done("plan-name", "plan-version", "plan-hours", "plan-note", "plan-query");
    app.go(`campaign/${made.id}`);
  };
  return html`<${Form} app=${app} send=${send} label=${say("plan.go")} test="plan-go">
    <${Field} label=${say("plan.name")} draft=${name} hint=${say("plan.name_hint")} test="plan-name" maxlength="64" autocomplete="off" />
    <${Select} label=${say("operator.version")} draft=${version} test="plan-version" hint=${release && say("plan.security", { number: release.security })}
      options=${all.map((row) => [row.version, `${row.version} · ${row.boards.join(", ")}`])} />
    ${known.length > 1 && html`<fieldset><legend>${say("plan.boards")}</legend>
      ${known.map((board) => html`<label key=${board} class="row tick"><input type="checkbox" checked=${!without.includes(board)} data-test=${`board-${board}`}
        onChange=${() => app.hold("plan-without", toggled(without, board))} /><span class="grow">${board}</span></label>`)}
    </fieldset>`}
    <${Canaries} app=${app} canaries=${canaries} />
    <${Field} label=${say("plan.soak")} draft=${hours} hint=${say("plan.soak_hint")} test="plan-hours" inputmode="decimal" autocomplete="off" />
    <${Lines} label=${say("plan.note")} draft=${note} hint=${say("plan.note_hint")} test="plan-note" rows=${2} />
    <section class="card">
      <h2>${say("plan.next")}</h2>
      <ol data-test="plan-next">
        <li>${say("plan.next_draft")}</li>
        <li>${say(canaries.length > 0 ? "plan.next_canary" : "plan.next_lot", { count: canaries.length })}</li>
        <li>${say("plan.next_rings", { hours: hours[0].trim() })}</li>
        <li>${say("plan.next_window")}</li>
        <li>${say("plan.next_halt")}</li>
      </ol>
    </section>
  <//>`;
}

/** The boxes that try it first, found by what is typed.
 * @param {{ app: Store, canaries: Chosen[] }} props */
function Canaries({ app, canaries }) {
  const { say } = app;
  const query = app.draft("plan-query");
  const wanted = query[0].trim();
  /** @type {Heard<{ total: number, boxes: Box[] }>} */
  const heard = useHeard(app, wanted ? `operator/boxes?query=${encodeURIComponent(wanted)}&offset=0&limit=${FOUND}` : "", 0);
  const found = (heard.value?.boxes ?? []).filter(({ id, state }) => state === "active" && !canaries.some((chosen) => chosen.id === id));
  /** @param {Chosen} box */
  const press = ({ id, name, tenant }) => {
    app.done("plan-query");
    app.hold("plan-canaries", toggled(canaries, { id, name, tenant }, (box) => box.id));
  };
  /** Enter would send the whole form.
   * @param {KeyboardEvent} event */
  const stay = (event) => event.key === "Enter" && typed(event) !== "" && event.preventDefault();
  return html`<fieldset><legend>${say("plan.canaries")}</legend>
    <p class="hint">${say("plan.canaries_text")}</p>
    <ul class="plain" data-test="canaries">${canaries.map((box) => html`<li key=${box.id} class="row" data-test=${`canary-${box.id}`}><span class="grow">${box.name || box.id} <span class="soft">${box.tenant}</span></span>
      <button type="button" class="small" onClick=${() => press(box)} data-test=${`drop-${box.id}`} aria-label=${say("plan.drop_of", { name: box.name || box.id })}>${say("plan.drop")}</button></li>`)}</ul>
    <${Field} label=${say("operator.query")} draft=${query} test="plan-query" type="search" autocomplete="off" spellcheck="false" onKeyDown=${stay} />
    ${wanted && !heard.value && html`<${Waiting} app=${app} of=${heard} />`}
    ${heard.value && found.length === 0 && html`<p role="status">${say("operator.found", { count: 0 })}</p>`}
    <ul class="plain" data-test="found">${found.map((box) => html`<li key=${box.id} class="row"><span class="grow">${box.name || box.id} <span class="soft">${[box.tenant, box.version].filter(Boolean).join(" · ")}</span></span>
      <button type="button" class="small" onClick=${() => press(box)} data-test=${`take-${box.id}`} aria-label=${say("plan.take_of", { name: box.name || box.id })}>${say("plan.take")}</button></li>`)}</ul>
  </fieldset>`;
}
