// The player page: one camera, live, muted, for as long as the page is open. Nothing here ever gives up.
//
// Addresses: `?player=hlsjs` and `?player=native` force an engine.
// For tests: `window.streambox.stats()` gives
//   engine        "hlsjs", "native" or null
//   latency       seconds from the frame's arrival at the box to now, or null when unknown
//   target        seconds behind the live edge that the engine aims at, or null
//   firstFrameMs  milliseconds from the start of the page's load to the first picture, or null
//   decodedFrames, droppedFrames   since the page was opened, over every reload of the source
//   stalls        times the picture ran out of data
//   recoveries    times the player jumped to live or loaded the source anew
//   lastRecovery  why, the last time
//   position, playing, notice      the media time, whether it moves, the sentence over the picture

import { Backoff, bufferedAhead, chooseEngine, Clock, latencyText, notice, Pace, sinceText, Watchdog } from "./logic.js";
import { HlsJs, Native } from "./engines.js";

const { status, hls: script } = document.body.dataset;
const [video, badge, panel, words, since] = ["video", "badge", "panel", "words", "since"].map((name) =>
  document.getElementById(name),
);
const url = new URL("index.m3u8", location.href).href;
// A cloud's page asks beside itself; it answers many viewers and knows less than the box, so it is asked when the picture
// stands still.
const remote = !status.startsWith("/");

const choice = chooseEngine({
  forced: new URLSearchParams(location.search).get("player"),
  vendor: navigator.vendor ?? "",
  mse: "MediaSource" in window || "ManagedMediaSource" in window,
  native: video.canPlayType("application/vnd.apple.mpegurl") !== "",
  hlsjs: Boolean(script),
});

const backoff = new Backoff();
const clock = new Clock();
const watchdog = new Watchdog(performance.now());
const pace = new Pace();
let engine = null;
let reloading = null;
let camera = null;
let silentSince = null;
let nextAsk = null;
let patient = false; // the next question is far away
let lastPlaylist = null;
let blocked = false;
let held = false; // the viewer pressed pause
let advancedAt = -Infinity;
let movingSince = null;
let lastPosition = 0;
let frames = { decoded: 0, dropped: 0 }; // of the sources before this one
const told = { firstFrameMs: null, stalls: 0, recoveries: 0, lastRecovery: null, latency: null, notice: null };

const wanted = () => document.visibilityState === "visible" && !held;

function recovered(why) {
  told.recoveries += 1;
  told.lastRecovery = why;
}

function quality() {
  const now = video.getVideoPlaybackQuality?.();
  return { decoded: now?.totalVideoFrames ?? 0, dropped: now?.droppedVideoFrames ?? 0 };
}

const on = {
  moved: () => watchdog.streamMoved(performance.now()),
  stalled: () => {
    if (told.firstFrameMs !== null && wanted()) told.stalls += 1;
  },
  failed: (why) => reload(why),
};

/** Loads the source anew, soon, and later each time that it does not help. */
function reload(why) {
  if (reloading !== null) return;
  recovered(why);
  stop();
  reloading = setTimeout(() => {
    reloading = null;
    start();
  }, backoff.next());
}

function stop() {
  if (engine === null) return;
  const seen = quality();
  engine.destroy();
  engine = null;
  frames = { decoded: frames.decoded + seen.decoded, dropped: frames.dropped + seen.dropped };
}

/** hls.js is a script of its own, so that only browsers that need it load it. */
function loadHls() {
  return new Promise((resolve) => {
    if (window.Hls) return resolve(window.Hls);
    const tag = document.createElement("script");
    tag.src = script;
    tag.onload = () => resolve(window.Hls ?? null);
    tag.onerror = () => {
      tag.remove();
      resolve(null);
    };
    document.head.append(tag);
  });
}

async function start() {
  watchdog.reset(performance.now());
  if (choice === "native") {
    engine = new Native(video, url, on);
  } else if (choice === "hlsjs") {
    const Hls = await loadHls();
    if (Hls === null) return reload("hls.js did not load");
    engine = new HlsJs(Hls, video, url, on);
  }
  play();
}

function play() {
  if (held) return;
  video.play().then(
    () => (blocked = false),
    (error) => {
      // NotAllowedError: the browser wants a tap (iPhone saving power). Anything else is a source being changed.
      blocked = error.name === "NotAllowedError";
    },
  );
}

function toLive(why) {
  recovered(why);
  engine?.toLive();
  play();
}

function firstFrame() {
  told.firstFrameMs ??= performance.now();
}

