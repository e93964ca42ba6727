// Help that needs no internet: the questions that owners ask, and each maker's own menus.

import { html, Title } from "../../assets/web/parts.js";

/** @import { Store } from "./store.js" */

/** Makers, with the menu in which each lets others in, in the menu's own words, where it is known (`camera::vendor::menu`). */
const MAKERS = [
  ["hikvision", "Hikvision, HiLook, HiWatch", "Configuration > Network > Advanced Settings > Integration Protocol > Enable ONVIF"],
  ["dahua", "Dahua, Imou, Amcrest", "Setting > System > Account > ONVIF User"],
  ["uniview", "Uniview", null],
  ["tplink", "TP-Link Tapo, VIGI", "Tapo app > Device Settings > Advanced Settings > Camera Account"],
  ["axis", "Axis", "System > ONVIF > Add accounts"],
  ["hanwha", "Hanwha (Wisenet)", "Setup > Basic > User"],
  ["reolink", "Reolink", "Settings > Network > Advanced > Server Settings > ONVIF"],
  ["trassir", "Trassir", null],
];

/** @param {{ app: Store }} props */
export function Help({ app }) {
  const { say } = app;
  /** @param {string} name */
  const question = (name) => html`<details class="card"><summary>${say(`help.${name}`)}</summary><p>${say(`help.${name}_text`)}</p></details>`;
  return html`<${Title}>${say("help.title")}<//>
    ${question("password")} ${question("locked")} ${question("none")}
    <h2>${say("help.makers")}</h2>
    ${MAKERS.map(([key, name, menu]) => html`<details class="card" key=${key} data-test=${`help-${key}`}>
      <summary>${name}</summary>
      <h3>${say("help.where_password")}</h3>
      <p>${say(`help.${key}_password`)}</p>
      <h3>${say("help.where_onvif")}</h3>
      ${menu && html`<p><span class="menu" lang="en">${menu}</span></p>`}
      <p>${say(`help.${key}_onvif`)}</p>
    </details>`)}`;
}
