// Live pictures side by side. Only those that are on the screen play: a picture that is scrolled away costs nobody anything.

import { useEffect, useRef, useState } from "preact/hooks";

import { html, Title, typed } from "../../firmware/assets/web/parts.js";
import { condition, paged } from "./logic.js";
import { LATER, Live, State, Turn, useHeard, Waiting } from "./pieces.js";

/** @import { Camera } from "./types.js" */
/** @import { Store } from "./store.js" */

/** How many pictures a page of the wall may have. */
const SIZES = [4, 9, 16];
/** A picture that is this near to the screen plays already. */
const NEAR = "200px";

/** @param {{ app: Store }} props */
export function Wall({ app }) {
  const { say, tenant } = app;
  /** @type {import("./store.js").Heard<Camera[]>} */
  const heard = useHeard(app, `tenants/${tenant?.id}/cameras`, LATER);
  const cameras = heard.value?.filter(({ on }) => on);
  const size = app.held.get("wall-size") ?? SIZES[1];
  const { items, page, pages } = paged(cameras ?? [], size, app.held.get("wall-page") ?? 0);
  return html`<${Title}>${tenant?.name}<//>
    ${!cameras && html`<${Waiting} app=${app} of=${heard} />`}
    ${cameras?.length === 0 && html`<p data-test="wall-empty">${say(app.may("installer") ? "wall.none_claim" : "wall.none")}</p>
      ${app.may("installer") && html`<p><a class="button" href="#/claim" data-test="wall-claim">${say("boxes.claim")}</a></p>`}`}
    ${cameras && cameras.length > (SIZES[0] ?? 0) && html`<p class="row">
      <label><span class="soft">${say("wall.size")}</span>${" "}
        <select data-test="wall-size" onChange=${(/** @type {Event} */ event) => app.hold("wall-size", Number(typed(event)))}>
          ${SIZES.map((count) => html`<option key=${count} value=${count} selected=${count === size}>${count}</option>`)}
        </select>
      </label>
    </p>`}
    <ul class="wall" data-test="wall" data-size=${size}>
      ${items.map((camera) => html`<${Picture} key=${camera.id} app=${app} camera=${camera} />`)}
    </ul>
    <${Turn} app=${app} page=${page} pages=${pages} test="wall" turn=${(/** @type {number} */ to) => app.hold("wall-page", to)} />`;
}

/** @param {{ app: Store, camera: Camera }} props */
function Picture({ app, camera }) {
  const { say } = app;
  const ref = useRef(/** @type {HTMLElement | null} */ (null));
  const [seen, see] = useState(false);
  useEffect(() => {
    if (!ref.current) return;
    const look = new IntersectionObserver((entries) => see(entries.at(-1)?.isIntersecting ?? false), { rootMargin: NEAR });
    look.observe(ref.current);
    return () => look.disconnect();
  }, []);
  const large = app.held.get("wall-large") === camera.id;
  const press = () => app.hold("wall-large", large ? null : camera.id);
  return html`<li ref=${ref} class=${large ? "large" : ""} data-test=${`tile-${camera.id}`} data-playing=${seen ? "yes" : "no"}>
    <div class="picture">
      ${seen ? html`<${Live} id=${camera.id} title=${say("wall.picture", { name: camera.title })} />` : html`<div class="still-place"></div>`}
    </div>
    <div class="row">
      <span class="grow"><strong>${camera.title}</strong>
        ${condition(camera) !== "live" && html`<${State} app=${app} camera=${camera} />`}</span>
      <button type="button" class="small enlarge" aria-pressed=${String(large)} onClick=${press} data-test=${`large-${camera.id}`}
        aria-label=${say(large ? "wall.smaller_of" : "wall.larger_of", { name: camera.title })}>${say(large ? "wall.smaller" : "wall.larger")}</button>
      ${app.may("installer") && html`<a class="button small" href=${`#/camera/${camera.id}`} data-test=${`open-${camera.id}`}
        aria-label=${say("wall.open_of", { name: camera.title })}>${say("wall.open")}</a>`}
    </div>
  </li>`;
}
