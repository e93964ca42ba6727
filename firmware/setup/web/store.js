// What the page knows: the box's word, what the owner typed and ticked, where in the page one is. It asks the box again and again
// and calls `changed` after everything that a reader could notice. Nothing that was typed is dropped before it arrived.

import { call, get, post } from "./api.js";
import { clock } from "../../assets/web/figures.js";
import { chooseLanguage } from "../../assets/web/language.js";
import { onward, picks, readersTime, view } from "./logic.js";
import { speaker } from "../../assets/web/words.js";

/** @import { Language } from "../../assets/web/language.js" */
/** @import { Draft } from "../../assets/web/parts.js" */
/** @import { Refusal, Say } from "../../assets/web/words.js" */
/** @import { Device, Event, Improvement, Login, Overview, Pick, State } from "./types.js" */

/** How often the box is asked: while somebody looks, while nobody does, while it is silent. Milliseconds. */
const EVERY = { seen: 1500, unseen: 10_000, silent: 2000 };
/** How many cameras are set right at the same time. */
const LANES = 3;

/** The browser's own memory, which may be switched off.
 * @param {() => Storage} storage
 * @param {string} name */
const kept = (storage, name) => {
  try {
    return storage().getItem(name);
  } catch {
    return null;
  }
};
/** @param {() => Storage} storage
 * @param {string} name
 * @param {string | null} value */
const keep = (storage, name, value) => {
  try {
    if (value === null) storage().removeItem(name);
    else storage().setItem(name, value);
  } catch {
    // Then a reload asks again.
  }
};
const local = () => window.localStorage;
const tab = () => window.sessionStorage;

/** The page while there is something to show: what every view but the first few is given.
 * @typedef {Store & { overview: Overview, language: Language }} Ready */

export class Store {
  /** @type {Say} */
  say = (key) => key;
  /** @type {Language | null} */
  language = null;
  chosen = kept(local, "language");
  /** Whether this is the first set-up: steps are counted, one button leads on. */
  wizard = kept(tab, "wizard") === "yes";
  /** @type {State | null} */
  state = null;
  /** @type {Overview | null} */
  overview = null;
  /** @type {Event[] | null} */
  events = null;
  silent = 0;
  /** Something to be told once: a key of the words.
   * @type {string | null} */
  told = null;
  restarting = false;
  /** @type {Map<string, string>} */
  drafts = new Map();
  /** @type {Map<string, boolean>} */
  ticks = new Map();
  /** @type {Map<string, number>} */
  seen = new Map();
  /** @type {string[]} */
  addresses = [];
  /** @type {Set<string>} */
  reached = new Set();
  /** @type {{ title: string, error: Refusal }[]} */
  outcomes = [];
  /** Recorders whose other pictures the owner does not want. */
  left = new Set(kept(local, "left")?.split("\n") ?? []);
  /** @type {Map<string, Improvement>} */
  improved = new Map();
  /** @type {string | null} */
  wanted = null;
  /** What was typed for a camera on this page, by its id: a recorder's other pictures want the same. Never kept anywhere.
   * @type {Map<string, Login>} */
  logins = new Map();
  timeSent = false;
  round = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  next = undefined;

