// Who did what.

import { html, Title } from "../../firmware/assets/web/parts.js";
import { at, SOON, useHeard, Waiting } from "./pieces.js";

/** @import { AuditRow } from "./types.js" */
/** @import { Store } from "./store.js" */

/** How many are shown at a time. */
const LIMIT = 50;

/** What it was done to: a name where there is one, else the id.
 * @param {AuditRow} row */
const said = ({ subject, detail }) => (detail === "" || detail.startsWith("{") ? `${subject} ${detail}` : detail);

/** @param {{ app: Store }} props */
export function Audit({ app }) {
  const { say, tenant } = app;
  const before = app.held.get("audit-before") ?? null;
  /** @type {import("./store.js").Heard<AuditRow[]>} */
  const heard = useHeard(app, `tenants/${tenant?.id}/audit?limit=${LIMIT}${before ? `&before=${before}` : ""}`, before ? 0 : SOON);
  const rows = heard.value;
  const last = rows?.length === LIMIT ? rows.at(-1) : null;
  return html`<${Title}>${say("page.audit")}<//>
    ${!rows && html`<${Waiting} app=${app} of=${heard} />`}
    ${rows?.length === 0 && html`<p>${say("audit.none")}</p>`}
    <ol class="history" data-test="audit">${(rows ?? []).map((row) => html`<li key=${row.id} data-what=${row.what}>${at(app, row.at_ms)}
      <span><strong>${say(`audit.${row.what.replace(".", "_")}`, {}, row.what)}</strong> ${said(row)}
        <span class="soft more">${[row.person, row.address].filter(Boolean).join(" · ")}</span></span></li>`)}</ol>
    <div class="actions">
      ${before && html`<button type="button" data-test="audit-newest" onClick=${() => app.hold("audit-before", null)}>${say("audit.newest")}</button>`}
      ${last && html`<button type="button" data-test="audit-older" onClick=${() => app.hold("audit-before", `${last.at_ms}-${last.id}`)}>${say("audit.older")}</button>`}
    </div>`;
}
