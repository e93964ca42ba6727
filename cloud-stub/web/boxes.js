// Boxes: which there are, how they are, and how one comes and goes.

import { Action, Field, Form, html, Sure, Title } from "../../firmware/assets/web/parts.js";
import { code as tidy } from "./logic.js";
import { at, lasting, LATER, Select, SOON, useHeard, Waiting } from "./pieces.js";
import { POSTPONE } from "./rollout.js";

/** @import { Box, Claimed, Progress, Site } from "./types.js" */
/** @import { Store } from "./store.js" */

/** @param {Store} app
 * @param {Site[] | undefined} sites
 * @returns {[string, string][]} */
const siteOptions = (app, sites) => [["", app.say("sites.without")], .../** @type {[string, string][]} */ ((sites ?? []).map(({ id, name }) => [id, name]))];

/** @param {{ app: Store }} props */
export function Boxes({ app }) {
  const { say, tenant } = app;
  /** @type {import("./store.js").Heard<Box[]>} */
  const heard = useHeard(app, `tenants/${tenant?.id}/boxes`, SOON);
  /** @type {import("./store.js").Heard<Site[]>} */
  const sites = useHeard(app, `tenants/${tenant?.id}/sites`, LATER);
  return html`<${Title}>${say("page.boxes")}<//>
    <div class="actions"><a class="button" href="#/claim" data-test="claim">${say("boxes.claim")}</a></div>
    ${!heard.value && html`<${Waiting} app=${app} of=${heard} />`}
    ${heard.value?.length === 0 && html`<p>${say("boxes.none")}</p>`}
    <ul class="cards" data-test="boxes">
      ${(heard.value ?? []).map((box) => html`<${One} key=${box.id} app=${app} box=${box} sites=${sites.value} />`)}
    </ul>`;
}

/** @param {{ app: Store, box: Box, sites: Site[] | undefined }} props */
function One({ app, box, sites }) {
  const { say, tenant } = app;
  const path = `boxes/${encodeURIComponent(box.id)}`;
  const name = app.draft(`box-name-${box.id}`, box.name);
  const site = app.draft(`box-site-${box.id}`, box.site);
  const again = () => app.load(`tenants/${tenant?.id}/boxes`);
  const save = async () => {
    await app.send("PATCH", path, { name: name[0].trim(), site: site[0] }, "box");
    await again();
    app.done(`box-name-${box.id}`, `box-site-${box.id}`);
  };
  /** @param {"release" | "revoke"} what */
  const end = async (what) => {
    await app.send("POST", `${path}/${what}`, {}, "box");
    await again();
  };
  const where = sites?.find(({ id }) => id === box.site)?.name;
  return html`<li class="card" data-test=${`box-${box.id}`}>
    <h2>${box.name || say("boxes.unnamed")}</h2>
    <p class=${`state ${box.online ? "live" : "stopped"}`} data-test=${`online-${box.id}`} data-online=${box.online ? "yes" : "no"}>${say(box.online ? "boxes.online" : "boxes.offline")}
      ${!box.online && box.last_seen_ms !== null && html` <span class="soft">${say("boxes.seen")} ${at(app, box.last_seen_ms)}</span>`}</p>
    <p class="soft">${[where, say("boxes.cameras", { count: box.cameras }), box.version && say("boxes.version", { version: box.version })].filter(Boolean).join(" · ")}</p>
    <p class="soft"><code>${box.id}</code></p>
    <details onToggle=${(/** @type {Event} */ event) => app.hold(`open-${box.id}`, /** @type {HTMLDetailsElement} */ (event.target).open)}>
      <summary data-test=${`change-${box.id}`}>${say("boxes.change")}</summary>
      <${Form} app=${app} send=${save} label=${say("do.save")} test=${`save-${box.id}`} kind="">
        <${Field} label=${say("boxes.name")} draft=${name} test=${`name-${box.id}`} maxlength="64" autocomplete="off" />
        <${Select} label=${say("camera.site")} draft=${site} options=${siteOptions(app, sites)} test=${`site-${box.id}`} />
      <//>
      ${app.may("owner") && html`
        ${app.held.get(`open-${box.id}`) && html`<${Postpone} app=${app} box=${box} />`}
        <${Sure} app=${app} act=${() => end("release")} label=${say("boxes.release")} question=${say("boxes.release_sure")} test=${`release-${box.id}`} />
        <p class="hint">${say("boxes.release_text")}</p>
        <${Sure} app=${app} act=${() => end("revoke")} label=${say("boxes.revoke")} question=${say("boxes.revoke_sure")} test=${`revoke-${box.id}`} />
        <p class="hint">${say("boxes.revoke_text")}</p>`}
    </details>
  </li>`;
}

