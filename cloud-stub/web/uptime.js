// How much of a month each camera gave a picture.

import { customs } from "../../firmware/assets/web/figures.js";
import { html, Title } from "../../firmware/assets/web/parts.js";
import { month, monthBeside, percentage } from "./logic.js";
import { lasting, useHeard, Waiting } from "./pieces.js";

/** @import { Uptime as Row } from "./types.js" */
/** @import { Store } from "./store.js" */

/** @param {{ app: Store }} props */
export function Uptime({ app }) {
  const { say, tenant } = app;
  const tag = customs(app.language ?? "ru");
  const now = month(Date.now());
  const shown = app.held.get("month") ?? now;
  /** @type {import("./store.js").Heard<{ cameras: Row[] }>} */
  const heard = useHeard(app, `tenants/${tenant?.id}/uptime?month=${shown}`, 0);
  const rows = heard.value?.cameras;
  const name = new Intl.DateTimeFormat(tag, { month: "long", year: "numeric", timeZone: "UTC" }).format(new Date(`${shown}-01T00:00:00Z`));
  /** @param {number} by */
  const turn = (by) => app.hold("month", monthBeside(shown, by));
  return html`<${Title}>${say("page.uptime")}<//>
    <div class="actions">
      <button type="button" data-test="month-before" onClick=${() => turn(-1)} aria-label=${say("uptime.before")}>←</button>
      <strong role="status" data-test="month" data-month=${shown}>${app.language === "kk" ? shown.split("-").reverse().join(".") : name}</strong>
      <button type="button" data-test="month-after" aria-disabled=${String(shown >= now)} onClick=${() => shown < now && turn(1)} aria-label=${say("uptime.after")}>→</button>
      <a class="button" href=${`/api/v1/tenants/${tenant?.id}/uptime.csv?month=${shown}`} download=${`uptime-${shown}.csv`} data-test="csv">${say("uptime.csv")}</a>
    </div>
    ${!rows && html`<${Waiting} app=${app} of=${heard} />`}
    ${rows?.length === 0 && html`<p>${say("uptime.none")}</p>`}
    ${rows && rows.length > 0 && html`<div class="scroll" tabindex="0" role="region" aria-label=${say("page.uptime")}><table data-test="uptime">
      <thead><tr><th scope="col">${say("camera.title")}</th><th scope="col">${say("uptime.share")}</th><th scope="col">${say("uptime.outages")}</th><th scope="col">${say("uptime.away")}</th></tr></thead>
      <tbody>${rows.map((row) => html`<tr key=${row.id} data-test=${`uptime-${row.id}`}><th scope="row">${row.title} <span class="soft">${row.site}</span></th>
        <td>${row.percent === null ? "–" : say("figure.percent", { number: percentage(row.percent, tag) })}</td><td>${row.outages}</td><td>${lasting(say, row.down_s * 1000)}</td></tr>`)}</tbody>
    </table></div>
    <p class="soft">${say("uptime.text")}</p>`}`;
}
