// All cameras of a tenant, by sites: how each is, and the ways on.

import { html, Title } from "../../firmware/assets/web/parts.js";
import { bySite } from "./logic.js";
import { SOON, State, useHeard, Waiting } from "./pieces.js";

/** @import { Camera, Site } from "./types.js" */
/** @import { Store } from "./store.js" */

/** @param {{ app: Store }} props */
export function Cameras({ app }) {
  const { say, tenant } = app;
  /** @type {import("./store.js").Heard<Camera[]>} */
  const heard = useHeard(app, `tenants/${tenant?.id}/cameras`, SOON);
  /** @type {import("./store.js").Heard<Site[]>} */
  const sites = useHeard(app, `tenants/${tenant?.id}/sites`, 0);
  const groups = bySite(heard.value ?? [], sites.value ?? [], app.language ?? "ru");
  const grouped = groups.length > 1 || Boolean(groups[0]?.site);
  const Name = grouped ? "h3" : "h2";
  return html`<${Title}>${say("page.cameras")}<//>
    <div class="actions">
      <a class="button" href="#/add" data-test="add">${say("cameras.add")}</a>
      <a class="button" href="#/claim" data-test="claim">${say("boxes.claim")}</a>
      ${groups.length > 0 && html`<a class="button" href="#/sheet" data-test="sheet">${say("cameras.sheet")}</a>`}
    </div>
    ${!heard.value && html`<${Waiting} app=${app} of=${heard} />`}
    ${heard.value?.length === 0 && html`<p>${say("cameras.none")}</p>`}
    ${groups.map(({ site, cameras }) => html`<section key=${site?.id ?? ""}>
      ${grouped && html`<h2 class="group">${site?.name ?? say("sites.without")}</h2>`}
      <ul class="cards" data-test="cameras">
        ${cameras.map((camera) => html`<li key=${camera.id} class="card">
          <${Name}><a href=${`#/camera/${camera.id}`} data-test=${`camera-${camera.id}`}>${camera.title}</a><//>
          <${State} app=${app} camera=${camera} test=${`state-${camera.id}`} />
          <p class="soft">${[say(`kind.${camera.kind}`), say(`access.${camera.access}`)].join(" · ")}</p>
        </li>`)}
      </ul>
    </section>`)}`;
}
