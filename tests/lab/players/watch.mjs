// What both browsers do with the box's pages: open them side by side, watch their <video>, tell what happened.
//
// The plan comes as JSON in the first argument:
//   { pages: [{ name, url }], seconds, until: "time" | "stdin", flags: [more of the browser's] }
// One JSON line per page on stdout when it is over. With until "stdin", `opened` is printed once every page moves; each
// line `look` on stdin is answered with the same lines and `looked`; any other line, or its end, ends the watch.
import { createInterface } from "node:readline";

/** Runs in the page: looks at the picture 20 times a second. */
export function sample() {
  const video = () => document.querySelector("video");
  const seen = {
    firstFrameMs: null,
    start: null,
    stall: 0,
    longestStall: 0,
    stalls: [],
    frames: 0,
    lastFrames: 0,
    framesLost: 0,
    position: null,
    wall: null,
  };
  window.labWatch = seen;
  const frames = () => {
    // A player that reloads its source starts counting anew.
    const now = video()?.getVideoPlaybackQuality?.().totalVideoFrames ?? 0;
    seen.frames += now >= seen.lastFrames ? now - seen.lastFrames : now;
    seen.lastFrames = now;
    return now;
  };
  const endStall = (wall) => {
    if (seen.stall > 500) seen.stalls.push({ at: Date.now(), ms: Math.round(seen.stall) });
    seen.longestStall = Math.max(seen.longestStall, seen.stall);
    seen.stall = 0;
  };
  setInterval(() => {
    const element = video();
    if (!element) return;
    const wall = performance.now();
    const position = element.currentTime;
    frames();
    if (seen.firstFrameMs === null) {
      if (seen.frames === 0 || position === 0) return;
      seen.firstFrameMs = window.streambox?.stats().firstFrameMs ?? wall;
      seen.start = { wall, position, frames: seen.frames };
    } else {
      // A busy browser may look late; then the position has moved on as far as the clock, and nothing stood still.
      const passed = wall - seen.wall;
      if (position - seen.position < passed * 0.00005) seen.stall += passed;
      else endStall(wall);
      seen.now = { wall, position, frames: seen.frames };
    }
    seen.wall = wall;
    seen.position = position;
  }, 50);
}

/** Runs in the page: what the sampler has seen, as one flat object. */
export function report() {
  const seen = window.labWatch;
  // The number in the picture's corner: eight squares, the lowest bit first (lab::clips::Numbered).
  const number = () => {
    const video = document.querySelector("video");
    if (!video?.videoWidth) return null;
    const canvas = document.createElement("canvas");
    canvas.width = 640;
    canvas.height = 360;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(video, 0, 0, 640, 360);
    const at = Date.now();
    const light = [...Array(8).keys()].map((bit) => context.getImageData(16 + 32 * bit, 16, 1, 1).data[1]);
    const value = light.reduce((sum, light, bit) => sum + (light > 128 ? 2 ** bit : 0), 0);
    return { value, at };
  };
  const stats = window.streambox?.stats() ?? null;
  const error = document.querySelector("video")?.error?.message ?? null;
  if (!seen?.start || !seen.now) return { playing: false, stats, error, notice: stats?.notice ?? null };
  return {
    playing: true,
    first_frame_ms: Math.round(seen.firstFrameMs),
    seconds: (seen.now.wall - seen.start.wall) / 1000,
    media_seconds: seen.now.position - seen.start.position,
    frames: seen.now.frames - seen.start.frames,
    longest_stall_ms: Math.round(Math.max(seen.longestStall, seen.stall)),
    stalls: seen.stalls,
    stall_ms: Math.round(seen.stall),
    position: seen.now.position,
    number: number(),
    width: document.querySelector("video")?.videoWidth ?? 0,
    error,
    stats,
    notice: stats?.notice ?? null,
  };
}

export const plan = () => JSON.parse(process.argv[2]);
const say = (line) => console.log(typeof line === "string" ? line : JSON.stringify(line));
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** `open(url)` gives a page that can `evaluate(function)`. */
export async function watch(open, { pages, seconds, until }) {
  const opened = [];
  for (const { name, url } of pages) {
    const page = await open(url);
    opened.push({ name, url, page });
    // One after the other: a page whose start is measured should not wait for the next one's.
    const settled = async () => {
      const { playing, notice } = await page.evaluate(report);
      return playing || notice;
    };
    const end = Date.now() + 3000;
    while (Date.now() < end && !(await settled())) await sleep(100);
  }
  const reports = () =>
    Promise.all(
      opened.map(async ({ name, url, page }) => {
        try {
          return { name, url, ...(await page.evaluate(report)) };
        } catch (error) {
          return { name, url, playing: false, error: String(error) };
        }
      }),
    );
  if (until === "stdin") {
    const end = Date.now() + seconds * 1000;
    while (Date.now() < end && !(await reports()).every((page) => page.playing)) await sleep(200);
    say("opened");
    for await (const line of createInterface({ input: process.stdin })) {
      if (line !== "look") break;
      for (const page of await reports()) say(page);
      say("looked");
    }
  } else {
    await sleep(seconds * 1000);
    // The last page was opened last, and starting takes a moment: all get their full time.
    const late = async () => (await reports()).some((page) => page.playing && page.seconds < seconds);
    const end = Date.now() + 15000;
    while (Date.now() < end && (await late())) await sleep(250);
  }
  for (const line of await reports()) say(line);
}
