// What boxes are to run: every update of the fleet, how far each is, and why one stopped.

import { customs } from "../../firmware/assets/web/figures.js";
import { html, Refusal, Title } from "../../firmware/assets/web/parts.js";
import { paged } from "./logic.js";
import { at, SOON, Turn, useHeard, Waiting } from "./pieces.js";
import { atLeast, bar, decided } from "./rollout.js";

/** @import { Campaign, Counts } from "./types.js" */
/** @import { Heard, Store } from "./store.js" */

/** Updates on a page. */
const LIMIT = 20;
/** How high the bar is drawn, in parts of its width of 100; the page's style says how high it is. */
const HIGH = 4;
/** A state's colour: the dots' names in the page's style. */
const DOTS = { draft: "off", running: "live", paused: "waiting", halted: "stopped", withdrawn: "off", done: "live" };

/** @param {{ app: Store }} props */
export function Updates({ app }) {
  const { say } = app;
  /** @type {Heard<Campaign[]>} */
  const heard = useHeard(app, "fleet/campaigns", SOON);
  const all = heard.value;
  const { items, page, pages } = paged(all ?? [], LIMIT, app.held.get("update-page") ?? 0);
  return html`<${Title}>${say("page.updates")}<//>
    <p>${say("fleet.text")}</p>
    <div class="actions"><a class="button" href="#/plan" data-test="plan">${say("fleet.plan")}</a></div>
    ${!all && html`<${Waiting} app=${app} of=${heard} />`}
    <${Stale} app=${app} of=${heard} />
    ${all?.length === 0 && html`<p data-test="fleet-empty">${say("fleet.empty")}</p>`}
    <ul class="cards" data-test="campaigns">${items.map((campaign) => html`<li key=${campaign.id} class="card" data-test=${`campaign-${campaign.id}`} data-state=${campaign.state}>
      <h2><a href=${`#/campaign/${campaign.id}`}>${campaign.name}</a></h2>
      <${State} app=${app} campaign=${campaign} />
      <p class="soft">${say("boxes.version", { version: campaign.version })}</p>
      ${campaign.state !== "draft" && html`<${Bar} app=${app} counts=${campaign.counts} />`}
    </li>`)}</ul>
    <${Turn} app=${app} page=${page} pages=${pages} turn=${(/** @type {number} */ to) => app.hold("update-page", to)} test="updates" />`;
}

/** An answer that is not the newest, because there is no newer one.
 * @param {{ app: Store, of: Heard }} props */
export const Stale = ({ app, of }) => html`<div>${of.value && of.error && html`<${Refusal} say=${app.say} error=${of.error} />`}</div>`;

/** Where a campaign is, since when, and why. A person's reason is shown as it was written; the cloud's own is English, and the figures
 * say the same in every language.
 * @param {{ app: Store, campaign: Campaign }} props */
export function State({ app, campaign: { state, stage, since_ms: since, reason, counts, bound } }) {
  const { say } = app;
  const where = state === "running" || state === "paused" || state === "halted" ? ` · ${say(`stage.${stage}`)}` : "";
  return html`<p class=${`state ${DOTS[state] ?? "off"}`} data-test="campaign-state" data-state=${state} data-stage=${stage}>${say(`update.${state}`, {}, state)}${where}
      <span class="soft more">${say("campaign.since")} ${at(app, since)}</span></p>
    ${state === "halted" && html`<p class="obstacle" data-test="halted">${say("campaign.halted_text", { decided: decided(counts), failed: counts.failed, silent: counts.silent })}
      ${" "}${bound > 0 && say("campaign.bound", { bound: atLeast(bound, customs(app.language ?? "ru")) })}</p>`}
    ${reason && state !== "halted" && html`<p class="soft"><q data-test="reason">${reason}</q></p>`}`;
}

/** How many boxes stand where, as a bar and in words.
 * @param {{ app: Store, counts: Counts }} props */
export function Bar({ app, counts }) {
  const { say } = app;
  const { drawn, rest } = bar(counts);
  const words = [...drawn.map(({ part, count }) => say(`bar.${part}`, { count })), say("bar.rest", { count: rest })];
  return html`<svg class="bar" viewBox=${`0 0 100 ${HIGH}`} preserveAspectRatio="none" aria-hidden="true" data-test="bar">
      ${drawn.map(({ part, from, width }) => html`<rect key=${part} class=${part} x=${from} width=${width} height=${HIGH} />`)}
    </svg>
    <ul class="tags" data-test="bar-words">${words.map((text) => html`<li key=${text}>${text}</li>`)}</ul>`;
}
