// What the operator of the cloud sees: how many there are of everything, whose they are, and each box.

import { Field, Form, html, Title } from "../../firmware/assets/web/parts.js";
import { Invite } from "./people.js";
import { at, SOON, Turn, useHeard, Waiting } from "./pieces.js";

/** @import { Box, Summary } from "./types.js" */
/** @import { Store } from "./store.js" */

/** Boxes on a page. */
const LIMIT = 25;

/** @param {{ app: Store }} props */
export function Operator({ app }) {
  const { say } = app;
  /** @type {import("./store.js").Heard<Summary>} */
  const heard = useHeard(app, "operator/summary", SOON);
  const summary = heard.value;
  return html`<${Title}>${say("page.operator")}<//>
    ${!summary && html`<${Waiting} app=${app} of=${heard} />`}
    ${summary && html`<dl class="figures" data-test="summary">
      ${/** @type {(keyof Summary)[]} */ (["tenants", "boxes", "online", "cameras"]).map((name) => html`<div key=${name}><dt>${say(`operator.${name}`)}</dt><dd data-test=${`summary-${name}`}>${summary[name]}</dd></div>`)}
    </dl>`}
    <${Tenants} app=${app} />
    <${Boxes} app=${app} />`;
}

/** @param {{ app: Store }} props */
function Tenants({ app }) {
  const { say } = app;
  const query = app.draft("tenant-query");
  /** @type {import("./store.js").Heard<{ id: string, name: string, boxes: number }[]>} */
  const heard = useHeard(app, `tenants?query=${encodeURIComponent(query[0].trim())}`, SOON);
  const name = app.draft("tenant-name");
  const invite = app.held.get("invite-to") ?? null;
  const send = async () => {
    if (name[0].trim() === "") throw { code: "name_missing" };
    await app.send("POST", "tenants", { name: name[0].trim() }, "tenant");
    app.done("tenant-name");
    await app.load("tenants?query=");
  };
  return html`<section class="card">
    <h2>${say("operator.tenants")}</h2>
    <${Field} label=${say("operator.search")} draft=${query} test="tenant-query" type="search" autocomplete="off" spellcheck="false" />
    ${!heard.value && html`<${Waiting} app=${app} of=${heard} />`}
    <ul class="plain" data-test="tenants">${(heard.value ?? []).map((tenant) => html`<li key=${tenant.id} data-test=${`tenant-${tenant.id}`} data-name=${tenant.name}>
      <div class="row"><span class="grow"><strong>${tenant.name}</strong> <span class="soft">${say("operator.boxes_of", { count: tenant.boxes })}</span></span>
        <button type="button" class="small" data-test=${`visit-${tenant.id}`} aria-label=${say("operator.visit_of", { name: tenant.name })} onClick=${() => app.visit(tenant)}>${say("operator.visit")}</button>
        <button type="button" class="small" data-test=${`invite-${tenant.id}`} aria-expanded=${String(invite === tenant.id)} aria-label=${say("operator.invite_of", { name: tenant.name })}
          onClick=${() => app.hold("invite-to", invite === tenant.id ? null : tenant.id)}>${say("operator.invite")}</button></div>
      ${invite === tenant.id && html`<${Invite} app=${app} path=${`tenants/${tenant.id}/people`} first="owner" />`}
    </li>`)}</ul>
    <${Form} app=${app} send=${send} label=${say("operator.new_tenant")} test="tenant-go" kind="">
      <${Field} label=${say("operator.tenant_name")} draft=${name} hint=${say("operator.tenant_hint")} test="tenant-name" maxlength="64" autocomplete="off" />
    <//>
  </section>`;
}

/** @param {{ app: Store }} props */
function Boxes({ app }) {
  const { say } = app;
  const query = app.draft("box-query");
  /** @type {string} */
  const asked = app.held.get("box-query") ?? "";
  const page = app.held.get("box-page") ?? 0;
  /** @type {import("./store.js").Heard<{ total: number, boxes: Box[] }>} */
  const heard = useHeard(app, `operator/boxes?query=${encodeURIComponent(asked)}&offset=${page * LIMIT}&limit=${LIMIT}`, SOON);
  const send = async () => {
    app.held.set("box-page", 0);
    app.hold("box-query", query[0].trim());
  };
  const all = heard.value;
  return html`<section class="card">
    <h2>${say("operator.all_boxes")}</h2>
    <${Form} app=${app} send=${send} label=${say("operator.search")} test="box-search" kind="">
      <${Field} label=${say("operator.query")} draft=${query} test="box-query" type="search" autocomplete="off" spellcheck="false" />
    <//>
    ${!all && html`<${Waiting} app=${app} of=${heard} />`}
    ${all && html`<p role="status" data-test="box-count" data-count=${all.total}>${say("operator.found", { count: all.total })}</p>`}
    ${all && all.boxes.length > 0 && html`<div class="scroll" tabindex="0" role="region" aria-label=${say("operator.all_boxes")}><table data-test="all-boxes">
      <thead><tr><th scope="col">${say("operator.box")}</th><th scope="col">${say("operator.tenant")}</th><th scope="col">${say("operator.state")}</th><th scope="col">${say("operator.version")}</th></tr></thead>
      <tbody>${all.boxes.map((box) => html`<tr key=${box.id}><td>${box.name && html`<strong>${box.name}</strong> `}<a href=${`#/history/${box.id}`}><code>${box.id}</code></a></td><td>${box.tenant ?? ""}</td>
        <td>${say(box.online ? "boxes.online" : "boxes.offline")} ${!box.online && box.last_seen_ms !== null ? at(app, box.last_seen_ms) : ""}</td><td>${box.version ?? ""}</td></tr>`)}</tbody>
    </table></div>`}
    <${Turn} app=${app} page=${page} pages=${Math.ceil((all?.total ?? 0) / LIMIT)} turn=${(/** @type {number} */ to) => app.hold("box-page", to)} test="boxes" />
  </section>`;
}
