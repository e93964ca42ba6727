// What the page decides, free of the page: no DOM, no network, no clock. Times are milliseconds since 1970 unless a name says
// otherwise.

/** @import { Camera, Channel, Device, Encoder, Join, Obstacle, Pick, State, Wait } from "./types.js" */

/** Pages of a signed-in owner, by the address's hash. */
export const PAGES = ["find", "access", "cameras", "cloud", "links", "history", "box", "help"];
/** The steps that a new owner sees counted. */
export const STEPS = ["language", "password", "find", "access", "cameras", "cloud", "links"];

/** What to show. `chosen`: whether a language was chosen here; `hash`: without `#`; `cameras`: how many the box has, null while
 * unknown; `picks`: how many devices are ticked.
 * @param {{ state: State | null, chosen: boolean, hash: string, cameras: number | null, picks: number }} from */
export function view({ state, chosen, hash, cameras, picks }) {
  if (state === null) return "loading";
  if (!state.claimed) {
    if (!state.can_claim) return "closed";
    return chosen ? "password" : "language";
  }
  if (!state.signed_in) return "signin";
  const page = hash === "join" ? "cloud" : hash;
  if (page === "access" && picks === 0) return "find";
  if (PAGES.includes(page)) return page;
  if (cameras === null) return "loading";
  return cameras === 0 ? "find" : "cameras";
}

/** The page that follows by itself during the first set-up, or null while there is something to do.
 * @param {{ page: string, join: { state: Join["state"] } | null }} from */
export function onward({ page, join }) {
  if (page !== "cloud" || !join) return null;
  return join.state === "joined" || join.state === "off" ? "links" : null;
}

/** How a device presents itself: maker and model, else its own name, else nothing.
 * @param {{ maker: string | null, model: string | null, name: string | null }} device */
export function deviceTitle({ maker, model, name }) {
  const known = [maker, model].filter(Boolean);
  if (maker && model?.toLowerCase().startsWith(maker.toLowerCase())) return model;
  return known.join(" ") || name || null;
}

/** Whether another device answers where a camera of the box was: the owner must say that this is right.
 * @param {Device} device */
const changed = (device) => device.obstacles.some(({ code }) => code === "changed_device");

/** Whether a device is a camera of the box already.
 * @param {Device} device */
const taken = (device) => device.cameras.length > 0 && !changed(device);

/** Ways of being found that only cameras and recorders know. */
const TELLING = ["ws_discovery", "sadp", "dhip", "rtsp_sweep"];

/** Whether a device is a camera, as far as one can see from outside.
 * @param {Device} device */
export function looksLikeCamera(device) {
  return (
    device.channels.length > 0 ||
    device.sources.some((source) => TELLING.includes(source)) ||
    (device.sources.includes("mdns") && /axis|camera|onvif|rtsp/i.test(`${device.maker} ${device.model} ${device.name}`))
  );
}

/** Whether a device can be added now: what must be done at the device first cannot.
 * @param {Device} device */
export function addable(device) {
  return !device.obstacles.some(({ code, fix }) => code === "not_activated" || fix === "reach");
}

/** Devices in three lists: `cameras` to choose from, `done` those that are cameras of the box, `others` the rest. Stays in a
 * stable order while devices arrive: what came first stays first.
 * @param {readonly Device[]} devices
 * @param {Map<string, number>} seen */
export function sortDevices(devices, seen) {
  for (const { key } of devices) if (!seen.has(key)) seen.set(key, seen.size);
  const ordered = [...devices].sort((a, b) => (seen.get(a.key) ?? 0) - (seen.get(b.key) ?? 0));
  const done = ordered.filter(taken);
  const free = ordered.filter((device) => !taken(device));
  return { done, cameras: free.filter(looksLikeCamera), others: free.filter((device) => !looksLikeCamera(device)) };
}

/** Whether a device is ticked before the owner said anything.
 * @param {Device} device */
export const suggested = (device) => looksLikeCamera(device) && !changed(device);

/** The name of a choice: a device, or one channel of it.
 * @param {Device} device
 * @param {Channel} [channel] */
export const choice = (device, channel) => (channel ? `${device.key} ${channel.token}` : device.key);

