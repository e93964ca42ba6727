// The set-up page. Tests find its controls by `data-test`, which stay the same in every language:
//   language-kk, language-ru, language-en      the first choice; `language`: the choice in the header
//   password, password-show, password-go       the first password
//   signin-password, signin-go                 signing in
//   find-count                                 how many cameras were found
//   device-<key>                               a found device: a checkbox where it can be added, else its line
//   channel-<key>-<token>                      a recorder's picture
//   reach-<key>, open-device-<key>             reach a camera of another network; a device's own page
//   obstacle-<code>                            a sentence about what stands in the way
//   others                                     devices that do not look like cameras (details)
//   address-open, address, address-add         a camera by its address
//   devices-go, devices-later                  on from the devices
//   camera-user, camera-password, login-go, login-none, access-back   one login for all that is ticked
//   not-added                                  what could not be added
//   cameras-count [data-live, data-all]        how many show a picture
//   camera-<id> [data-state]                   a camera: live, connecting, waiting, stopped, off
//   other-login, other-<id>, other-user, other-password, other-go     another login for those that refused
//   improve, improve-all, improve-<id>, improved-<id>                  make browser-ready; the table of before and after
//   channels-<key>, channels-user, channels-password, channels-go-<key>, channels-later-<key>      more pictures of a recorder
//   preview [data-camera], watch-<id>          the live picture (iframe of the player); show another
//   still-<id>, replace-<id>                   a still picture; to the devices, when another one is in its place
//   change-<id> (details), name-<id>, rename-<id>, on-<id>, up-<id>, down-<id>, remove-<id>, remove-<id>-yes,
//   login-open-<id>, user-<id>, password-<id>, login-<id>, encoder-<id>, ready-<id>                changes of a camera
//   add-cameras, cameras-go                    to the devices; on from the cameras
//   join-state [data-state], join-code, join-link, join-question, join-words, join-yes, join-no, join-later
//   links, link-<id> [data-public], near-<id>, copy-<id>, print, finish
//   nav-cameras, nav-links, nav-cloud, nav-history, nav-box, nav-help
//   history, condition, site, site-go, uplink, uplink-now, uplink-go, diagnostics, restart, restart-yes,
//   version, other-system, update [data-state], update-last [data-end]         versions and updates
//   update-wait [data-wait], update-now, update-now-yes, update-later, update-stick [data-good]
//   password-old, password-new, password-change, reset-open, reset-password, reset-go, signout, help-<maker>, silent, told, step

import { render } from "preact";

import { Box, History } from "./box.js";
import { Cameras } from "./cameras.js";
import { Cloud } from "./cloud.js";
import { Access, Find } from "./find.js";
import { Help } from "./help.js";
import { Links } from "./links.js";
import { STEPS } from "./logic.js";
import { html, LanguageSelect } from "../../assets/web/parts.js";
import { Closed, FirstPassword, Language, SignIn } from "./start.js";
import { Store } from "./store.js";

/** @import { Say } from "../../assets/web/words.js" */

/** @type {Record<string, (props: { app: any }) => any>} */
const VIEWS = {
  closed: Closed,
  language: Language,
  password: FirstPassword,
  signin: SignIn,
  find: Find,
  access: Access,
  cameras: Cameras,
  cloud: Cloud,
  links: Links,
  history: History,
  box: Box,
  help: Help,
};
const NAVIGATION = ["cameras", "links", "cloud", "history", "box", "help"];
const OPEN = ["closed", "language", "password", "signin", "loading"];

/** @param {{ app: Store }} props */
function App({ app }) {
  const { say } = app;
  const asked = app.view;
  // What needs the box's word waits for it.
  const view = OPEN.includes(asked) || app.overview ? asked : "loading";
  const View = VIEWS[view];
  const signedIn = app.state?.signed_in;
  const name = app.overview?.name ?? app.state?.name;
  const guided = app.wizard || ["language", "password"].includes(view);
  return html`<a class="skip" href="#main" onClick=${(/** @type {Event} */ event) => {
      event.preventDefault();
      document.getElementById("main")?.focus();
    }}>${say("app.skip")}</a>
    <header>
      <p class="brand" translate="no">Streambox${name ? html` <span>· ${name}</span>` : ""}</p>
      ${view !== "language" && html`<${LanguageSelect} app=${app} />`}
    </header>
    ${signedIn && !app.wizard && html`<nav aria-label=${say("app.pages")}><ul>
      ${NAVIGATION.map((page) => html`<li key=${page}><a href=${`#${page}`} aria-current=${page === view ? "page" : undefined} data-test=${`nav-${page}`}>${say(`page.${page}`)}</a></li>`)}
    </ul></nav>`}
    <main id="main" tabindex="-1">
      <div role="alert">${app.silent > 1 && html`<p class="banner" data-test="silent">${say(app.restarting ? "box.restarting" : "app.silent")}</p>`}</div>
      <div role="status">
        ${app.restarting && app.silent <= 1 && html`<p class="banner">${say("box.restarting")}</p>`}
        ${app.told && html`<p class="banner" data-test="told">${say(app.told)}</p>`}
      </div>
      ${guided && STEPS.includes(view) && html`<${Progress} say=${say} step=${STEPS.indexOf(view) + 1} />`}
      ${View ? html`<${View} key=${view} app=${app} />` : html`<p>${say("app.loading")}</p>`}
    </main>`;
}

/** @param {{ say: Say, step: number }} props */
function Progress({ say, step }) {
  const words = say("app.step", { number: step, all: STEPS.length });
  return html`<div class="progress" data-test="step" data-step=${step}>
    <progress max=${STEPS.length} value=${step} aria-label=${words}></progress> <span>${words}</span>
  </div>`;
}

const root = /** @type {HTMLElement} */ (document.getElementById("app"));
const files = /** @type {Record<"kk" | "ru" | "en", string>} */ (/** @type {unknown} */ (document.body.dataset));
const app = new Store(files, () => {
  if (!app.language) return;
  const view = app.view;
  document.title = VIEWS[view] && NAVIGATION.includes(view) ? `${app.say(`page.${view}`)} · Streambox` : "Streambox";
  if (root.dataset.empty) {
    root.textContent = "";
    delete root.dataset.empty;
  }
  const focused = document.activeElement;
  render(html`<${App} app=${app} />`, root);
  // What had the focus may be done and gone: a keyboard goes on from the heading, not from the top of the page.
  if (!focused?.isConnected) document.querySelector("h1")?.focus({ preventScroll: true });
});
app.start();
