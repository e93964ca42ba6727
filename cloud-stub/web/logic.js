// What the portal decides, free of the page: no DOM, no network, no clock. Times are milliseconds since 1970 unless a name says
// otherwise.

/** @import { Camera, Latency, Me, Outage, Point, Role, Site, Tenant } from "./types.js" */

/** @type {readonly Role[]} */
export const ROLES = ["viewer", "installer", "owner"];

/** Pages with the least role that sees them; those of the operator and of everybody apart. A page that is opened from another
 * one stands behind that one in the navigation.
 * @type {readonly { page: string, role: Role, within?: string }[]} */
const TENANT_PAGES = [
  { page: "wall", role: "viewer" },
  { page: "cameras", role: "installer" },
  { page: "camera", role: "installer", within: "cameras" },
  { page: "add", role: "installer", within: "cameras" },
  { page: "sheet", role: "installer", within: "cameras" },
  { page: "boxes", role: "installer" },
  { page: "claim", role: "installer", within: "boxes" },
  { page: "sites", role: "installer" },
  { page: "uptime", role: "installer" },
  { page: "people", role: "owner" },
  { page: "alerts", role: "owner" },
  { page: "audit", role: "owner" },
];

/** Pages of the operator of the whole cloud.
 * @type {readonly { page: string, within?: string }[]} */
const OPERATOR_PAGES = [
  { page: "operator" },
  { page: "updates" },
  { page: "plan", within: "updates" },
  { page: "campaign", within: "updates" },
  { page: "history", within: "updates" },
];

/** Where an address's hash leads: a page and what it is about.
 * @param {string} hash with or without `#` */
export function route(hash) {
  const [page = "", ...rest] = hash.replace(/^#\/?/, "").split("/");
  return { page, rest: rest.map(decoded) };
}

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Whether a role is at least another.
 * @param {Role | null | undefined} role
 * @param {Role} least */
export const atLeast = (role, least) => Boolean(role) && ROLES.indexOf(/** @type {Role} */ (role)) >= ROLES.indexOf(least);

/** The pages that somebody's navigation lists.
 * @param {Me} me
 * @param {Tenant | null} tenant */
export function navigation(me, tenant) {
  const of = TENANT_PAGES.filter(({ role, within }) => !within && tenant && atLeast(tenant.role, role)).map(({ page }) => page);
  const operated = OPERATOR_PAGES.filter(({ within }) => !within && me.person.operator).map(({ page }) => page);
  return [...of, ...operated, "profile"];
}

/** The page of the navigation that a page belongs to.
 * @param {string} page */
export const within = (page) => [...TENANT_PAGES, ...OPERATOR_PAGES].find((known) => known.page === page)?.within ?? page;

/** What to show. Somebody who may not see a page sees the first of theirs; the cloud would refuse them anyway.
 * @param {{ me: Me | null | undefined, tenant: Tenant | null, hash: string }} from `me`: undefined while unknown, null when
 *   nobody is signed in
 * @returns {string} */
export function view({ me, tenant, hash }) {
  const { page } = route(hash);
  if (page === "invitation") return "invitation";
  if (me === undefined) return "loading";
  if (me === null) return "signin";
  if (page === "profile") return page;
  if (me.person.operator && OPERATOR_PAGES.some((known) => known.page === page)) return page;
  const known = TENANT_PAGES.find((known) => known.page === page);
  if (known && tenant && atLeast(tenant.role, known.role)) return page;
  if (page === "" && me.person.operator) return "operator";
  if (tenant) return "wall";
  return me.person.operator ? "operator" : "nothing";
}

/** The tenant that counts: the one chosen before, else the first.
 * @param {Tenant[]} tenants
 * @param {string | null} wanted */
export const chosenTenant = (tenants, wanted) => tenants.find(({ id }) => id === wanted) ?? tenants[0] ?? null;

/** One page of a list: what is on it, which page it is and how many there are, from 0.
 * @template T
 * @param {readonly T[]} list
 * @param {number} size
 * @param {number} wanted */
export function paged(list, size, wanted) {
  const pages = Math.max(1, Math.ceil(list.length / size));
  const page = Math.min(Math.max(0, wanted), pages - 1);
  return { items: list.slice(page * size, (page + 1) * size), page, pages };
}

/** A camera's condition in one word: `off`, `live`, `connecting`, `waiting` while there is no picture, `away` while its box is not
 * heard.
 * @param {Pick<Camera, "on" | "state" | "box_away">} camera */
export function condition({ on, state, box_away: away }) {
  if (!on) return "off";
  if (away) return "away";
  return state === "streaming" ? "live" : state === "connecting" ? "connecting" : "waiting";
}

/** Cameras in the order of their names, by sites: those without a site last.
 * @param {readonly Camera[]} cameras
 * @param {readonly Site[]} sites
 * @param {string} language */
export function bySite(cameras, sites, language) {
  const named = new Intl.Collator(language, { numeric: true });
  const sorted = [...cameras].sort((a, b) => named.compare(a.title, b.title) || named.compare(a.id, b.id));
  const known = new Set(sites.map(({ id }) => id));
  const groups = [...sites]
    .sort((a, b) => named.compare(a.name, b.name))
    .map((site) => ({ site: /** @type {Site | null} */ (site), cameras: sorted.filter((camera) => camera.site === site.id) }));
  const rest = sorted.filter((camera) => !known.has(camera.site));
  return [...groups, { site: null, cameras: rest }].filter(({ cameras }) => cameras.length > 0);
}

/** The columns of the latency graph: seconds since 1970, and milliseconds or null where nothing answered. Where points are
 * missing, a null is put in, so that no line is drawn over a gap.
 * @param {readonly Point[]} points
 * @param {number} stepMs
 * @returns {[number[], (number | null)[]]} */
export function graph(points, stepMs) {
  /** @type {number[]} */
  const times = [];
  /** @type {(number | null)[]} */
  const pings = [];
  let last = -Infinity;
  for (const [ms, ping] of points) {
    if (ms <= last) continue;
    if (times.length > 0 && ms - last > stepMs * 1.5) {
      times.push((last + stepMs) / 1000);
      pings.push(null);
    }
    times.push(ms / 1000);
    pings.push(ping);
    last = ms;
  }
  return [times, pings];
}

/** Points from the first on that tells of a ping. What had no answer while pictures came was not asked yet: nothing was lost.
 * @param {readonly Point[]} points */
export function asked(points) {
  const first = points.findIndex(([, ping, , fps]) => ping !== null || !((fps ?? 0) > 0));
  return first < 0 ? [] : points.slice(first);
}

/** Points that come before one may say that a camera is not asked at all. */
const EARLY = 4;

/** Whether a camera's pings are measured, and if not, why: it `sends` by itself, it is `unmeasured` because its box knows it by
 * a name only, or there are `none` so far.
 * @param {Pick<Latency, "pinged" | "points">} told
 * @returns {"measured" | "sends" | "unmeasured" | "none"} */
export function pings({ pinged, points }) {
  if (!pinged) return "sends";
  if (asked(points).length > 0) return "measured";
  return points.length > EARLY ? "unmeasured" : "none";
}

/** The middle of some numbers, or null of none.
 * @param {readonly number[]} values */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? null;
}