/** What is chosen: `ticks` holds what the owner ticked or unticked; everything else that looks like a camera and can be added
 * is chosen, but for a device in another's place. In the form that the box takes, with a title for people.
 * @param {readonly Device[]} devices
 * @param {Map<string, boolean>} ticks
 * @param {readonly string[]} addresses
 * @returns {Pick[]} */
export function picks(devices, ticks, addresses) {
  /** @type {Pick[]} */
  const chosen = [];
  for (const device of devices) {
    if (taken(device) || !addable(device)) continue;
    const title = deviceTitle(device) ?? device.addresses[0] ?? device.key;
    /** @param {string} name */
    const ticked = (name) => ticks.get(name) ?? suggested(device);
    if (device.channels.length === 0) {
      if (ticked(device.key)) chosen.push({ pick: { device: device.key }, title, address: device.addresses[0] });
      continue;
    }
    for (const channel of device.channels) {
      if (!ticked(choice(device, channel))) continue;
      chosen.push({ pick: { channel: [device.key, channel.token] }, title: `${title}: ${channel.name}`, address: device.addresses[0] });
    }
  }
  return [...chosen, ...addresses.map((address) => ({ pick: { address }, title: withoutLogin(address), address: withoutLogin(address) }))];
}

/** An address as it may be shown: without user and password.
 * @param {string} address */
export const withoutLogin = (address) => address.replace(/^([a-z]+:\/\/)[^/]*@/i, "$1");

/** What a camera is doing, in one word: `off`, `live`, `connecting`, `waiting` or `stopped`.
 * @param {Camera} camera */
export function condition(camera) {
  if (!camera.on) return "off";
  return camera.state.state === "streaming" ? "live" : camera.state.state;
}

const NEEDS_LOGIN = ["wrong_password", "password_needed"];

/** What stands in a camera's way: what the box lists, and its state's trouble if that is not among it.
 * @param {Camera} camera
 * @returns {Obstacle[]} */
export function obstacles(camera) {
  if (!camera.on) return [];
  const { trouble } = camera.state;
  const code = trouble?.trouble;
  if (!code || camera.obstacles.some((obstacle) => obstacle.code === code)) return camera.obstacles;
  return [{ code, fix: NEEDS_LOGIN.includes(code) ? "login" : null }, ...camera.obstacles];
}

/** Whether an obstacle is worth a line of its own now: a lock that is open again is none.
 * @param {Obstacle} obstacle
 * @param {number} boxNow */
export const current = ({ until_ms: until }, boxNow) => !until || until > boxNow;

/** Cameras that wait for another user name and password, and those that could be made ready for browsers.
 * @param {readonly Camera[]} cameras */
export function fixable(cameras) {
  const ours = cameras.filter((camera) => camera.ours);
  /** @param {Obstacle["fix"]} fix */
  const having = (fix) => ours.filter((camera) => obstacles(camera).some((obstacle) => obstacle.fix === fix));
  const login = having("login");
  return { login, improve: having("improve").filter((camera) => !login.includes(camera)) };
}

/** Recorders some of whose pictures are cameras of the box, but not all. `left`: keys of those that the owner leaves so.
 * @param {readonly Device[]} devices
 * @param {Set<string>} left */
export function missingChannels(devices, left) {
  return devices.filter(({ key, cameras, channels }) => cameras.length > 0 && channels.length > cameras.length && !left.has(key));
}

/** The camera to show live: the one that was asked for while it is live, else the first that every browser plays, else the
 * first.
 * @param {readonly Camera[]} cameras
 * @param {string | null} wanted */
export function previewed(cameras, wanted) {
  const live = cameras.filter((camera) => condition(camera) === "live");
  const everywhere = live.find((camera) => camera.state.video === "h264");
  return live.find((camera) => camera.id === wanted) ?? everywhere ?? live[0] ?? null;
}

/** A list with the item at `from` moved by one place, or null at the end of the list.
 * @param {readonly string[]} ids
 * @param {string} id
 * @param {number} by */
export function moved(ids, id, by) {
  const from = ids.indexOf(id);
  const to = from + by;
  if (from < 0 || to < 0 || to >= ids.length) return null;
  const order = [...ids];
  order.splice(to, 0, ...order.splice(from, 1));
  return order;
}