/** Puts a box's updates off for a while.
 * @param {{ app: Store, box: Box }} props */
function Postpone({ app, box }) {
  const { say } = app;
  const path = `boxes/${encodeURIComponent(box.id)}/postpone`;
  /** @type {import("./store.js").Heard<{ until_ms: number | null }>} */
  const heard = useHeard(app, path, LATER);
  const until = heard.value?.until_ms ?? null;
  const hours = app.draft(`postpone-${box.id}`, String(POSTPONE[1]));
  /** @param {number} hours */
  const put = async (hours) => {
    await app.send("POST", path, { hours }, "postpone");
    await app.load(path);
  };
  return html`${!heard.value && html`<${Waiting} app=${app} of=${heard} />`}
    ${until !== null && html`<p role="status" data-test=${`postponed-${box.id}`}>${say("postpone.until")} ${at(app, until)}</p>
      <${Action} app=${app} act=${() => put(0)} label=${say("postpone.end")} test=${`postpone-end-${box.id}`} />`}
    <${Form} app=${app} send=${() => put(Number(hours[0]))} label=${say("postpone.go")} test=${`postpone-${box.id}`} kind="">
      <${Select} label=${say("postpone.title")} draft=${hours} hint=${say("postpone.text")} test=${`postpone-hours-${box.id}`}
        options=${POSTPONE.map((count) => [String(count), lasting(say, count * 3_600_000)])} />
    <//>`;
}

/** A box comes in by the code on its page. The code may stand in the address already.
 * @param {{ app: Store }} props */
export function Claim({ app }) {
  const { say, tenant } = app;
  /** @type {import("./store.js").Heard<Site[]>} */
  const sites = useHeard(app, `tenants/${tenant?.id}/sites`, LATER);
  /** @type {Claimed | null} */
  const claimed = app.held.get("claimed") ?? null;
  const code = app.draft("claim-code", tidy(app.route.rest[0] ?? ""));
  const name = app.draft("claim-name");
  const site = app.draft("claim-site");
  const send = async () => {
    if (tidy(code[0]) === "") throw { code: "code_missing" };
    const what = { code: tidy(code[0]), name: name[0].trim(), site: site[0] };
    app.held.set("claimed", await app.send("POST", `tenants/${tenant?.id}/claims`, what, "claim"));
    app.done("claim-code", "claim-name", "claim-site");
  };
  if (claimed) return html`<${Words} app=${app} claimed=${claimed} />`;
  return html`<${Title}>${say("boxes.claim")}<//>
    <p>${say("claim.text")}</p>
    <${Form} app=${app} send=${send} label=${say("claim.go")} test="claim-go">
      <${Field} label=${say("claim.code")} draft=${code} test="claim-code" autocomplete="off" autocapitalize="characters" spellcheck="false" maxlength="32" />
      <${Field} label=${say("claim.name")} draft=${name} hint=${say("claim.name_hint")} test="claim-name" maxlength="64" autocomplete="off" />
      <${Select} label=${say("camera.site")} draft=${site} options=${siteOptions(app, sites.value)} test="claim-site" />
    <//>
    <p><a href="/find">${say("signin.find")}</a></p>`;
}

/** The words that both sides must show alike.
 * @param {{ app: Store, claimed: Claimed }} props */
function Words({ app, claimed }) {
  const { say, tenant } = app;
  /** @type {import("./store.js").Heard<Progress>} */
  const { value } = useHeard(app, `tenants/${tenant?.id}/claims/${claimed.session}`, SOON);
  const state = value?.state ?? "claimed";
  const leave = () => {
    app.held.delete("claimed");
    app.go(state === "joined" ? "wall" : "boxes");
  };
  return html`<${Title}>${say("claim.words")}<//>
    <section class="card needs">
      <p>${say("claim.words_text")}</p>
      <p class="big" data-test="check-words" translate="no" lang="en">${claimed.check_words}</p>
    </section>
    <div role="status" data-test="claim-state" data-state=${state}>
      <p class=${{ claimed: "searching", joined: "state live", expired: "state stopped" }[state]}>${say(`claim.${state}`)}</p>
    </div>
    <div class="actions">
      <button type="button" class=${state === "joined" ? "primary" : ""} data-test="claim-done" onClick=${leave}>${say(state === "joined" ? "claim.wall" : "do.later")}</button>
    </div>
    <p class="soft">${say("claim.no_match")}</p>`;
}
