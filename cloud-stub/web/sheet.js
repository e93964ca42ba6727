// Sheets for the wall: each camera with its name, its link and a QR code. Printed, nothing else is on the paper.

import { html, Qr, Title } from "../../firmware/assets/web/parts.js";
import { bySite, onPaper } from "./logic.js";
import { useHeard, Waiting } from "./pieces.js";

/** @import { Camera, Site } from "./types.js" */
/** @import { Store } from "./store.js" */

/** @param {{ app: Store }} props */
export function Sheet({ app }) {
  const { say, tenant } = app;
  const [what, which] = app.route.rest;
  /** @type {import("./store.js").Heard<Camera[]>} */
  const heard = useHeard(app, `tenants/${tenant?.id}/cameras`, 0);
  /** @type {import("./store.js").Heard<Site[]>} */
  const sites = useHeard(app, `tenants/${tenant?.id}/sites`, 0);
  const wanted = (heard.value ?? []).filter(({ id, site, on }) => on && (what === "camera" ? id === which : what === "site" ? site === which : true));
  const site = what === "site" ? sites.value?.find(({ id }) => id === which) : null;
  const groups = bySite(wanted, sites.value ?? [], app.language ?? "ru");
  const grouped = what !== "site" && what !== "camera" && groups.some(({ site }) => site);
  const Name = grouped ? "h3" : "h2";
  return html`<${Title}>${site?.name ?? (what === "camera" ? wanted[0]?.title : null) ?? tenant?.name}<//>
    ${site?.address && html`<p>${site.address}</p>`}
    <div class="actions screen">
      <button type="button" class="primary" data-test="print" onClick=${() => window.print()}>${say("sheet.print")}</button>
    </div>
    ${!heard.value && html`<${Waiting} app=${app} of=${heard} />`}
    ${heard.value && wanted.length === 0 && html`<p>${say("sheet.none")}</p>`}
    ${groups.map((group) => html`<section key=${group.site?.id ?? ""}>
      ${grouped && html`<h2 class="group">${group.site?.name ?? say("sites.without")}</h2>`}
      <ul class=${`cards sheet ${what === "camera" ? "single" : ""}`} data-test="sheet-cameras">
        ${group.cameras.map((camera) => html`<li key=${camera.id} class="card link" data-test=${`sheet-${camera.id}`}>
          <${Name}>${camera.title}<//>
          <div class="row top">
            <${Qr} text=${camera.url} label=${say("link.qr", { name: camera.title })} />
            <p class="grow">${onPaper(camera.url)}${camera.access === "private" && html`<span class="soft more">${say("sheet.private")}</span>`}</p>
          </div>
        </li>`)}
      </ul>
    </section>`)}
    ${wanted.length > 0 && html`<p class="soft">${say("sheet.how")}</p>`}`;
}