/** A box's time as the reader's clock would have shown it: clocks of boxes may be off.
 * @param {number} ms
 * @param {number} boxNow
 * @param {number} now */
export const readersTime = (ms, boxNow, now) => ms - boxNow + now;

/** In which words the system in the other slot is told of: one that is not whole is nothing yet.
 * @param {{ version: string | null, state: string }} held */
export const heldAs = ({ version, state }) => (version ? (state === "empty" ? "unknown" : state) : "empty");

/** What a complete version waits for, as a key of the words and what fills it in. The cloud's hours are true time, so the
 * reader's clock shows them as they are.
 * @param {Wait | null} wait
 * @param {number} now
 * @param {(ms: number) => string} clock
 * @returns {[string, Record<string, string>]} */
export function waitWords(wait, now, clock) {
  if (!wait) return ["wait.nobody", {}];
  const at = wait.at_ms ?? (wait.in_s === null ? null : now + wait.in_s * 1000);
  if (wait.reason === "window" && at === null) return ["wait.window_open", {}];
  return [`wait.${wait.reason}`, { at: at === null ? "" : clock(at) }];
}

/** In which words a stick is told of.
 * @param {{ good: boolean, version: string | null }} stick */
export const stickWords = ({ good, version }) => (good ? (version ? "stick.good" : "stick.nothing") : "stick.refused");

/** Seconds until tonight: three o'clock by the reader's clock, at least one and at most a day away.
 * @param {Date} now */
export function tonight(now) {
  const night = new Date(now);
  night.setHours(3, 0, 0, 0);
  if (night <= now) night.setDate(night.getDate() + 1);
  return Math.min(Math.max(Math.round((night.getTime() - now.getTime()) / 1000), 1), 86_400);
}

/** Mbit/s as somebody types them, as kbit/s: null for "no limit", undefined when it is no number.
 * @param {string} text */
export function kilobits(text) {
  if (text.trim() === "") return null;
  const value = Number(text.trim().replace(",", "."));
  return Number.isFinite(value) && value > 0 && value <= 100_000 ? Math.max(1, Math.round(value * 1000)) : undefined;
}

/** A format as people know it.
 * @param {string | undefined} name */
export const format = (name) => (/^h26[45]$/i.test(name ?? "") ? `H.${name?.slice(1)}` : (name ?? ""));

/** What "make it ready" changed: rows of [what, before, after] that differ.
 * @param {{ before: Encoder, after: Encoder }} improvement
 * @returns {[string, string | number | null, string | number | null][]} */
export function improvements({ before, after }) {
  /** @param {Encoder} encoder */
  const seconds = ({ gop, fps }) => (gop > 0 && fps > 0 ? Math.round((gop / fps) * 10) / 10 : null);
  /** @type {[string, string | number | null, string | number | null][]} */
  const rows = [
    ["encoding", format(before.encoding), format(after.encoding)],
    ["size", `${before.width}×${before.height}`, `${after.width}×${after.height}`],
    ["gop", seconds(before), seconds(after)],
    ["rate", before.bit_rate_kbps * 1000, after.bit_rate_kbps * 1000],
  ];
  return rows.filter(([, was, is]) => was !== is);
}

/** A camera's link inside the network. A page under the box's own certificate gives plain links: others' browsers would warn.
 * @param {string} id
 * @param {string} origin
 * @param {readonly string[]} pages */
export function nearLink(id, origin, pages) {
  const plain = pages.filter((page) => page.startsWith("http:"));
  // The name that led this reader here leads others, too.
  const same = plain.find((page) => new URL(page).hostname === new URL(origin).hostname);
  const base = origin.startsWith("http:") ? origin : (same ?? plain.at(-1) ?? origin);
  return new URL(`/${id}/`, base).href;
}

/** A device's own page: of its address, whatever that holds, only the host.
 * @param {string} address */
export const deviceUrl = (address) => `http://${host(address)}/`;

/** The host in an address, as it stands in another: without what is around it, its port included.
 * @param {string} address */
export function host(address) {
  const place = (address.replace(/^[a-z]+:\/\//i, "").split(/[/?#]/)[0] ?? "").replace(/^.*@/, "");
  return /^[0-9a-f]*:[0-9a-f:.]+$/i.test(place) ? `[${place}]` : place.replace(/:\d+$/, "");
}
