// A camera without a box: fetched from a public address, pushed by an encoder, or behind a WireGuard peer.

import { Copy, Field, Form, html, Password, Qr, Title } from "../../firmware/assets/web/parts.js";
import { Push } from "./camera.js";
import { isAddress } from "./logic.js";
import { LATER, Once, Select, useHeard } from "./pieces.js";

/** @import { Made, Site } from "./types.js" */
/** @import { Store } from "./store.js" */

const KINDS = ["pull", "push", "peer"];
const SCHEMES = ["rtsp:", "rtsps:"];

/** @param {{ app: Store }} props */
export function Add({ app }) {
  const { say, tenant } = app;
  /** @type {Made | null} */
  const made = app.held.get("made") ?? null;
  /** @type {import("./store.js").Heard<Site[]>} */
  const sites = useHeard(app, `tenants/${tenant?.id}/sites`, LATER);
  const kind = app.draft("add-kind", "pull");
  const title = app.draft("add-title");
  const site = app.draft("add-site");
  const url = app.draft("add-url");
  const user = app.draft("add-user");
  const password = app.draft("add-password");
  const target = app.draft("add-target");
  const path = app.draft("add-path");
  const login = () => (user[0].trim() || password[0] ? { user: user[0].trim(), password: password[0] } : {});
  const source = () => {
    if (kind[0] === "push") return { kind: "push" };
    if (kind[0] === "peer") {
      if (target[0].trim() === "") throw { code: "target_missing" };
      return { kind: "peer", target: target[0].trim(), path: path[0].trim(), ...login() };
    }
    if (!isAddress(url[0].trim(), SCHEMES)) throw { code: "address_wrong" };
    return { kind: "pull", url: url[0].trim(), ...login() };
  };
  const send = async () => {
    if (title[0].trim() === "") throw { code: "name_missing" };
    const what = { title: title[0].trim(), site: site[0], source: source() };
    /** @type {Made} */
    const answer = await app.send("POST", `tenants/${tenant?.id}/cameras`, what, kind[0] === "peer" ? "peer" : "source");
    app.done("add-title", "add-url", "add-user", "add-password", "add-target", "add-path");
    if (answer.push || answer.peer) app.hold("made", answer);
    else app.go(`camera/${answer.id}`);
  };
  if (made) return html`<${Title}>${say("add.made")}<//><${Secret} app=${app} made=${made} />`;
  /** @type {[string, string][]} */
  const options = [["", say("sites.without")], .../** @type {[string, string][]} */ ((sites.value ?? []).map(({ id, name }) => [id, name]))];
  return html`<${Title}>${say("cameras.add")}<//>
    <p>${say("add.text")}</p>
    <${Form} app=${app} send=${send} label=${say("add.go")} test="add-go">
      <fieldset class="field"><legend>${say("add.kind")}</legend>
        ${KINDS.map((name) => html`<label key=${name} class="row tick"><input type="radio" name="kind" value=${name} checked=${kind[0] === name}
          onChange=${() => kind[1](name)} data-test=${`add-${name}`} /><span class="grow"><strong>${say(`kind.${name}`)}</strong> <span class="soft">${say(`add.${name}_text`)}</span></span></label>`)}
      </fieldset>
      <${Field} label=${say("camera.name")} draft=${title} test="add-title" maxlength="64" autocomplete="off" />
      <${Select} label=${say("camera.site")} draft=${site} options=${options} test="add-site" />
      ${kind[0] === "pull" && html`<${Field} label=${say("add.url")} draft=${url} hint=${say("add.url_hint")} test="add-url" inputmode="url" autocapitalize="none" spellcheck="false" autocomplete="off" placeholder="rtsp://203.0.113.5:554/stream" />`}
      ${kind[0] === "peer" && html`
        <${Field} label=${say("add.target")} draft=${target} hint=${say("add.target_hint")} test="add-target" autocapitalize="none" spellcheck="false" autocomplete="off" placeholder="192.168.1.64:554" />
        <${Field} label=${say("add.path")} draft=${path} hint=${say("add.path_hint")} test="add-path" autocapitalize="none" spellcheck="false" autocomplete="off" placeholder="/stream" />`}
      ${kind[0] !== "push" && html`
        <${Field} label=${say("add.user")} draft=${user} test="add-user" autocapitalize="none" spellcheck="false" autocomplete="off" />
        <${Password} say=${say} label=${say("add.password")} draft=${password} test="add-password" autocomplete="off" />`}
    <//>`;
}

/** What is shown once: the key to push with, or the peer's file.
 * @param {{ app: Store, made: Made }} props */
function Secret({ app, made }) {
  const { say } = app;
  const done = () => {
    app.held.delete("made");
    app.go(`camera/${made.id}`);
  };
  if (made.push) return html`<${Push} app=${app} push=${made.push} done=${done} />`;
  const config = made.peer?.config ?? "";
  const file = `data:text/plain;charset=utf-8,${encodeURIComponent(config)}`;
  return html`<${Once} app=${app} test="peer" done=${done}>
    <p>${say("peer.text")}</p>
    <${Qr} text=${config} label=${say("peer.qr")} />
    <pre class="scroll" tabindex="0" data-test="peer-config" translate="no">${config}</pre>
    <div class="actions">
      <a class="button" href=${file} download="streambox.conf" data-test="peer-file">${say("peer.file")}</a>
      <${Copy} say=${say} text=${config} name=${say("peer.copy")} test="peer-copy" />
    </div>
  <//>`;
}
