// One update of the fleet: its rings, what is needed before the next one, its figures, what an operator may do, its boxes.

import { useEffect, useRef } from "preact/hooks";

import { customs } from "../../firmware/assets/web/figures.js";
import { Field, Form, html, Title } from "../../firmware/assets/web/parts.js";
import { at, lasting, SOON, Select, Turn, useHeard, Waiting } from "./pieces.js";
import { atLeast, decided, mayAdvance, needs, opened, orders, perCent, reasoned, STANDINGS, steps, WANTED } from "./rollout.js";
import { Bar, Stale, State } from "./updates.js";

/** @import { Campaign as One, CampaignWhole, FleetEvent, FleetRow } from "./types.js" */
/** @import { Heard, Store } from "./store.js" */

/** Boxes on a page. */
const LIMIT = 25;

/** @param {{ app: Store }} props */
export function Campaign({ app }) {
  const { say } = app;
  const id = app.route.rest[0] ?? "";
  const path = `fleet/campaigns/${encodeURIComponent(id)}`;
  /** @type {Heard<CampaignWhole>} */
  const heard = useHeard(app, path, SOON);
  const campaign = heard.value;
  const back = html`<p><a href="#/updates" data-test="back">${say("fleet.back")}</a></p>`;
  if (!campaign) return html`<${Title}>${say("campaign.title")}<//><${Waiting} app=${app} of=${heard} />${back}`;
  return html`<${Title}>${campaign.name}<//>
    <${Stale} app=${app} of=${heard} />
    <${State} app=${app} campaign=${campaign} />
    <p class="soft">${[say("boxes.version", { version: campaign.version }), campaign.boards.join(", "), say("campaign.soak", { time: lasting(say, campaign.bake_s * 1000) })].filter(Boolean).join(" · ")}</p>
    ${campaign.note && html`<p data-test="note">${campaign.note}</p>`}
    ${campaign.state === "draft" && campaign.canaries.length > 0 && html`<p>${say("plan.canaries")}:</p>
      <ul class="plain" data-test="canaries">${campaign.canaries.map((box) => html`<li key=${box}><a href=${`#/history/${box}`}><code>${box}</code></a></li>`)}</ul>`}
    <${Orders} app=${app} campaign=${campaign} path=${path} />
    <${Rings} app=${app} campaign=${campaign} />
    <${Figures} app=${app} campaign=${campaign} />
    <${Boxes} app=${app} id=${id} path=${path} />
    <${Events} app=${app} events=${campaign.events} />
    ${back}`;
}

/** The rings as steps; at the one that is open, what is needed before the next.
 * @param {{ app: Store, campaign: One }} props */
function Rings({ app, campaign }) {
  const { say } = app;
  const tag = customs(app.language ?? "ru");
  const { soak, decided: told, failed } = needs(campaign, Date.now());
  /** @param {boolean} met
   * @param {any} words
   * @param {string} test */
  const need = (met, words, test) => html`<li class=${met ? "met" : ""} data-test=${`need-${test}`} data-met=${met ? "yes" : "no"}>${words} <span class="soft">(${say(met ? "need.met" : "need.open")})</span></li>`;
  const limit = perCent(WANTED.failed, tag);
  return html`<section class="card"><h2>${say("campaign.rings")}</h2>
    <ol class="steps" data-test="rings">${steps(campaign).map(({ stage, place }) => html`<li key=${stage} class=${place} data-test=${`ring-${stage}`} data-place=${place} aria-current=${place === "now" ? "step" : undefined}>
      <strong>${say(`stage.${stage}`)}</strong> <span class="soft">${say(`place.${place}`)}</span>
      ${place === "now" && campaign.state === "running" && html`<p>${say(mayAdvance(campaign) ? "need.title" : "need.last")}</p><ul>
        ${need(told.met, say("need.decided", { count: told.count, of: told.of, wanted: told.wanted }), "decided")}
        ${need(failed.met, say("need.failed", { rate: perCent(failed.rate, tag), limit }), "failed")}
        ${need(soak.met, html`${say("need.soak")} ${at(app, soak.ends_ms)}`, "soak")}
      </ul>`}
    </li>`)}</ol>
  </section>`;
}

/** How many boxes stand where, and what the failures say of the others.
 * @param {{ app: Store, campaign: One }} props */
function Figures({ app, campaign: { state, counts, rate, bound } }) {
  const { say } = app;
  const tag = customs(app.language ?? "ru");
  const rows = /** @type {(keyof typeof counts)[]} */ (["ring", ...STANDINGS.filter((name) => name !== "superseded")]);
  return html`<section class="card"><h2>${say("campaign.figures")}</h2>
    <${Bar} app=${app} counts=${counts} />
    <dl data-test="counts">${rows.map((name) => html`<dt key=${name}>${say(name === "ring" ? "campaign.ring" : `standing.${name}`)}</dt><dd key=${`${name}-is`} data-test=${`count-${name}`}>${counts[name]}</dd>`)}</dl>
    <p data-test="rate">${decided(counts) === 0 ? say("campaign.rate_none") : rate === 0 ? say("campaign.rate_good") : say("campaign.rate", { rate: perCent(rate, tag) })}
      ${" "}${bound > 0 && say("campaign.bound", { bound: atLeast(bound, tag) })}
      ${" "}${state !== "halted" && state !== "withdrawn" && say("campaign.limit", { limit: perCent(WANTED.failed, tag) })}</p>
  </section>`;
}

/** What may be done now. Each is asked once more, with a reason; going on after a stop needs somebody's name.
 * @param {{ app: Store, campaign: One, path: string }} props */
function Orders({ app, campaign, path }) {
  const { say } = app;
  const may = orders(campaign.state).filter((what) => what !== "advance" || mayAdvance(campaign));
  const key = `order-${campaign.id}`;
  const asked = app.held.get(key) ?? null;
  if (asked !== null && may.includes(asked)) return html`<${Asked} key=${asked} app=${app} campaign=${campaign} path=${path} what=${asked} done=${() => app.hold(key, null)} />`;
  return html`<div class="actions" data-test="orders">${may.map((what) => html`<button key=${what} type="button" class=${what === "withdraw" ? "danger" : what === "start" || what === "resume" ? "primary" : ""}
    data-test=${`order-${what}`} onClick=${() => app.hold(key, what)}>${say(`order.${what}`)}</button>`)}</div>`;
}

/** @param {{ app: Store, campaign: One, path: string, what: ReturnType<typeof orders>[number], done: () => void }} props */
function Asked({ app, campaign, path, what, done }) {
  const { say } = app;
  const ref = useRef(/** @type {HTMLElement | null} */ (null));
  const reason = app.draft(`reason-${campaign.id}`);
  const name = app.me?.person.name.trim() ?? "";
  const nameless = what === "resume" && name === "";
  useEffect(() => /** @type {HTMLElement | null} */ (ref.current?.querySelector("input, a, button"))?.focus(), []);
  const send = async () => {
    await app.send("POST", `${path}/${what}`, reasoned(what, reason[0]), "campaign");
    app.done(`reason-${campaign.id}`);
    await app.load(path);
    done();
  };
  const cancel = html`<button type="button" data-test="order-no" onClick=${done}>${say("do.cancel")}</button>`;
  return html`<section class="card needs" role="group" ref=${ref} aria-label=${say(`order.${what}`)} data-test="order-asked">
    <p>${say(`order.${what}_sure`)}</p>
    ${nameless
      ? html`<p>${say("order.nameless")} <a href="#/profile">${say("page.profile")}</a></p><div class="actions">${cancel}</div>`
      : html`<${Form} app=${app} send=${send} label=${say(`order.${what}`)} test="order-yes" kind=${what === "withdraw" ? "danger" : "primary"} note=${cancel}>
        <${Field} label=${say("order.reason")} draft=${reason} hint=${say("order.reason_hint", { name: name || (app.me?.person.email ?? "") })} test="order-reason" maxlength="200" autocomplete="off" />
      <//>`}
  </section>`;
}

/** Each box of the campaign.
 * @param {{ app: Store, id: string, path: string }} props */
function Boxes({ app, id, path }) {
  const { say } = app;
  const typed = app.draft(`row-query-${id}`);
  const standing = app.draft(`row-standing-${id}`);
  /** @type {string} */
  const query = app.held.get(`row-query-${id}`) ?? "";
  const page = app.held.get(`row-page-${id}`) ?? 0;
  /** @type {Heard<{ total: number, rows: FleetRow[] }>} */
  const heard = useHeard(app, `${path}/boxes?standing=${standing[0]}&query=${encodeURIComponent(query)}&offset=${page * LIMIT}&limit=${LIMIT}`, SOON);
  const all = heard.value;
  const pages = Math.ceil((all?.total ?? 0) / LIMIT);
  /** @param {number} to */
  const turn = (to) => app.hold(`row-page-${id}`, to);
  // Boxes move on: what was a page may be none any more.
  useEffect(() => {
    if (all && page > 0 && page >= pages) turn(Math.max(0, pages - 1));
  }, [all]);
  const search = async () => {
    app.held.set(`row-page-${id}`, 0);
    app.hold(`row-query-${id}`, typed[0].trim());
  };
  /** @param {string} to */
  const choose = (to) => {
    app.held.set(`row-page-${id}`, 0);
    standing[1](to);
  };
  return html`<section class="card"><h2>${say("operator.boxes")}</h2>
    <${Form} app=${app} send=${search} label=${say("operator.search")} test="row-search" kind="">
      <${Select} label=${say("operator.state")} draft=${[standing[0], choose]} test="row-standing"
        options=${[["", say("standing.any")], ...STANDINGS.map((name) => [name, say(`standing.${name}`)])]} />
      <${Field} label=${say("operator.query")} draft=${typed} test="row-query" type="search" autocomplete="off" spellcheck="false" />
    <//>
    ${!all && html`<${Waiting} app=${app} of=${heard} />`}
    <${Stale} app=${app} of=${heard} />
    ${all && html`<p role="status" data-test="row-count" data-count=${all.total}>${say("operator.found", { count: all.total })}</p>`}
    <ul class="plain rows" data-test="rows">${(all?.rows ?? []).map((row) => html`<li key=${row.box} data-test=${`row-${row.box}`} data-standing=${row.standing}>
      <a href=${`#/history/${row.box}`}>${row.name || html`<code>${row.box}</code>`}</a> · <strong>${say(`standing.${row.standing}`)}</strong> <span class="soft">${at(app, row.since_ms)}</span>${row.standing !== "silent" && html`<${Why} why=${row.why} />`}
      <span class="soft more">${[row.tenant, row.site, row.version].filter(Boolean).join(" · ")}</span>
    </li>`)}</ul>
    <${Turn} app=${app} page=${page} pages=${pages} turn=${turn} test="rows" />
  </section>`;
}

/** What a box said of why; boxes write English.
 * @param {{ why: string }} props */
export const Why = ({ why }) => (why ? html` <code class="why" lang="en" translate="no">${why}</code>` : null);

/** What happened, newest first. The cloud's own reasons are English, and the figures say the same in every language.
 * @param {{ app: Store, events: FleetEvent[] }} props */
function Events({ app, events }) {
  const { say } = app;
  return html`<section class="card"><h2>${say("event.title")}</h2>
    ${events.length === 0 && html`<p class="soft">${say("event.none")}</p>`}
    <ol class="history" data-test="fleet-events">${events.map((event, index) => {
      const { ring, why } = opened(event);
      const machine = event.who === "machine";
      return html`<li key=${`${event.at_ms} ${index}`} data-what=${event.what}>${at(app, event.at_ms)}
        <span><strong>${say(`told.${event.what}`, {}, event.what)}</strong>${ring && ` · ${say(`stage.${ring}`)}`}
          ${why && (machine ? app.language === "en" && html`<${Why} why=${why} />` : html` <q>${why}</q>`)}
          <span class="soft more">${machine ? say("told.cloud") : event.who || say("told.command")}</span></span></li>`;
    })}</ol>
  </section>`;
}
