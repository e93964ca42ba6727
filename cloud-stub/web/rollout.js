// What the portal decides about updates of the fleet, free of the page: no DOM, no network, no clock. The cloud decides what
// happens to boxes; this only says it. Times are milliseconds since 1970 unless a name says otherwise.

/** @import { Campaign, CampaignState, Chosen, Counts, Release, Window } from "./types.js" */

/** The rings in the order in which they open: the boxes that somebody named, then per cent of all. */
export const STAGES = /** @type {const} */ (["canary", "1", "5", "25", "100"]);

/** How a box may stand in a campaign. */
export const STANDINGS = /** @type {const} */ (["offered", "fetching", "ready", "restarting", "committed", "failed", "silent", "superseded"]);

/** What the cloud wants before a ring is followed by the next one: so many of its boxes have decided, so many of these failed at
 * most. The cloud knows better whom it waits for: boxes that it has not heard of for a day are not, those in the ring that it
 * knows and has not told yet are, as long as nobody has decided. */
export const WANTED = { decided: 0.9, failed: 0.02 };

/** How long a ring is watched if nobody says otherwise, hours, and how long at most. */
export const SOAK = { hours: 24, most: 720 };

/** For how long its owner may put a box's updates off, hours; the cloud takes 168 at most. */
export const POSTPONE = [8, 24, 72, 168];

/** @param {Counts} counts */
export const decided = ({ committed, failed, silent }) => committed + failed + silent;

/** @param {Counts} counts */
const moving = ({ offered, fetching, ready, restarting }) => offered + fetching + ready + restarting;

/** The parts of a campaign's bar from left to right, in per cent of the ring's boxes: what went well, what did not, what is under
 * way. What is left of the bar has not been asked yet. A part that is there at all is seen.
 * @param {Counts} counts */
export function bar(counts) {
  const parts = [
    { part: "committed", count: counts.committed },
    { part: "failed", count: counts.failed + counts.silent },
    { part: "moving", count: moving(counts) },
  ];
  const all = Math.max(counts.ring, parts.reduce((sum, { count }) => sum + count, 0));
  let from = 0;
  const drawn = parts.map(({ part, count }) => {
    const width = count === 0 ? 0 : Math.min(100 - from, Math.max(1, (count / all) * 100));
    const place = { part, count, from, width };
    from += width;
    return place;
  });
  return { drawn, rest: Math.max(0, all - drawn.reduce((sum, { count }) => sum + count, 0)) };
}

/** The rings, each with where the campaign is: behind it, at it, or before it. Without boxes that were named there is no such ring.
 * @param {Pick<Campaign, "state" | "stage" | "canaries">} campaign
 * @returns {{ stage: typeof STAGES[number], place: "past" | "now" | "ahead" }[]} */
export function steps({ state, stage, canaries }) {
  const all = STAGES.filter((known) => known !== "canary" || canaries.length > 0);
  const now = state === "done" ? all.length : all.findIndex((known) => known === stage);
  return all.map((stage, index) => ({ stage, place: index < now ? "past" : index === now && state !== "draft" ? "now" : "ahead" }));
}

/** What must be true before the next ring opens, and how far it is. Boxes that were never told are not waited for, unless there
 * are no others.
 * @param {Pick<Campaign, "counts" | "rate" | "bake_s" | "since_ms">} campaign
 * @param {number} now */
export function needs({ counts, rate, bake_s: bake, since_ms: since }, now) {
  const done = decided(counts);
  const of = done + moving(counts);
  const ends = since + bake * 1000;
  return {
    soak: { ends_ms: ends, met: now >= ends },
    decided: { count: done, of, wanted: Math.ceil(of * WANTED.decided), met: of > 0 ? done >= of * WANTED.decided : counts.ring === 0 },
    failed: { rate, met: rate <= WANTED.failed },
  };
}

/** What an operator may do in a state, in the order of the buttons. The cloud refuses everything else.
 * @param {CampaignState} state
 * @returns {readonly ("start" | "pause" | "resume" | "advance" | "withdraw")[]} */
export function orders(state) {
  switch (state) {
    case "draft":
      return ["start", "withdraw"];
    case "running":
      return ["advance", "pause", "withdraw"];
    case "paused":
    case "halted":
      return ["resume", "withdraw"];
    case "done":
      return ["withdraw"];
    default:
      return [];
  }
}

/** A reason as it is sent. Throws a code when there is none; whoever starts a campaign has said why in its note.
 * @param {string} what
 * @param {string} reason */
export function reasoned(what, reason) {
  if (what !== "start" && reason.trim() === "") throw { code: "reason_missing" };
  return { reason: reason.trim() };
}

/** Whether there is a ring left to open.
 * @param {Pick<Campaign, "stage">} campaign */
export const mayAdvance = ({ stage }) => stage !== STAGES.at(-1);

/** A share that failed as per cent: never said to be less than it is.
 * @param {number} share from 0 to 1
 * @param {string} tag of a language's customs */
