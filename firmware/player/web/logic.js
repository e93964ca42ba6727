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
 * such an outage the picture must be back soon, so that patience is shorter then, also when it has moved a little: what
 * Firefox had left in its buffer is over before it goes on. One lone move is no stream: the box closes the last part
 * once it has noticed that the camera is gone.
 */
export class Watchdog {
  static patience = 4000;
  static patienceAfterOutage = 1500;
  static outage = 3000;
  static settling = 5000;

  constructor(now) {
    this.reset(now);
    this.position = -1;
    this.streamMovedAt = now;
    this.lone = false;
  }

  /** The source was loaded anew: be patient again. */
  reset(now) {
    this.stuckSince = now;
    this.triedLive = false;
    this.backAt = -Infinity;
  }

  /** The playlist (or the box's count of frames) went on. */
  streamMoved(now) {
    this.lone = now - this.streamMovedAt > Watchdog.outage;
    if (this.lone) {
      this.reset(now);
      this.backAt = now;
    }
    this.streamMovedAt = now;
  }

  /** Every half second: null, "live" (jump to the live edge) or "reload" (load the source anew). */
  tick(now, position, shouldPlay) {
    const moved = Math.abs(position - this.position) > 0.01;
    this.position = position;
    const streaming = !this.lone && now - this.streamMovedAt < Watchdog.outage;
    if (moved && shouldPlay) {
      this.stuckSince = now;
      this.triedLive = false;
    }
    if (!shouldPlay || !streaming) {
      this.stuckSince = now;
      return null;
    }
    const settles = now - this.backAt < Watchdog.settling;
    if (now - this.stuckSince < (settles ? Watchdog.patienceAfterOutage : Watchdog.patience)) return null;
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

/** Where the part of a playlist begins that no discontinuity follows, seconds. `fragments`: { cc, start }, in order, with
 * `cc` the count of discontinuities so far. */
export function newestStart(fragments) {
  const newest = fragments.at(-1)?.cc;
  return fragments.find(({ cc }) => cc === newest)?.start ?? 0;
}

/** How fast to play, and when to jump, so that a picture that fell behind (a slow start, a busy machine) is live again.
 *
 * `behind`: seconds from the picture to where this engine means to be, or null; it does not grow while the camera is
 * silent. `ahead`: seconds that are buffered after the picture. What lies there is all that a hitch of the network can
 * use up, so it is never spent for the last tenths of a second.
 */
export class Pace {
  static quick = 1.15; // beyond this much behind: hurry
  static hurry = 0.8;
  static brisk = 1.1; // heard by nobody
  static slow = 0.95; // lets a buffer grow that the next late part would empty
  static close = { start: -0.1, stop: 0 };
  static start = { behind: 0.3, ahead: 1.2 };
  static stop = { behind: 0.1, ahead: 0.8 };
  static far = 2.4; // jump, if what is there is buffered
  static veryFar = 4; // jump in any case
  static cushion = 0.2; // seconds of buffer where a jump lands
  static patience = 3000;
  static pause = 10_000; // an engine with its own idea of "live" would only undo a jump

  constructor() {
    this.rate = 1;
    this.farSince = null;
    this.leapedAt = -Infinity;
  }

  /** The playback rate from now on. */
  speed(behind, ahead) {
    const { behind: near, ahead: enough } = this.rate > 1 ? Pace.stop : Pace.start;
    if (behind > near && ahead > enough) this.rate = behind > Pace.hurry ? Pace.quick : Pace.brisk;
    else if (behind !== null && behind < (this.rate < 1 ? Pace.close.stop : Pace.close.start)) this.rate = Pace.slow;
    else this.rate = 1;
    return this.rate;
  }

  /** Whether to jump to the live edge now. */
  leap(now, behind, ahead) {
    this.farSince = behind > Pace.far ? (this.farSince ?? now) : null;
    if (this.farSince === null || now - this.farSince < Pace.patience || now - this.leapedAt < Pace.pause) return false;
    if (ahead < behind + Pace.cushion && !(behind > Pace.veryFar)) return false;
    this.leapedAt = now;
    this.farSince = null;
    return true;
  }
}

/** Seconds behind the live edge that this browser needs where the playlist asks for less, or null: as the playlist says.
 *
 * When Firefox's decoder runs dry, it is drained, begins again at the last keyframe, and the picture stands still for
 * more than a second, whatever is buffered by then. Parts of 200 ms on a busy machine let that happen once a minute.
 */
export function holdBack(userAgent, partHoldBack) {
  const firefox = 1.2;
  return /\bFirefox\//.test(userAgent) && partHoldBack > 0 && partHoldBack < firefox ? firefox : null;
}

/** Seconds that are buffered without a hole from `position` on; `ranges` as HTMLMediaElement gives them. */
export function bufferedAhead(ranges, position) {
  for (let i = 0; i < ranges.length; i += 1) {
    if (ranges.start(i) <= position + 0.1 && position < ranges.end(i)) return ranges.end(i) - position;
  }
  return 0;
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

/** "since 14:03:10 (3 min)" in the viewer's own time, with the day once that is not obvious; "" when nothing is known. `since`
 * is on the server's clock, whose time is `now`; `skew` is how far the viewer's clock is behind it, milliseconds. */
export function sinceText(since, now, skew = 0) {
  if (since === null || since === undefined) return "";
  const at = new Date(since - skew);
  const obvious = now - since < 18 * 3_600_000;
  return `since ${obvious ? at.toLocaleTimeString() : at.toLocaleString()} (${durationText(now - since)})`;
}

/** A codec string of each kind, for asking the browser whether it plays at all. */
const PROBE = { h264: 'video/mp4; codecs="avc1.640028"', h265: 'video/mp4; codecs="hvc1.1.6.L120.90"' };

/** What to say over the picture: {text, since} with `since` on the server's clock or null, or null for nothing.
 *
 * `camera` is the last answer to the page's question for the camera's state, or null; `silentSince` is when the server stopped
 * answering, or null; `remote`: the server is a cloud, whose word on the camera is some seconds old, so that a picture that
 * moves is believed more; `canPlay(mime)` asks the engine; `blocked`: the browser wants a
 * tap first; `advancing`: the picture moves.
 */
export function notice({ camera, silentSince, engine, canPlay, blocked, advancing, remote = false }) {
  if (remote && advancing) return null;
  if (silentSince !== null) {
    const who = remote ? "This site" : "The box";
    return { text: `${who} does not answer. It is tried again by itself.`, since: silentSince };
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
