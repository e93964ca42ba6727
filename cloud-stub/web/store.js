// What the portal knows: who is signed in, what the cloud has said, what was typed. It asks for what is on the screen again and
// again and calls `changed` after everything that a reader could notice. Nothing that was typed is dropped before it arrived.

import { chooseLanguage } from "../../firmware/assets/web/language.js";
import { speaker } from "../../firmware/assets/web/words.js";
import { call, Refused, whole } from "./api.js";
import { atLeast, chosenTenant, route, view } from "./logic.js";

/** @import { Language } from "../../firmware/assets/web/language.js" */
/** @import { Refusal, Say } from "../../firmware/assets/web/words.js" */
/** @import { Draft } from "../../firmware/assets/web/parts.js" */
/** @import { Files, Me, Role, Tenant } from "./types.js" */

/** What was heard at an address: its last good answer, and why there is no newer one.
 * @template [T=any]
 * @typedef {{ value?: T, error?: Refusal | null }} Heard */

/** The browser's own memory, which may be switched off.
 * @param {string} name */
const kept = (name) => {
  try {
    return window.localStorage.getItem(name);
  } catch {
    return null;
  }
};
/** @param {string} name
 * @param {string | null} value */
const keep = (name, value) => {
  try {
    if (value === null) window.localStorage.removeItem(name);
    else window.localStorage.setItem(name, value);
  } catch {
    // Then a reload asks again.
  }
};

export class Store {
  /** @type {Say} */
  say = (key) => key;
  /** @type {Language | null} */
  language = null;
  chosen = kept("language");
  /** Who is signed in: undefined while unknown, null when nobody is.
   * @type {Me | null | undefined} */
  me = undefined;
  /** @type {string | null} */
  wanted = kept("tenant");
  /** A tenant that an operator has opened without being somebody in it.
   * @type {Tenant | null} */
  visited = null;
  /** How often in a row the cloud did not answer. */
  silent = 0;
  /** @type {Map<string, Heard>} */
  heard = new Map();
  /** @type {Map<string, string>} */
  drafts = new Map();
  /** What views remember while one goes elsewhere.
   * @type {Map<string, any>} */
  held = new Map();
  /** Who typed what is in the drafts: somebody else's are not theirs.
   * @type {string | null} */
  author = null;

  /** @param {Files} files where the words are
   * @param {() => void} changed */
  constructor(files, changed) {
    this.files = files;
    this.changed = changed;
    window.addEventListener("hashchange", () => this.changed());
  }

  async start() {
    await Promise.all([this.speak(), this.who()]);
    if (this.me) await this.speak();
  }

  /** Asks who is signed in; again after a while when the cloud does not answer. */
  async who() {
    try {
      this.became(await call("GET", "me"));
      this.silent = 0;
    } catch (error) {
      if (error instanceof Refused && error.status === 401) {
        this.me = null;
        this.silent = 0;
      } else {
        this.silent += 1;
        setTimeout(() => this.who(), 3000);
      }
    }
    this.changed();
  }

  /** Somebody is signed in.
   * @param {Me} me */
  became(me) {
    if (this.author !== me.person.id) {
      this.heard.clear();
      this.held.clear();
      this.visited = null;
      if (this.author !== null) this.drafts.clear();
    }
    this.author = me.person.id;
    this.me = me;
  }

  /** Loads the words of the language that counts now. */
  async speak() {
    const language = chooseLanguage({ chosen: this.chosen, kept: this.me?.person.language, preferred: navigator.languages });
    if (language !== this.language) {
      const answer = await fetch(this.files[language]);
      this.say = speaker(await answer.json());
      this.language = language;
      document.documentElement.lang = language;
    }
    this.changed();
  }

  /** A reader's choice, kept by this browser and, once somebody is signed in, by the cloud.
   * @param {Language} language */
  async choose(language) {
    this.chosen = language;
    keep("language", language);
    await this.speak();
    if (this.me && this.me.person.language !== language) {
      this.me = { ...this.me, person: { ...this.me.person, language } };
      await this.send("PATCH", "me", { language }).catch(() => null);
    }
  }

