// Joining the cloud: a code for the service, its question with the check words, and how the connection is.

import { duration } from "../../assets/web/figures.js";
import { Action, html, Qr, Title } from "../../assets/web/parts.js";

/** @import { Ready } from "./store.js" */
/** @import { Join } from "./types.js" */

/** @param {{ app: Ready }} props */
export function Cloud({ app }) {
  const { say, overview, wizard } = app;
  const join = overview.join ?? { state: "off" };
  return html`<${Title}>${say("cloud.title")}<//>
    <div role="status" data-test="join-state" data-state=${join.state}><${Now} app=${app} join=${join} /></div>
    ${join.state === "code" && html`<${Code} app=${app} join=${join} />`}
    ${join.state === "claimed" && html`<${Question} app=${app} join=${join} />`}
    ${wizard && html`<div class="onward"><div class="actions">
      <button type="button" data-test="join-later" onClick=${() => app.go("links")}>${say("do.later")}</button>
    </div></div>`}`;
}

/** @param {{ app: Ready, join: Join }} props */
function Now({ app, join }) {
  const { say } = app;
  const { state, owner, tunnel, uplink, sentence } = join;
  const trouble = sentence && ["asking", "code", "joining"].includes(state) && html`<p>${say("cloud.trouble")}</p>`;
  if (state === "off") return html`<p>${say("cloud.off")}</p>`;
  if (state === "asking") return html`<p>${say("cloud.asking")}</p>${trouble}`;
  if (state === "code") return html`<p>${say("cloud.code")}</p>${trouble}`;
  if (state === "claimed") return html`<p class="aside">${say("cloud.claimed", { owner })}</p>`;
  if (state === "joining") return html`<p>${say("cloud.joining", { owner: owner ?? "" })}</p>${trouble}`;
  if (state === "stopped") return html`<p>${say("cloud.stopped")}</p>`;
  return html`<p>${say("cloud.joined", { owner: owner ?? "" })}</p>
    <p class=${`state ${tunnel?.up ? "live" : "waiting"}`}>${say(tunnel?.up ? "cloud.up" : "cloud.down")}</p>
    ${uplink?.short && html`<p>${say("cloud.short")}</p>`}`;
}

/** @param {{ app: Ready, join: Join }} props */
function Code({ app, join: { code, claim_url: link, expires_in_s: seconds, cloud } }) {
  const { say } = app;
  const time = duration(seconds ?? 0).map(([unit, number]) => say(`unit.${unit}`, { number })).join(" ");
  return html`<section class="card code">
    <p class="big" data-test="join-code" translate="no">${code}</p>
    ${link && html`<${Qr} text=${link} label=${say("cloud.code_qr", { url: link })} />`}
    <p>${say("cloud.code_text", { url: cloud ?? "" })}</p>
    ${link && html`<p><a href=${link} target="_blank" rel="noreferrer noopener" data-test="join-link">${link}</a></p>`}
    <p class="soft">${say("cloud.expires", { time })}</p>
  </section>`;
}

/** @param {{ app: Ready, join: Join }} props */
function Question({ app, join: { owner, check_words: words, session } }) {
  const { say } = app;
  return html`<section class="card needs" data-test="join-question">
    <h2>${say("cloud.claimed", { owner })}</h2>
    <p>${say("cloud.words")}</p>
    <p class="big" data-test="join-words" translate="no" lang="en">${words}</p>
    <div class="actions">
      <${Action} app=${app} act=${() => app.join(session ?? "", true)} label=${say("cloud.yes")} kind="primary" test="join-yes" />
      <${Action} app=${app} act=${() => app.join(session ?? "", false)} label=${say("cloud.no")} test="join-no" />
    </div>
  </section>`;
}
