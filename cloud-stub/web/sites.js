// Where things stand.

import { Field, Form, html, Sure, Title } from "../../firmware/assets/web/parts.js";
import { SOON, useHeard, Waiting } from "./pieces.js";
import { timeZone } from "./rollout.js";
import { Hours, inWords } from "./window.js";

/** @import { Site } from "./types.js" */
/** @import { Store } from "./store.js" */

/** Where most of our boxes are. */
const ZONE = "Asia/Almaty";

/** @param {{ app: Store }} props */
export function Sites({ app }) {
  const { say, tenant } = app;
  const path = `tenants/${tenant?.id}/sites`;
  /** @type {import("./store.js").Heard<Site[]>} */
  const heard = useHeard(app, path, SOON);
  return html`<${Title}>${say("page.sites")}<//>
    <p>${say("sites.text")}</p>
    ${!heard.value && html`<${Waiting} app=${app} of=${heard} />`}
    <ul class="cards" data-test="sites">
      ${(heard.value ?? []).map((site) => html`<li key=${site.id} class="card" data-test=${`site-${site.id}`}>
        <h2>${site.name}</h2>
        <p class="soft">${[site.address, site.time_zone].filter(Boolean).join(" · ")}</p>
        <p class="soft" data-test=${`window-${site.id}`}>${say("window.title")}: ${inWords(app, site.window)}</p>
        <p><a class="button" href=${`#/sheet/site/${site.id}`} data-test=${`sheet-${site.id}`}>${say("cameras.sheet")}</a></p>
        <details><summary data-test=${`change-${site.id}`}>${say("boxes.change")}</summary>
          <${Edit} app=${app} site=${site} path=${path} />
          <${Hours} app=${app} site=${site} path=${path} />
          <${Sure} app=${app} label=${say("sites.remove")} question=${say("sites.remove_sure")} test=${`remove-${site.id}`}
            act=${async () => {
              await app.send("DELETE", `sites/${site.id}`, undefined, "site");
              await app.load(path);
            }} />
        </details>
      </li>`)}
    </ul>
    <section class="card"><h2>${say("sites.add")}</h2><${Edit} app=${app} site=${null} path=${path} /></section>`;
}

/** @param {{ app: Store, site: Site | null, path: string }} props */
function Edit({ app, site, path }) {
  const { say } = app;
  const key = site?.id ?? "new";
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || ZONE;
  const name = app.draft(`site-name-${key}`, site?.name ?? "");
  const address = app.draft(`site-address-${key}`, site?.address ?? "");
  const time = app.draft(`site-zone-${key}`, site?.time_zone ?? zone);
  const send = async () => {
    if (name[0].trim() === "") throw { code: "name_missing" };
    const what = { name: name[0].trim(), address: address[0].trim(), time_zone: timeZone(time[0]) };
    if (site) await app.send("PATCH", `sites/${site.id}`, what, "site");
    else await app.send("POST", path, what, "site");
    app.done(`site-name-${key}`, `site-address-${key}`, `site-zone-${key}`);
    await app.load(path);
  };
  return html`<${Form} app=${app} send=${send} label=${say(site ? "do.save" : "sites.add")} test=${`site-go-${key}`} kind="">
    <${Field} label=${say("sites.name")} draft=${name} test=${`site-name-${key}`} maxlength="64" autocomplete="off" />
    <${Field} label=${say("sites.address")} draft=${address} test=${`site-address-${key}`} maxlength="200" autocomplete="off" />
    <${Field} label=${say("sites.zone")} draft=${time} hint=${say("sites.zone_hint")} test=${`site-zone-${key}`} maxlength="64" autocomplete="off" spellcheck="false" />
  <//>`;
}
