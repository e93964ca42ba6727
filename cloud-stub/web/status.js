// How a camera really is: its figures now, its pings of a day, and when it was away.

import { useEffect, useRef, useState } from "preact/hooks";

import { customs, megabits } from "../../firmware/assets/web/figures.js";
import { html } from "../../firmware/assets/web/parts.js";
import { asked, changes, graph, hours, median, pings } from "./logic.js";
import { at, lasting, LATER, SOON, useHeard, Waiting } from "./pieces.js";

/** @import { Latency as Measured, Outage, Status } from "./types.js" */
/** @import { Store } from "./store.js" */

/** What the graph shows, milliseconds. */
const DAY = 86_400_000;
/** Its end moves on in steps of this, so that each look asks at the same address. */
const STEP = 60_000;

/** A number without its fraction, or a dash.
 * @param {number | null} number */
const whole = (number) => (number === null ? "–" : String(Math.round(number)));

/** @param {{ app: Store, id: string }} props */
export function Figures({ app, id }) {
  const { say } = app;
  const tag = customs(app.language ?? "ru");
  /** @type {import("./store.js").Heard<Status>} */
  const heard = useHeard(app, `cameras/${id}/status`, SOON);
  const { value } = heard;
  if (!value) return html`<section class="card"><h2>${say("status.title")}</h2><${Waiting} app=${app} of=${heard} /></section>`;
  /** @param {number} ms */
  const seconds = (ms) => say("figure.s", { number: new Intl.NumberFormat(tag, { maximumFractionDigits: 1 }).format(ms / 1000) });
  /** @param {number} ms */
  const millis = (ms) => say("figure.ms", { number: new Intl.NumberFormat(tag, { maximumFractionDigits: 0 }).format(ms) });
  /** @type {[string, string | null][]} */
  const rows = [
    ["frame", value.last_frame_age_ms == null ? null : seconds(value.last_frame_age_ms)],
    ["keyframe", value.keyframe_age_ms == null ? null : seconds(value.keyframe_age_ms)],
    ["fps", value.fps == null ? null : new Intl.NumberFormat(tag, { maximumFractionDigits: 1 }).format(value.fps)],
    ["rate", value.bit_rate == null ? null : say("figure.mbit", { number: megabits(value.bit_rate, app.language ?? "ru") })],
    ["latency", value.latency_ms == null ? null : millis(value.latency_ms)],
    ["ping", value.ping_ms == null ? null : millis(value.ping_ms)],
    ["tunnel", value.tunnel === null ? null : say(value.tunnel ? "tunnel.up" : "tunnel.down")],
  ];
  return html`<section class="card" data-test="figures">
    <h2>${say("status.title")}</h2>
    <dl>${rows.filter(([, text]) => text !== null).map(([name, text]) => html`<dt key=${name}>${say(`figure.${name}`)}</dt><dd key=${`${name}-is`} data-test=${`figure-${name}`}>${text}</dd>`)}</dl>
    ${value.outage && html`<p class="obstacle" data-test="outage" data-reason=${value.outage.reason}>${say("status.outage")} ${at(app, value.outage.from_ms)}: ${say(`reason.${value.outage.reason}`)}</p>`}
    ${value.heard_ms != null && html`<p class="soft">${say("status.heard")} ${at(app, value.heard_ms)}</p>`}
  </section>`;
}

/** The pings of 24 hours: a graph, and the same as a table.
 * @param {{ app: Store, id: string }} props */
export function Latency({ app, id }) {
  const { say } = app;
  const [to] = useState(() => Math.ceil(Date.now() / STEP) * STEP);
  /** @type {import("./store.js").Heard<Measured>} */
  const heard = useHeard(app, `cameras/${id}/latency?from_ms=${to - DAY}&to_ms=${to}`, LATER);
  const points = asked(heard.value?.points ?? []);
  const known = heard.value ? pings(heard.value) : null;
  const answered = points.flatMap(([, ping]) => (ping === null ? [] : [ping]));
  const lost = points.length - answered.length;
  const words = say("graph.words", { median: whole(median(answered)), worst: whole(answered.length > 0 ? Math.max(...answered) : null), lost });
  return html`<section class="card" data-test="latency" data-points=${points.length} data-pings=${known ?? ""}>
    <h2>${say("graph.title")}</h2>
    ${!heard.value && html`<${Waiting} app=${app} of=${heard} />`}
    ${known && known !== "measured" && html`<p class="soft" data-test="no-pings">${say(`graph.${known}`)}</p>`}
    ${known === "measured" && html`<${Graph} app=${app} measured=${heard.value} words=${words} range=${[to - DAY, to]} />
      <p class="soft">${words}</p>
      <details><summary data-test="latency-table">${say("graph.table")}</summary>
        <div class="scroll" tabindex="0" role="region" aria-label=${say("graph.table")}><table>
          <thead><tr><th scope="col">${say("graph.hour")}</th><th scope="col">${say("graph.median")}</th><th scope="col">${say("graph.worst")}</th><th scope="col">${say("graph.lost")}</th></tr></thead>
          <tbody>${hours(points).map((hour) => html`<tr key=${hour.from_ms}><td>${at(app, hour.from_ms)}</td><td>${whole(hour.median)}</td><td>${whole(hour.worst)}</td><td>${hour.lost}</td></tr>`)}</tbody>
        </table></div>
      </details>`}
  </section>`;
}

/** uPlot, which is fetched when there is something to draw.
 * @param {{ app: Store, measured: Measured, words: string, range: [number, number] }} props */
function Graph({ app, measured, words, range }) {
  const ref = useRef(/** @type {HTMLElement | null} */ (null));
  const drawn = useRef(/** @type {{ show: (columns: ReturnType<typeof graph>) => void, end: () => void } | null} */ (null));
  const columns = graph(measured.points, measured.step_ms);
  useEffect(() => {
    let over = false;
    void import("./graph.js").then(({ draw }) => {
      if (!over && ref.current) drawn.current = draw(ref.current, columns, range, app.language ?? "ru", app.say("figure.ping"));
    });
    return () => {
      over = true;
      drawn.current?.end();
      drawn.current = null;
    };
  }, [app.language]);
  useEffect(() => drawn.current?.show(columns), [measured]);
  return html`<div ref=${ref} class="graph" role="img" aria-label=${words} data-test="graph"></div>`;
}

/** @param {{ app: Store, id: string }} props */
export function Events({ app, id }) {
  const { say } = app;
  /** @type {import("./store.js").Heard<Outage[]>} */
  const heard = useHeard(app, `cameras/${id}/events`, LATER);
  return html`<section class="card">
    <h2>${say("event.title")}</h2>
    ${!heard.value && html`<${Waiting} app=${app} of=${heard} />`}
    ${heard.value?.length === 0 && html`<p class="soft">${say("event.none")}</p>`}
    <ol class="history" data-test="events">${changes(heard.value ?? []).map(({ at_ms, back, reason, lasted_ms: ms }) => html`<li key=${`${at_ms} ${back}`} data-back=${back ? "yes" : "no"}>${at(app, at_ms)}
      <span>${say(back ? "event.online" : "event.offline")} · ${back ? say("event.lasted", { time: lasting(say, ms) }) : say(`reason.${reason}`)}</span></li>`)}</ol>
  </section>`;
}
