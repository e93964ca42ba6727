// The portal. Tests find its controls by `data-test`, which stay the same in every language.

import { render } from "preact";

import { html, LanguageSelect } from "../../firmware/assets/web/parts.js";
import { Add } from "./add.js";
import { Alerts } from "./alerts.js";
import { Audit } from "./audit.js";
import { Boxes, Claim } from "./boxes.js";
import { Camera } from "./camera.js";
import { Cameras } from "./cameras.js";
import { Campaign } from "./campaign.js";
import { Invitation, SignIn } from "./enter.js";
import { History } from "./history.js";
import { navigation, within } from "./logic.js";
import { Operator } from "./operator.js";
import { People, Tenants } from "./people.js";
import { Plan } from "./plan.js";
import { Nothing, Profile } from "./profile.js";
import { Sheet } from "./sheet.js";
import { Sites } from "./sites.js";
import { Store } from "./store.js";
import { Updates } from "./updates.js";
import { Uptime } from "./uptime.js";
import { Wall } from "./wall.js";

/** @import { Files } from "./types.js" */

/** @type {Record<string, (props: { app: Store }) => any>} */
const VIEWS = {
  signin: SignIn,
  invitation: Invitation,
  nothing: Nothing,
  wall: Wall,
  cameras: Cameras,
  camera: Camera,
  add: Add,
  sheet: Sheet,
  boxes: Boxes,
  claim: Claim,
  sites: Sites,
  uptime: Uptime,
  people: People,
  alerts: Alerts,
  audit: Audit,
  operator: Operator,
  updates: Updates,
  plan: Plan,
  campaign: Campaign,
  history: History,
  profile: Profile,
};

/** @param {{ app: Store }} props */
function App({ app }) {
  const { say, me, tenant, view } = app;
  const View = VIEWS[view];
  const pages = me && view !== "invitation" ? navigation(me, tenant) : [];
  return html`<a class="skip" href="#main" onClick=${(/** @type {Event} */ event) => {
      event.preventDefault();
      document.getElementById("main")?.focus();
    }}>${say("app.skip")}</a>
    <header>
      <p class="brand" translate="no">Streambox${tenant && view !== "invitation" ? html` <span>· ${tenant.name}</span>` : ""}</p>
      ${me && view !== "invitation" && html`<${Tenants} app=${app} />`}
      <${LanguageSelect} app=${app} />
    </header>
    ${pages.length > 0 && html`<nav aria-label=${say("app.pages")}><ul>
      ${pages.map((page) => html`<li key=${page}><a href=${`#/${page}`} aria-current=${page === within(view) ? "page" : undefined} data-test=${`nav-${page}`}>${say(`page.${page}`)}</a></li>`)}
    </ul></nav>`}
    <main id="main" tabindex="-1" class=${view === "wall" ? "wide" : ""} data-test="view" data-view=${view}>
      <div role="alert">${app.silent > 1 && html`<p class="banner" data-test="silent">${say("app.silent")}</p>`}</div>
      ${View ? html`<${View} key=${`${view} ${tenant?.id} ${app.route.rest.join("/")}`} app=${app} />` : html`<p>${say("app.loading")}</p>`}
    </main>`;
}

// A box's page leads to /claim#CODE.
if (location.pathname === "/claim") history.replaceState(null, "", `/#/claim/${location.hash.slice(1)}`);

const root = /** @type {HTMLElement} */ (document.getElementById("app"));
const files = /** @type {Files} */ (/** @type {unknown} */ (document.body.dataset));
const app = new Store(files, () => {
  if (!app.language) return;
  const named = navigation(app.me ?? { person: { id: "", email: "", name: "", language: "", operator: false }, tenants: [], csrf: "" }, app.tenant);
  const page = within(app.view);
  document.title = app.me && named.includes(page) ? `${app.say(`page.${page}`)} · Streambox` : "Streambox";
  if (root.dataset["empty"]) {
    root.textContent = "";
    delete root.dataset["empty"];
  }
  const focused = document.activeElement;
  render(html`<${App} app=${app} />`, root);
  // What had the focus may be done and gone: a keyboard goes on from the heading, not from the top of the page.
  if (!focused?.isConnected) document.querySelector("h1")?.focus({ preventScroll: true });
});
void app.start();