  /** The tenant whose things are shown.
   * @returns {Tenant | null} */
  get tenant() {
    if (!this.me) return null;
    if (this.visited && this.visited.id === this.wanted) return this.visited;
    // An operator is somebody in every tenant, and in none before one was opened.
    if (this.me.person.operator) return this.me.tenants.find(({ id }) => id === this.wanted) ?? null;
    return chosenTenant(this.me.tenants, this.wanted);
  }

  /** Shows another tenant's things.
   * @param {{ id: string, name: string }} tenant */
  visit(tenant) {
    this.wanted = tenant.id;
    keep("tenant", tenant.id);
    const own = this.me?.tenants.some(({ id }) => id === tenant.id);
    this.visited = own ? null : { id: tenant.id, name: tenant.name, role: "owner" };
    this.go("wall");
  }

  /** Whether somebody is at least this in the tenant that is shown.
   * @param {Role} least */
  may(least) {
    return atLeast(this.tenant?.role, least);
  }

  /** What is shown. */
  get view() {
    return view({ me: this.me, tenant: this.tenant, hash: location.hash });
  }

  get route() {
    return route(location.hash);
  }

  /** @param {string} to */
  go(to) {
    // With a slash, so that it is an address and no name of an element to jump to.
    if (location.hash === `#/${to}`) this.changed();
    else location.hash = `/${to}`;
  }

  /** What is typed into a field.
   * @param {string} name
   * @param {string} [first]
   * @returns {Draft} */
  draft(name, first = "") {
    return [
      this.drafts.get(name) ?? first,
      (value) => {
        this.drafts.set(name, value);
        this.changed();
      },
    ];
  }

  /** What was typed has arrived.
   * @param {...string} names */
  done(...names) {
    for (const name of names) this.drafts.delete(name);
    this.changed();
  }

  /** Remembers something for a view.
   * @param {string} name
   * @param {any} value */
  hold(name, value) {
    this.held.set(name, value);
    this.changed();
  }

  /** Asks for what is at an address.
   * @param {string} path */
  async load(path) {
    const of = this.author;
    try {
      const value = await whole(path);
      if (of !== this.author) return;
      this.heard.set(path, { value, error: null });
      this.silent = 0;
    } catch (thrown) {
      if (of !== this.author) return;
      const error = /** @type {Refusal} */ (thrown);
      if (error.code === "silent") this.silent += 1;
      this.refused(error);
      // What is gone, or not theirs any more, is not shown any longer.
      const value = error.status === 404 || error.status === 403 ? undefined : this.heard.get(path)?.value;
      this.heard.set(path, { value, error });
    }
    this.changed();
  }

  /** Keeps an address fresh while somebody looks; gives what ends that.
   * @param {string} path
   * @param {number} every milliseconds; 0: once */
  watch(path, every) {
    void this.load(path);
    if (every === 0) return () => {};
    const timer = setInterval(() => document.visibilityState === "visible" && this.load(path), every);
    return () => clearInterval(timer);
  }

  /** Has the cloud do something. `about`: see `call`.
   * @param {string} method
   * @param {string} path
   * @param {unknown} [body]
   * @param {string} [about]
   * @returns {Promise<any>} */
  async send(method, path, body, about) {
    const answer = await call(method, path, { body, csrf: this.me?.csrf ?? null, ...(about ? { about } : {}) });
    this.silent = 0;
    return answer;
  }

  /** A refusal may mean that the session ended: then the page asks to sign in, and keeps what was typed.
   * @param {Refusal} error */
  refused(error) {
    if (error.status !== 401 || !this.me) return;
    this.me = null;
    this.changed();
  }

  /** @param {string} email
   * @param {string} password */
  async signIn(email, password) {
    this.became(await this.send("POST", "session", { email, password }, "signin"));
    this.done("signin-password");
    await this.speak();
  }

  /** @param {string} secret
   * @param {{ name: string, password: string, language: string | null }} person */
  async accept(secret, person) {
    this.became(await this.send("POST", `invitations/${encodeURIComponent(secret)}`, person, "invitation"));
    this.done("new-name", "new-password");
    location.replace("#");
    await this.speak();
  }

  async signOut() {
    await this.send("DELETE", "session");
    this.drafts.clear();
    this.heard.clear();
    this.held.clear();
    this.author = null;
    this.visited = null;
    this.me = null;
    this.go("");
    this.changed();
  }
}
