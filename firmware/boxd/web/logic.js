// What the player decides, free of the page: no DOM, no network, no clock. Times are milliseconds unless a
// name says otherwise; positions are seconds, as HTMLMediaElement gives them.

/** Which engine plays: "hlsjs", "native", or null when this browser can do neither.
 *
 * Safari's own HLS knows low latency and saves the phone's battery; elsewhere native HLS, where it exists at
 * all, is either slower (Chrome on Android) or new, so hls.js goes first.
 */
export function chooseEngine({ forced, vendor, mse, native, hlsjs }) {
  const can = { hlsjs: mse && hlsjs, native };
  if (forced === "hlsjs" || forced === "native") return can[forced] ? forced : null;
  const order = vendor.startsWith("Apple") ? ["native", "hlsjs"] : ["hlsjs", "native"];
  return order.find((engine) => can[engine]) ?? null;
}

/** Waits between tries: doubles from `first` to `most`, never gives up. `reset` after a success. */
export class Backoff {
  constructor(first = 250, most = 4000) {
    this.first = first;
    this.most = most;
    this.wait = first;
  }

  next() {
    const wait = this.wait;
    this.wait = Math.min(this.wait * 2, this.most);
    return wait;
  }

  reset() {
    this.wait = this.first;
  }
}

/** The box's clock, seen from here. The answer with the shortest way counts; each answer ages, so that a
 * viewer's clock that is set while the page is open is noticed. */
export class Clock {
  constructor() {
    this.offset = 0;
    this.error = Infinity;
  }

  /** An answer that left at `sent`, came at `got` and carried the box's time `server`. */
  sample(sent, got, server) {
    const error = (got - sent) / 2;
    this.error += 5;
    if (error > this.error) return;
    this.error = error;
    this.offset = server - (sent + got) / 2;
  }

  /** The box's time when the viewer's clock shows `now`. */
  at(now) {
    return now + this.offset;
  }
}

/** Sees a picture that stands still although the stream goes on, and says what to do about it.
 *
 * A camera that is silent is no fault of the player: the wait starts when the stream goes on. Right after
 * such an outage the picture must be back soon, so that patience is shorter then.
 */
export class Watchdog {
  static patience = 4000;
  static patienceAfterOutage = 1500;
  static outage = 3000;

  constructor(now) {
    this.reset(now);
    this.position = -1;
    this.streamMovedAt = now;
  }

  /** The source was loaded anew: be patient again. */
  reset(now) {
    this.stuckSince = now;
    this.triedLive = false;
    this.wait = Watchdog.patience;
  }

  /** The playlist (or the box's count of frames) went on. */
  streamMoved(now) {
    if (now - this.streamMovedAt > Watchdog.outage) {
      this.reset(now);
      this.wait = Watchdog.patienceAfterOutage;
    }
    this.streamMovedAt = now;
  }

  /** Every half second: null, "live" (jump to the live edge) or "reload" (load the source anew). */
  tick(now, position, shouldPlay) {
    const moved = Math.abs(position - this.position) > 0.01;
    this.position = position;
    const streaming = now - this.streamMovedAt < Watchdog.outage;
    if (moved && shouldPlay) this.reset(now);
    if (!shouldPlay || !streaming) {
      this.stuckSince = now;
      return null;
    }
    if (now - this.stuckSince < this.wait) return null;
    this.stuckSince = now;
    if (this.triedLive) {
      this.triedLive = false;
      return "reload";
    }
    this.triedLive = true;
    return "live";
  }
}

/** Whether a playlist does not join the one before: the box was restarted, or this page slept for long. Its
 * media times have nothing to do with what is buffered. `segments` are [sequence number, date in ms]. */
export function sequenceBroken(before, now) {
  if (before === null || before.segments.length === 0 || now.segments.length === 0) return false;
  const dates = new Map(before.segments);
  const [first, last] = [now.segments[0][0], now.segments.at(-1)[0]];
  if (first > Math.max(...dates.keys()) + 1 || last < Math.min(...dates.keys())) return true;
  return now.segments.some(([number, date]) => dates.has(number) && Math.abs(dates.get(number) - date) > 1000);
}

/** Says when to jump to the live edge rather than play on: far behind, and not just after such a jump, which an
 * engine with its own idea of "live" would only undo. */
export class Leap {
  static seconds = 4;
  static pause = 10_000;

  constructor() {
    this.last = -Infinity;
  }

  /** `behind`: seconds from the picture to where this engine means to be. */
  due(now, behind) {
    if (!(behind > Leap.seconds) || now - this.last < Leap.pause) return false;
    this.last = now;
    return true;
  }
}

/** The badge's text for a latency in seconds, or null when it is not known or not believable. */
export function latencyText(seconds) {
  if (seconds === null || !Number.isFinite(seconds) || seconds < -5) return null;
  return `${Math.max(seconds, 0).toFixed(1)} s`;
}

/** "3 s", "2 min", "5 h", "4 days". */
export function durationText(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 90) return `${seconds} s`;
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`;
  if (seconds < 36 * 3600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

/** A codec string of each kind, for asking the browser whether it plays at all. */
const PROBE = { h264: 'video/mp4; codecs="avc1.640028"', h265: 'video/mp4; codecs="hvc1.1.6.L120.90"' };

/** What to say over the picture: {text, since} with `since` on the box's clock or null, or null for nothing.
 *
 * `camera` is the last answer of /api/v1/cameras/{id} or null; `silentSince` is when the box stopped
 * answering, on the viewer's clock, or null; `canPlay(mime)` asks the engine; `blocked`: the browser wants a
 * tap first; `advancing`: the picture moves.
 */
export function notice({ camera, silentSince, engine, canPlay, blocked, advancing }) {
  if (silentSince !== null) {
    return { text: "The box does not answer. It is tried again by itself.", since: silentSince };
  }
  if (engine === null) {
    return { text: "This browser can play no live video. Use a current Chrome, Edge, Firefox or Safari.", since: null };
  }
  if (camera === null) return null;
  if (camera.sentence) return { text: camera.sentence, since: camera.since_ms };
  if (camera.state.state === "connecting") {
    return { text: "Connecting to the camera…", since: camera.since_ms };
  }
  const video = camera.state.video;
  if (!advancing && video in PROBE && !canPlay(PROBE[video])) {
    const name = video === "h265" ? "H.265" : "H.264";
    return {
      text: `This camera sends ${name}, which this browser cannot play. Open this page in ${
        video === "h265" ? "Safari, or in Chrome or Edge on a device that decodes H.265" : "another browser"
      }, or set the camera's video to H.264 in its own menu.`,
      since: null,
    };
  }
  if (blocked) return { text: "Tap the picture to start.", since: null };
  return null;
}