  /** @param {Record<Language, string>} words
   * @param {() => void} changed */
  constructor(words, changed) {
    this.files = words;
    this.changed = changed;
    window.addEventListener("hashchange", () => {
      this.told = null;
      changed();
    });
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.refresh());
  }

  async start() {
    await Promise.all([this.speak(), this.refresh()]);
    if (this.state?.language && !this.chosen) await this.speak();
  }

  /** Loads the words of the language that counts now. */
  async speak() {
    const preferred = navigator.languages ?? [navigator.language];
    const language = chooseLanguage({ chosen: this.chosen, kept: this.state?.language, preferred });
    if (language !== this.language) {
      const answer = await fetch(this.files[language]);
      this.say = speaker(await answer.json());
      this.language = language;
      document.documentElement.lang = language;
    }
    this.changed();
  }

  /** The owner's choice, kept by this browser and, once there is an owner, by the box.
   * @param {Language} language */
  async choose(language) {
    this.chosen = language;
    keep(local, "language", language);
    await this.speak();
    if (this.state?.signed_in) await post("site", { language }).catch(() => null);
  }

  /** What is shown. */
  get view() {
    const { state, chosen, overview } = this;
    const hash = location.hash.slice(1);
    return view({ state, chosen: Boolean(chosen), hash, cameras: overview?.cameras.length ?? null, picks: this.picks.length });
  }

  /** A moment of the box's clock as the reader's would have shown it.
   * @param {number} ms */
  clockTime(ms) {
    const now = Date.now();
    return clock(readersTime(ms, this.overview?.now_ms ?? now, now), now, this.language ?? "ru");
  }

  get picks() {
    return this.overview ? picks(this.overview.devices, this.ticks, this.addresses) : [];
  }

  /** @param {string} page */
  go(page) {
    if (location.hash === `#${page}`) this.changed();
    else location.hash = page;
  }

  /** Begins or ends the first set-up.
   * @param {boolean} on */
  guide(on) {
    this.wizard = on;
    keep(tab, "wizard", on ? "yes" : null);
  }

  /** What is typed into a field: [value, change].
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

  /** Asks the box how things are, now and from then on. */
  async refresh() {
    clearTimeout(this.next);
    const round = (this.round += 1);
    try {
      const state = this.state?.signed_in ? this.state : await get("state", 10);
      const overview = state.signed_in ? await get("overview", 20) : null;
      if (round !== this.round) return;
      this.state = state;
      this.overview = overview;
      // A box that started anew was away, or knows its sessions no more.
      if (this.silent > 0 || !state.signed_in) this.restarting = false;
      this.silent = 0;
      this.follow();
    } catch (thrown) {
      const error = /** @type {Refusal} */ (thrown);
      if (round !== this.round) return;
      if (error.code === "silent") this.silent += 1;
      else this.refused(error);
    }
    const shown = document.visibilityState === "visible";
    this.next = setTimeout(() => this.refresh(), this.silent > 0 ? EVERY.silent : shown ? EVERY.seen : EVERY.unseen);
    this.changed();
  }

  /** What follows by itself from the box's word. */
  follow() {
    const { overview } = this;
    if (!overview) return;
    if (!overview.clock_known && !this.timeSent) {
      this.timeSent = true;
      post("time", { unix_ms: Date.now() }).then(
        () => this.tell("app.clock_set"),
        () => (this.timeSent = false),
      );
    }
    const next = this.wizard ? onward({ page: this.view, join: overview.join }) : null;
    if (next) location.replace(`#${next}`);
  }

  /** @param {string} key */
  tell(key) {
    this.told = key;
    this.changed();
  }

  /** A refusal may mean that the session ended: then the page asks to sign in.
   * @param {Refusal} error */
  refused(error) {
    if (error.status !== 401 || error.code === "wrong_password") return;
    this.state = this.state && { ...this.state, signed_in: false };
    this.overview = null;
    this.logins.clear();
    if (this.view === "signin") this.changed();
  }

  /** @param {string} password */
  async claim(password) {
    await post("claim", { password, language: this.language });
    this.guide(true);
    this.drafts.delete("password");
    this.state = { can_claim: false, ...this.state, claimed: true, signed_in: true };
    location.hash = "find";
    await this.refresh();
  }

  /** @param {string} password */
  async signIn(password) {
    await post("login", { password });
    this.drafts.delete("signin");
    this.state = null;
    await this.refresh();
    await this.speak();
  }

  async signOut() {
    await post("logout");
    this.guide(false);
    this.drafts.clear();
    this.logins.clear();
    Object.assign(this, { state: null, overview: null, events: null, outcomes: [] });
    location.hash = "";
    await this.refresh();
  }

  /** Adds cameras; gives the ids of those that were. What could not be added is told with the cameras.
   * @param {Pick[]} chosen
   * @param {Login | null} login
   * @returns {Promise<string[]>} */
  async add(chosen, login) {
    /** @type {{ outcomes: { Ok?: string, Err?: Refusal }[] }} */
    const { outcomes } = await post("cameras", { picks: chosen.map(({ pick }) => pick), login });
    for (const { Ok: id } of outcomes) if (id && login) this.logins.set(id, login);
    this.outcomes = chosen.flatMap(({ title }, index) => {
      const refusal = outcomes[index]?.Err;
      return refusal ? [{ title, error: { ...refusal, status: 0 } }] : [];
    });
    this.addresses = [];
    this.ticks.clear();
    this.drafts.delete("camera-password");
    await this.refresh();
    this.go("cameras");
    return outcomes.flatMap(({ Ok: id }) => (id ? [id] : []));
  }

  /** What opens a recorder, as far as it was typed on this page.
   * @param {Device} device */
  loginOf(device) {
    return device.cameras.map((id) => this.logins.get(id)).find(Boolean) ?? null;
  }

  /** Makes each picture of a recorder a camera. The camera that the recorder was as a whole shows one of them, so it goes.
   * @param {Device} device
   * @param {string} title
   * @param {Login} login */
  async addChannels(device, title, login) {
    const before = device.cameras;
    /** @type {Pick[]} */
    const picks = device.channels.map(({ token, name }) => ({ pick: { channel: [device.key, token] }, title: `${title}: ${name}` }));
    const added = await this.add(picks, login);
    this.drafts.delete("channels-password");
    if (added.length < picks.length) return;
    for (const id of before.filter((id) => !added.includes(id))) await this.remove(id);
  }

  /** The owner wants no more pictures of this recorder.
   * @param {Device} device */
  leave({ key }) {
    this.left.add(key);
    keep(local, "left", [...this.left].join("\n"));
    this.changed();
  }

  /** @param {string} id
   * @param {{ name?: string, on?: boolean, login?: Login }} change */
  async change(id, change) {
    await post(`cameras/${id}`, change);
    if (change.login) this.logins.set(id, change.login);
    await this.refresh();
  }

  /** @param {string} id */
  async remove(id) {
    await call("DELETE", `cameras/${id}`);
    await this.refresh();
  }

  /** @param {string[]} ids */
  async order(ids) {
    await post("order", { ids });
    await this.refresh();
  }

  /** @param {string} key */
  async reach(key) {
    await post("reach", { key });
    this.reached.add(key);
    await this.refresh();
  }

  /** Sets cameras right, a few at a time; how it went is told for each.
   * @param {string[]} ids */
  async improve(ids) {
    const open = [...ids];
    const lane = async () => {
      for (let id = open.shift(); id !== undefined; id = open.shift()) {
        this.improved.set(id, { busy: true });
        this.changed();
        const result = await post(`cameras/${id}/improve`).catch((error) => ({ error }));
        if (result.error) this.refused(result.error);
        this.improved.set(id, result);
        this.changed();
      }
    };
    await Promise.all(Array.from({ length: LANES }, lane));
    await this.refresh();
  }

  /** @param {string} name */
  async rename(name) {
    await post("site", { name });
    if (this.state) this.state = { ...this.state, name };
    this.drafts.delete("site");
    await this.refresh();
  }

  /** @param {number | null} kbps */
  async cap(kbps) {
    await post("uplink", { kbps });
    this.drafts.delete("uplink");
    await this.refresh();
  }

  /** @param {string} old
   * @param {string} fresh */
  async newPassword(old, fresh) {
    await post("password", { old, new: fresh });
    this.drafts.delete("password-old");
    this.drafts.delete("password-new");
    this.changed();
  }

  /** @param {string} session
   * @param {boolean} accept */
  async join(session, accept) {
    await post("join", { session, accept });
    await this.refresh();
  }

  async history() {
    const { events } = await get("events", 20);
    this.events = events;
    this.changed();
  }

  /** Restarts into the version that is complete, so many seconds from now.
   * @param {number} seconds */
  async update(seconds) {
    await post("update", { in_s: seconds });
    await this.refresh();
  }

  async restart() {
    await post("restart");
    this.restarting = true;
    this.changed();
  }

  /** @param {string} password */
  async reset(password) {
    await post("reset", { password });
    this.drafts.clear();
    this.logins.clear();
    this.guide(false);
    keep(local, "language", null);
    Object.assign(this, { chosen: null, state: null, overview: null, restarting: true });
    location.hash = "";
    await this.refresh();
  }
}
