// The links, each with a QR code; printed, this view is the sheet for the wall.

import { nearLink } from "./logic.js";
import { html, Copy, Qr, Title } from "../../assets/web/parts.js";

/** @import { Ready } from "./store.js" */
/** @import { Camera } from "./types.js" */

/** @param {{ app: Ready }} props */
export function Links({ app }) {
  const { say, overview, wizard } = app;
  const { cameras, name, pages, join } = overview;
  const on = cameras.filter((camera) => camera.on);
  const waiting = ["joined", "joining"].includes(join?.state) && on.some((camera) => !camera.public);
  const finish = () => {
    app.guide(false);
    app.go("cameras");
  };
  return html`<${Title}>${name ? `${say("links.title")}: ${name}` : say("links.title")}<//>
    <p>${say(on.length > 0 ? "links.text" : "links.none")}</p>
    <p role="status">${waiting ? say("links.waiting") : ""}</p>
    <div class="actions screen">
      ${wizard && html`<button type="button" class="primary" data-test="finish" onClick=${finish}>${say("do.finish")}</button>`}
      ${on.length > 0 && html`<button type="button" data-test="print" onClick=${() => window.print()}>${say("links.print")}</button>`}
    </div>
    <ul class="cards sheet" data-test="links">
      ${on.map((camera) => html`<${Link} key=${camera.id} app=${app} camera=${camera} />`)}
    </ul>
    ${on.length > 0 && html`<p class="soft">${say("links.scan")}</p>`}
    ${pages.length > 0 && html`<p class="soft">${say("links.page", { url: pages[0] })}</p>`}`;
}

/** @param {{ app: Ready, camera: Camera }} props */
function Link({ app, camera: { id, name, public: everywhere } }) {
  const { say } = app;
  const near = nearLink(id, location.origin, app.overview.pages);
  const link = everywhere ?? near;
  return html`<li class="card link">
    <h2>${name}</h2>
    <div class="row top">
      <${Qr} text=${link} label=${say("links.qr", { name })} />
      <div class="grow">
        <p class="soft">${say(everywhere ? "links.public" : "links.local")}</p>
        <p><a href=${link} target="_blank" rel="noreferrer noopener" data-test=${`link-${id}`} data-public=${everywhere ? "yes" : "no"}>${link}</a></p>
        <div class="actions screen"><${Copy} say=${say} text=${link} name=${say("links.copy_of", { name })} test=${`copy-${id}`} /></div>
        ${everywhere && html`<p class="soft">${say("links.local")}: <a href=${near} target="_blank" rel="noreferrer noopener" data-test=${`near-${id}`}>${near}</a></p>`}
      </div>
    </div>
  </li>`;
}