export const perCent = (share, tag) => number(Math.ceil(tidy(share * 1e3)) / 10, tag);

/** A share that is a lower bound as per cent: never said to be more than it is.
 * @param {number} share from 0 to 1
 * @param {string} tag */
export const atLeast = (share, tag) => number(Math.floor(tidy(share * 1e4)) / 100, tag);

/** Without the last digits of the machine's arithmetic.
 * @param {number} value */
const tidy = (value) => Math.round(value * 1e6) / 1e6;
/** @param {number} value
 * @param {string} tag */
const number = (value, tag) => new Intl.NumberFormat(tag, { maximumFractionDigits: 2 }).format(value);

/** Releases by version, the last published first, with the boards that each is for and the highest security version.
 * @param {readonly Release[]} releases
 * @returns {{ version: string, security: number, boards: string[] }[]} */
export function versions(releases) {
  /** @type {Map<string, { version: string, security: number, boards: string[] }>} */
  const all = new Map();
  for (const { version, board, security } of [...releases].sort((a, b) => b.since - a.since)) {
    const known = all.get(version) ?? { version, security, boards: [] };
    known.security = Math.max(known.security, security);
    if (!known.boards.includes(board)) known.boards.push(board);
    all.set(version, known);
  }
  return [...all.values()].map((row) => ({ ...row, boards: [...row.boards].sort() }));
}

/** Reason and ring of an event: the cloud puts the ring that was opened before the reason.
 * @param {{ what: string, why: string }} event */
export function opened({ what, why }) {
  if (what !== "opened" && what !== "advanced") return { ring: null, why };
  const [ring = "", ...rest] = why.split(": ");
  return { ring, why: rest.join(": ") };
}

/** What is sent to make a campaign. Throws what is missing, as a code.
 * @param {{ name: string, version: string, boards: readonly string[], all: readonly string[], canaries: readonly Chosen[],
 *   hours: string, note: string }} draft `all`: the boards that there are for the version */
export function planned({ name, version, boards, all, canaries, hours, note }) {
  if (name.trim() === "") throw { code: "name_missing" };
  if (version === "") throw { code: "version_missing" };
  if (boards.length === 0) throw { code: "board_missing" };
  const soak = soakSeconds(hours);
  return {
    name: name.trim(),
    version,
    // All boards is no choice: a board that is published later is one of them.
    ...(boards.length < all.length ? { boards: [...boards] } : {}),
    canaries: canaries.map(({ id }) => id),
    bake_s: soak,
    ...(note.trim() === "" ? {} : { note: note.trim() }),
  };
}

/** Hours as people write them, in seconds; throws a code when they are none.
 * @param {string} hours */
export function soakSeconds(hours) {
  const value = Number(hours.trim().replace(",", "."));
  if (hours.trim() === "" || !(value >= 0 && value <= SOAK.most)) throw { code: "hours_wrong" };
  return Math.round(value * 3600);
}

/** A list with something put in or, when it is there, taken out.
 * @template T
 * @param {readonly T[]} list
 * @param {T} what
 * @param {(a: T) => unknown} [by] what makes two the same */
export function toggled(list, what, by = (a) => a) {
  const rest = list.filter((known) => by(known) !== by(what));
  return rest.length < list.length ? rest : [...list, what];
}

/** Hours of a site in which boxes may restart, as they are sent: null at any time. Throws what is wrong, as a code.
 * @param {{ always: boolean, days: readonly number[], from: string, to: string }} draft days from 0, Monday
 * @returns {Window | null} */
export function window({ always, days, from, to }) {
  if (always) return null;
  if (days.length === 0) throw { code: "days_missing" };
  const time = /^([01]\d|2[0-3]):[0-5]\d$/;
  if (!time.test(from) || !time.test(to) || from === to) throw { code: "times_wrong" };
  return { days: [...days].sort((a, b) => a - b), from, to };
}

/** A site's time zone as it is sent. Throws a code when the browser knows none of this name; the cloud looks, too.
 * @param {string} name IANA's */
export function timeZone(name) {
  const zone = name.trim();
  try {
    // An offset has no summer time, and the cloud takes none.
    if (!/^[A-Za-z]/.test(zone)) throw new RangeError();
    new Intl.DateTimeFormat("en", { timeZone: zone });
  } catch {
    throw { code: "zone_unknown" };
  }
  return zone;
}

/** Whether a window goes on over midnight.
 * @param {Pick<Window, "from" | "to">} window */
export const overnight = ({ from, to }) => to < from;

/** Days of a week as stretches, for "Mon–Fri, Sun".
 * @param {readonly number[]} days
 * @returns {[number, number][]} */
export function stretches(days) {
  /** @type {[number, number][]} */
  const all = [];
  for (const day of [...days].sort((a, b) => a - b)) {
    const last = all.at(-1);
    if (last && day === last[1] + 1) last[1] = day;
    else all.push([day, day]);
  }
  return all;
}