/** The server's word on this camera, and its clock. Quick while nothing moves, slow while all is well. */
async function ask() {
  patient = false;
  const sent = Date.now();
  try {
    const answer = await fetch(status, { cache: "no-store", signal: AbortSignal.timeout(4000) });
    const body = await answer.json().catch(() => null);
    if (answer.ok && body !== null) {
      if (typeof body.now_ms === "number") clock.sample(sent, Date.now(), body.now_ms);
      if (camera !== null && body.facts.units !== camera.facts.units) on.moved();
      camera = body;
    } else if (answer.status === 404) {
      const sentence = body?.error ?? "This link shows nothing now: it was switched off, or it is not spelled right.";
      camera = { state: { state: "stopped" }, sentence, since_ms: null, facts: {} };
    } else throw new Error(answer.statusText);
    silentSince = null;
    if (remote && choice === "native" && !advancing()) await lookAtPlaylist();
  } catch {
    silentSince ??= clock.at(Date.now());
  }
  patient = remote && advancing();
  nextAsk = setTimeout(ask, patient ? 15_000 : advancing() && !camera?.sentence ? 3000 : 1000);
}

/** The browser's own HLS does not tell whether the stream goes on, and a cloud counts no frames. */
async function lookAtPlaylist() {
  const answer = await fetch("live.m3u8", { cache: "no-store", signal: AbortSignal.timeout(4000) });
  if (!answer.ok) return;
  const text = await answer.text();
  if (lastPlaylist !== null && text !== lastPlaylist) on.moved();
  lastPlaylist = text;
}

const advancing = () => performance.now() - advancedAt < 1500;

/** Twice a second: badge, notice, watchdog. */
function tick() {
  const now = performance.now();
  const position = video.currentTime;
  if (position !== lastPosition && video.readyState >= 2) advancedAt = now;
  lastPosition = position;
  movingSince = advancing() ? (movingSince ?? now) : null;
  if (patient && !advancing()) {
    clearTimeout(nextAsk);
    ask();
  }
  // An outage is over when the picture has moved for a while: the next one is met with quick tries again.
  if (movingSince !== null && now - movingSince > 10_000) backoff.reset();
  const playing = engine?.playingMs() ?? null;
  told.latency = playing === null || !advancing() ? null : (clock.at(Date.now()) - playing) / 1000;

  if (engine !== null) {
    const action = watchdog.tick(now, position, wanted() && !blocked);
    if (action === "live") toLive("the picture stood still");
    else if (action === "reload") reload("the picture stood still");
    else if (wanted() && advancing()) keepPace(now, position);
  }
  show();
}

function keepPace(now, position) {
  const [behind, ahead] = [engine.behind(), bufferedAhead(video.buffered, position)];
  if (engine.paced) video.playbackRate = pace.speed(behind, ahead);
  if (pace.leap(now, behind, ahead)) toLive("too far behind");
}

function show() {
  const text = latencyText(told.latency);
  badge.textContent = !advancing() ? "…" : text === null ? "live" : `live · ${text}`;
  badge.dataset.state = !advancing() ? "off" : told.latency > 5 ? "late" : "live";
  const said = notice({
    camera,
    silentSince,
    engine: choice,
    canPlay: (mime) => engine?.canPlay(mime) ?? true,
    blocked,
    advancing: advancing(),
    remote,
  });
  told.notice = said?.text ?? null;
  panel.hidden = said === null;
  if (said === null) return;
  if (words.textContent !== said.text) words.textContent = said.text;
  since.textContent = sinceText(said.since, clock.at(Date.now()), clock.offset);
}

// A page that shows the player in a frame has a heading of its own.
if (window.parent !== window) document.body.classList.add("framed");
video.muted = true; // the attribute alone is not enough in every browser
video.addEventListener("pause", () => {
  // Browsers pause hidden pages and sources that end by themselves; only the viewer pauses a visible picture.
  if (engine !== null && document.visibilityState === "visible" && video.readyState >= 2 && !video.ended) held = true;
});
video.addEventListener("play", () => {
  if (!held) return;
  held = false;
  toLive("the viewer pressed play");
});
panel.addEventListener("click", play);
document.addEventListener("visibilitychange", () => {
  watchdog.reset(performance.now());
  if (wanted() && engine !== null) toLive("the page is in front again");
});
if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(firstFrame);
else video.addEventListener("loadeddata", firstFrame, { once: true });

window.streambox = {
  stats() {
    const now = quality();
    return {
      engine: choice,
      latency: told.latency,
      target: engine?.target() ?? null,
      firstFrameMs: told.firstFrameMs,
      decodedFrames: frames.decoded + now.decoded,
      droppedFrames: frames.dropped + now.dropped,
      stalls: told.stalls,
      recoveries: told.recoveries,
      lastRecovery: told.lastRecovery,
      position: video.currentTime,
      playing: advancing(),
      notice: told.notice,
    };
  },
};

start();
ask();
setInterval(tick, 500);
