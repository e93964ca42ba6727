// One box's updates: what it tried and how that ended, which version it is kept at, and whether it is left alone.

import { Action, Field, Form, html, Title } from "../../firmware/assets/web/parts.js";
import { Why } from "./campaign.js";
import { at, LATER, Select, SOON, useHeard, Waiting } from "./pieces.js";
import { reasoned, versions } from "./rollout.js";
import { Stale } from "./updates.js";

/** @import { FleetBox, Past, Release } from "./types.js" */
/** @import { Heard, Store } from "./store.js" */

/** The campaign of what happens to a box that is kept at a version: none that anybody runs. */
const PIN = "pin";

/** @param {{ app: Store }} props */
export function History({ app }) {
  const { say } = app;
  const id = app.route.rest[0] ?? "";
  const path = `fleet/boxes/${encodeURIComponent(id)}`;
  /** @type {Heard<FleetBox>} */
  const heard = useHeard(app, path, SOON);
  const box = heard.value;
  const back = html`<p><a href="#/updates" data-test="back">${say("fleet.back")}</a></p>`;
  if (!box) return html`<${Title}>${say("operator.box")}<//><${Waiting} app=${app} of=${heard} />${back}`;
  return html`<${Title}>${box.name || say("boxes.unnamed")}<//>
    <${Stale} app=${app} of=${heard} />
    <p><code>${box.box}</code></p>
    <p class="soft" data-test="box-now">${[box.tenant, box.site, say("boxes.version", { version: box.version }), box.board, box.standing && say(`standing.${box.standing}`)].filter(Boolean).join(" · ")}</p>
    ${box.postponed_ms !== null && box.postponed_ms > Date.now() && html`<p>${say("postpone.until")} ${at(app, box.postponed_ms)}</p>`}
    <${Pin} app=${app} box=${box} path=${path} />
    <${Hold} app=${app} box=${box} path=${path} />
    <section class="card"><h2>${say("history.title")}</h2>
      ${box.history.length === 0 && html`<p class="soft" data-test="history-empty">${say("history.none")}</p>`}
      <ol class="plain rows" data-test="history">${box.history.map((past, index) => html`<${Line} key=${`${past.at_ms} ${index}`} app=${app} past=${past} />`)}</ol>
    </section>
    ${back}`;
}

/** @param {{ app: Store, past: Past }} props */
function Line({ app, past }) {
  const { say } = app;
  const { at_ms: ms, campaign, version, who, what, why, journal } = past;
  const person = who !== "box" && who !== "machine";
  // The moment until which it is put off comes as a number.
  // What a silent box says the cloud says for it.
  const said = what === "silent" ? "" : what === "postponed" ? at(app, Number(why)) : person ? why && html`<q>${why}</q>` : html`<${Why} why=${why} />`;
  return html`<li data-what=${what}>
    <span class="soft">${at(app, ms)}</span> <strong>${say(`told.${what}`, {}, what)}</strong> ${campaign && campaign !== PIN ? html`<a href=${`#/campaign/${campaign}`}>${version}</a>` : version} ${said}
    ${person && who && html`<span class="soft more">${who}</span>`}
    ${journal && html`<details><summary>${say("history.journal")}</summary>
      <pre class="scroll" tabindex="0" lang="en" translate="no">${journal}</pre></details>`}
  </li>`;
}

/** The one version that the box may have.
 * @param {{ app: Store, box: FleetBox, path: string }} props */
function Pin({ app, box, path }) {
  const { say } = app;
  /** @type {Heard<Release[]>} */
  const releases = useHeard(app, "fleet/releases", LATER);
  const known = versions((releases.value ?? []).filter(({ board }) => box.board === "" || board === box.board)).map(({ version }) => version);
  const all = box.pin !== null && !known.includes(box.pin) ? [box.pin, ...known] : known;
  const pin = app.draft(`pin-${box.box}`, box.pin ?? "");
  const send = async () => {
    await app.send("PATCH", path, { pin: pin[0] || null }, "fleetbox");
    await app.load(path);
    app.done(`pin-${box.box}`);
  };
  return html`<section class="card" data-test="pin" data-pin=${box.pin ?? ""}><h2>${say("pin.title")}</h2>
    <p>${box.pin === null ? say("pin.none") : say("pin.is", { version: box.pin })}</p>
    <${Form} app=${app} send=${send} label=${say("do.save")} test="pin-go" kind="">
      <${Select} label=${say("operator.version")} draft=${pin} hint=${say("pin.hint")} test="pin-version" options=${[["", say("pin.free")], ...all.map((version) => [version, version])]} />
    <//>
  </section>`;
}

/** Whether the box gets updates at all.
 * @param {{ app: Store, box: FleetBox, path: string }} props */
function Hold({ app, box, path }) {
  const { say } = app;
  const reason = app.draft(`hold-${box.box}`);
  /** @param {{ reason: string } | null} hold */
  const put = async (hold) => {
    await app.send("PATCH", path, { hold }, "fleetbox");
    await app.load(path);
    app.done(`hold-${box.box}`);
  };
  const send = async () => put(reasoned("hold", reason[0]));
  return html`<section class="card" data-test="hold" data-held=${box.hold === null ? "no" : "yes"}><h2>${say("hold.title")}</h2>
    ${box.hold !== null
      ? html`<p>${say("hold.is")} <q>${box.hold}</q></p><${Action} app=${app} act=${() => put(null)} label=${say("hold.end")} test="hold-end" />`
      : html`<p>${say("hold.none")}</p><${Form} app=${app} send=${send} label=${say("hold.go")} test="hold-go" kind="">
        <${Field} label=${say("order.reason")} draft=${reason} test="hold-reason" maxlength="200" autocomplete="off" />
      <//>`}
  </section>`;
}