/** The graph in words for those who do not see it: each hour with its middle and worst ping, and how many of its pings were not
 * answered.
 * @param {readonly Point[]} points */
export function hours(points) {
  const HOUR = 3_600_000;
  /** @type {Map<number, (number | null)[]>} */
  const all = new Map();
  for (const [ms, ping] of points) {
    const from = Math.floor(ms / HOUR) * HOUR;
    all.set(from, [...(all.get(from) ?? []), ping]);
  }
  return [...all]
    .sort(([a], [b]) => a - b)
    .map(([from_ms, pings]) => {
      const answered = pings.filter((ping) => ping !== null);
      return { from_ms, median: median(answered), worst: answered.length > 0 ? Math.max(...answered) : null, lost: pings.length - answered.length };
    });
}

/** Stretches without a picture as what happened, newest first: the picture was gone, and why; it was back, and after how long.
 * @param {readonly Outage[]} outages */
export function changes(outages) {
  const all = outages.flatMap(({ from_ms, to_ms, reason }) => [
    { at_ms: from_ms, back: false, reason, lasted_ms: 0 },
    ...(to_ms === null ? [] : [{ at_ms: to_ms, back: true, reason, lasted_ms: to_ms - from_ms }]),
  ]);
  return all.sort((a, b) => b.at_ms - a.at_ms || Number(b.back) - Number(a.back));
}

/** The month of a moment as the API names it.
 * @param {number} ms
 * @param {number} [by] so many months later */
export function month(ms, by = 0) {
  const at = new Date(ms);
  return new Date(Date.UTC(at.getUTCFullYear(), at.getUTCMonth() + by, 1)).toISOString().slice(0, 7);
}

/** A month before or after one.
 * @param {string} name YYYY-MM
 * @param {number} by */
export const monthBeside = (name, by) => month(Date.parse(`${name}-01T00:00:00Z`), by);

/** How long a share lives, by its choice: hours, days, or until it is taken back (null).
 * @param {string} choice
 * @param {number} now
 * @returns {number | null} */
export function expiry(choice, now) {
  const HOUR = 3_600_000;
  /** @type {Record<string, number>} */
  const hours = { hour: 1, day: 24, week: 7 * 24, month: 30 * 24 };
  const count = hours[choice];
  return count === undefined ? null : now + count * HOUR;
}

/** What is listed in a text field: lines, commas or spaces between.
 * @param {string} text */
export const listed = (text) => text.split(/[\s,;]+/).filter(Boolean);

/** Whether a text can be an e-mail address.
 * @param {string} text */
export const isEmail = (text) => /^[^\s@]+@[^\s@.]+(\.[^\s@.]+)+$/.test(text) || /^[^\s@]+@localhost$/.test(text);

/** Whether a text is an address of this scheme that names a host.
 * @param {string} text
 * @param {readonly string[]} schemes such as `rtsp:` */
export function isAddress(text, schemes) {
  // URL knows hosts of special schemes only, so rtsp is read as http.
  const scheme = schemes.find((scheme) => text.toLowerCase().startsWith(`${scheme}//`));
  return Boolean(scheme) && URL.canParse(`http:${text.slice(/** @type {string} */ (scheme).length)}`) && !/\s/.test(text);
}

/** A code as it is typed, in the form of the box's page: capitals, without spaces.
 * @param {string} text */
export const code = (text) => text.toUpperCase().replace(/\s+/g, "").slice(0, 32);

/** A link without what stands before its host, as people read it on paper.
 * @param {string} url */
export const onPaper = (url) => url.replace(/^https?:\/\//, "");

/** Per cent with as many digits as tell it from 100.
 * @param {number} percent
 * @param {string} tag of a language's customs */
export function percentage(percent, tag) {
  // Rounded down: 99.9996 % of a month was not all of it.
  const value = Math.floor(percent * 1000) / 1000;
  return new Intl.NumberFormat(tag, { maximumFractionDigits: 3 }).format(value);
}
