// The two ways to play: hls.js over Media Source Extensions, and the browser's own HLS. Both look the same to
// player.js and report through `on`: `moved()` the stream went on, `failed(why)` the engine cannot go on by
// itself, `stalled()` the picture ran out of data.

import { bufferedAhead, holdBack, newestStart, sequenceBroken } from "./logic.js";

/** hls.js retries these by itself as long as the page is open: a camera or box that is away comes back. */
const forever = (firstByteMs) => ({
  default: {
    maxTimeToFirstByteMs: firstByteMs,
    maxLoadTimeMs: firstByteMs + 5000,
    timeoutRetry: { maxNumRetry: 1e9, retryDelayMs: 0, maxRetryDelayMs: 0 },
    errorRetry: { maxNumRetry: 1e9, retryDelayMs: 250, maxRetryDelayMs: 2000, backoff: "exponential" },
  },
});

/** A media object that is gone stays gone: three tries, then the source is loaded anew. */
const briefly = {
  default: {
    maxTimeToFirstByteMs: 5000,
    maxLoadTimeMs: 15000,
    timeoutRetry: { maxNumRetry: 1, retryDelayMs: 0, maxRetryDelayMs: 0 },
    errorRetry: { maxNumRetry: 2, retryDelayMs: 200, maxRetryDelayMs: 1000, backoff: "exponential" },
  },
};

const CONFIG = {
  lowLatencyMode: true, // sync to PART-HOLD-BACK, load parts
  enableWorker: false, // fMP4 is passed through: a worker's start would cost more than it saves
  startLevel: 0,
  startFragPrefetch: true, // load the first parts while the media source still opens
  testBandwidth: false,
  backBufferLength: 6, // seconds behind the picture that stay in memory
  maxBufferLength: 10,
  liveDurationInfinity: true, // no seek bar that pretends an end
  maxLiveSyncPlaybackRate: 1, // hls.js gives up on a picture that is two seconds late; player.js catches up instead
  detectStallWithCurrentTimeMs: 500,
  highBufferWatchdogPeriod: 1,
  manifestLoadPolicy: forever(10000),
  playlistLoadPolicy: forever(10000),
  fragLoadPolicy: briefly,
};

/** Each stall buys 0.2 s of buffer, all together at most 0.8 s: more would no longer be live. Seconds. */
const perStall = (stalls) => Math.min(0.2, 0.8 / stalls);

/** When a camera falls silent, the picture may end some milliseconds after the end of the playlist, as hls.js counts
 * it. hls.js then jumps back at each reload and plays the last half second again and again. A playlist that did
 * not go on is no reason to move.
 *
 * A picture never starts before the playlist's last discontinuity either: the camera may have changed there to other
 * tracks, and a media source that began with the old ones cannot go on with the new ones. */
const calm = (StreamController) =>
  class extends StreamController {
    setStartPosition(details, sliding) {
      const seconds = holdBack(navigator.userAgent, details.partHoldBack);
      if (seconds !== null) this.hls.targetLatency = seconds;
      const start = newestStart([...details.fragments, details.fragmentHint].filter(Boolean));
      if (this.startPosition === -1 && start > (this.hls.liveSyncPosition ?? 0)) this.startPosition = start;
      super.setStartPosition(details, sliding);
    }

    synchronizeToLiveEdge(details) {
      if (details.advanced) super.synchronizeToLiveEdge(details);
    }
  };

/** hls.js. */
export class HlsJs {
  constructor(Hls, video, url, on) {
    const hls = new Hls({ ...CONFIG, streamController: calm(Hls.DefaultConfig.streamController) });
    this.hls = hls;
    this.video = video;
    this.paced = true;
    this.last = null;
    let stalls = 0;
    hls.on(Hls.Events.LEVEL_LOADED, (_, { details }) => {
      const segments = details.fragments.filter(Boolean).map(({ sn, programDateTime }) => [sn, programDateTime]);
      const now = { segments, edge: `${details.lastPartSn}.${details.lastPartIndex}` };
      if (sequenceBroken(this.last, now)) return on.failed("the stream began anew");
      if (this.last?.edge !== now.edge) on.moved();
      this.last = now;
    });
    hls.on(Hls.Events.ERROR, (_, data) => {
      if (data.details === Hls.ErrorDetails.BUFFER_STALLED_ERROR) {
        stalls += 1;
        hls.config.liveSyncOnStallIncrease = perStall(stalls);
        on.stalled();
      }
      // Not hls.recoverMediaError(): that begins with the very data that was refused.
      if (data.fatal) on.failed(data.details);
    });
    hls.loadSource(url);
    hls.attachMedia(video);
  }

  /** When the picture that is shown reached the box, milliseconds since 1970 on the box's clock, or null. */
  playingMs() {
    return this.hls.playingDate?.getTime() ?? null;
  }

  /** Seconds behind the live edge that are meant. */
  target() {
    return this.hls.targetLatency;
  }

  /** Seconds from the picture to where it should be, or null. While the camera is silent this does not grow. */
  behind() {
    const live = this.hls.liveSyncPosition;
    return live === null ? null : live - this.video.currentTime;
  }

  toLive() {
    const live = this.hls.liveSyncPosition;
    const there = live !== null && bufferedAhead(this.video.buffered, live) > 0;
    if (live !== null) this.video.currentTime = live;
    // What is on its way is wanted when the picture goes on right before it.
    if (!there) this.hls.startLoad(-1, true);
  }

  canPlay(mime) {
    return (window.ManagedMediaSource ?? window.MediaSource).isTypeSupported(mime);
  }

  destroy() {
    this.hls.destroy();
  }
}

/** The browser's own HLS. It tells nothing of its playlist: player.js takes the box's count of frames. */
export class Native {
  constructor(video, url, on) {
    this.video = video;
    this.paced = false; // it keeps its own distance
    this.failed = () => on.failed(`media error ${video.error?.code ?? "?"}`);
    this.stalled = () => on.stalled();
    video.addEventListener("error", this.failed);
    video.addEventListener("ended", this.failed);
    video.addEventListener("waiting", this.stalled);
    video.src = url;
    video.load();
  }

  playingMs() {
    const start = this.video.getStartDate?.().getTime();
    return Number.isFinite(start) ? start + this.video.currentTime * 1000 : null;
  }

  target() {
    return null;
  }

  /** As above; the browser holds back some seconds of its own. */
  behind() {
    const { seekable } = this.video;
    return seekable.length === 0 ? null : seekable.end(seekable.length - 1) - this.video.currentTime - 8;
  }

  toLive() {
    const { seekable } = this.video;
    if (seekable.length > 0) this.video.currentTime = Math.max(0, seekable.end(seekable.length - 1) - 1);
  }

  canPlay(mime) {
    return this.video.canPlayType(mime) !== "";
  }

  destroy() {
    this.video.removeEventListener("error", this.failed);
    this.video.removeEventListener("ended", this.failed);
    this.video.removeEventListener("waiting", this.stalled);
    this.video.removeAttribute("src");
    this.video.load();
  }
}
