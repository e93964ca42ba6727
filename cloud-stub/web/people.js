// Who works here, and what each may do.

import { Copy, Field, Form, html, Sure, Title, typed } from "../../firmware/assets/web/parts.js";
import { isEmail, ROLES } from "./logic.js";
import { Once, Select, SOON, useHeard, Waiting } from "./pieces.js";

/** @import { Person } from "./types.js" */
/** @import { Store } from "./store.js" */

/** @param {{ app: Store }} props */
export function People({ app }) {
  const { say, tenant } = app;
  const path = `tenants/${tenant?.id}/people`;
  /** @type {import("./store.js").Heard<Person[]>} */
  const heard = useHeard(app, path, SOON);
  return html`<${Title}>${say("page.people")}<//>
    ${!heard.value && html`<${Waiting} app=${app} of=${heard} />`}
    <ul class="cards" data-test="people">
      ${(heard.value ?? []).map((person) => html`<${One} key=${person.id} app=${app} person=${person} path=${path} />`)}
    </ul>
    <${Invite} app=${app} path=${path} />`;
}

/** @param {{ app: Store, person: Person, path: string }} props */
function One({ app, person, path }) {
  const { say, me } = app;
  const self = person.id === me?.person.id;
  const key = person.id;
  const role = app.draft(`role-${key}`, person.role);
  const save = async () => {
    await app.send("PATCH", `${path}/${key}`, { role: role[0] }, "person");
    await app.load(path);
    app.done(`role-${key}`);
  };
  const remove = async () => {
    await app.send("DELETE", `${path}/${encodeURIComponent(key)}`, undefined, "person");
    await app.load(path);
  };
  return html`<li class="card" data-test=${`person-${key}`} data-email=${person.email}>
    <h2>${person.name || person.email}</h2>
    <p class="soft">${[person.name && person.email, say(`role.${person.role}`), self && say("people.you"), !person.active && say("people.waits")].filter(Boolean).join(" · ")}</p>
    ${!self && html`<details><summary data-test=${`change-${key}`}>${say("boxes.change")}</summary>
      ${person.active && html`<${Form} app=${app} send=${save} label=${say("do.save")} test=${`role-go-${key}`} kind="">
        <${Roles} app=${app} draft=${role} test=${`role-${key}`} />
      <//>`}
      <${Sure} app=${app} act=${remove} label=${say("people.remove")} question=${say("people.remove_sure", { name: person.name || person.email })} test=${`remove-${key}`} />
    </details>`}
  </li>`;
}

/** @param {{ app: Store, draft: import("../../firmware/assets/web/parts.js").Draft, test: string }} props */
const Roles = ({ app, draft, test }) => html`<${Select} label=${app.say("people.role")} draft=${draft} test=${test} hint=${app.say(`role.${draft[0]}_may`)}
  options=${ROLES.map((role) => [role, app.say(`role.${role}`)])} />`;

/** Invites somebody. `tenant` is what the answer is for; the link is shown once.
 * @param {{ app: Store, path: string, first?: string }} props */
export function Invite({ app, path, first = "viewer" }) {
  const { say } = app;
  const email = app.draft(`invite-email-${path}`);
  const role = app.draft(`invite-role-${path}`, first);
  /** @type {{ email: string, url: string } | null} */
  const invited = app.held.get(`invited-${path}`) ?? null;
  const send = async () => {
    const to = email[0].trim();
    if (!isEmail(to)) throw { code: "email_wrong" };
    const { invitation } = await app.send("POST", path, { email: to, role: role[0] }, "invite");
    app.held.set(`invited-${path}`, { email: to, url: invitation });
    app.done(`invite-email-${path}`);
    await app.load(path);
  };
  return html`<section class="card">
    <h2>${say("people.invite")}</h2>
    ${invited && html`<${Once} app=${app} test="invited" done=${() => app.hold(`invited-${path}`, null)}>
      <p>${say("people.invited", { email: invited.email })}</p>
      <p><code data-test="invitation-link">${invited.url}</code></p>
      <${Copy} say=${say} text=${invited.url} name=${say("people.copy")} test="invitation-copy" />
    <//>`}
    <${Form} app=${app} send=${send} label=${say("people.invite_go")} test="invite-go" kind="">
      <${Field} label=${say("signin.email")} draft=${email} test="invite-email" type="email" inputmode="email" autocomplete="off" autocapitalize="none" spellcheck="false" />
      <${Roles} app=${app} draft=${role} test="invite-role" />
    <//>
  </section>`;
}

/** The choice of the tenant in the header, for those who have several.
 * @param {{ app: Store }} props */
export function Tenants({ app }) {
  const { me, tenant, visited } = app;
  const all = [...(me?.tenants ?? []), ...(visited && visited === tenant ? [visited] : [])];
  // An operator goes by the list of customers, which may be searched.
  if (!tenant || all.length < 2 || me?.person.operator) return null;
  return html`<label class="language">
    <span class="aside">${app.say("tenant.label")}</span>
    <select data-test="tenant" onChange=${(/** @type {Event} */ event) => app.visit(all.find(({ id }) => id === typed(event)) ?? tenant)}>
      ${all.map(({ id, name }) => html`<option key=${id} value=${id} selected=${id === tenant.id}>${name}</option>`)}
    </select>
  </label>`;
}
