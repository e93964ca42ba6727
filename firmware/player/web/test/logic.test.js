import assert from "node:assert/strict";
import { test } from "node:test";

import {
  Backoff, bufferedAhead, chooseEngine, Clock, durationText, holdBack, latencyText, newestStart, notice, Pace, sequenceBroken,
  sinceText, Watchdog,
} from "../logic.js";

test("Firefox stays farther behind where parts are short", () => {
  const firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";
  const chromium = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36";
  assert.ok(holdBack(firefox, 0.6) > 0.6);
  assert.equal(holdBack(firefox, 3), null, "never nearer than the playlist allows");
  assert.equal(holdBack(firefox, 0), null, "a playlist without parts");
  assert.equal(holdBack(chromium, 0.6), null);
});

test("Safari plays by itself, others by hls.js, and each falls back to the other", () => {
  const all = { forced: null, vendor: "Google Inc.", mse: true, native: true, hlsjs: true };
  assert.equal(chooseEngine(all), "hlsjs");
  assert.equal(chooseEngine({ ...all, vendor: "Apple Computer, Inc." }), "native");
  assert.equal(chooseEngine({ ...all, vendor: "" }), "hlsjs");
  assert.equal(chooseEngine({ ...all, vendor: "Apple Computer, Inc.", native: false }), "hlsjs");
  assert.equal(chooseEngine({ ...all, hlsjs: false }), "native");
  assert.equal(chooseEngine({ ...all, mse: false, native: false }), null);
  assert.equal(chooseEngine({ ...all, forced: "native" }), "native");
  assert.equal(chooseEngine({ ...all, forced: "native", native: false }), null);
});

test("tries go on for ever, at most four seconds apart", () => {
  const backoff = new Backoff();
  const waits = Array.from({ length: 1000 }, () => backoff.next());
  assert.deepEqual(waits.slice(0, 5), [250, 500, 1000, 2000, 4000]);
  assert.equal(Math.max(...waits), 4000);
  backoff.reset();
  assert.equal(backoff.next(), 250);
});

test("the box's clock is known to half the shortest way, whatever the viewer's shows", () => {
  const clock = new Clock();
  clock.sample(1000, 1400, 61_200); // 400 ms: off by up to 200
  clock.sample(5000, 5010, 65_055); // 10 ms: off by up to 5
  assert.equal(clock.at(6000), 66_050);
  clock.sample(7000, 7900, 67_800); // a slow answer does not spoil it
  assert.equal(clock.at(6000), 66_050);
});

test("a viewer's clock that is set while the page is open is noticed", () => {
  const clock = new Clock();
  clock.sample(1000, 1002, 1001);
  for (let at = 10_000; at < 40_000; at += 3000) clock.sample(at, at + 30, at + 3_600_015);
  assert.equal(clock.at(0), 3_600_000);
});

/** Runs half seconds until the watchdog acts; gives [seconds, action]. */
function untilAction(dog, from, { position = 5, moves = true, wanted = true, limit = 60 } = {}) {
  for (let now = from + 500; now <= from + limit * 1000; now += 500) {
    if (moves) dog.streamMoved(now);
    const action = dog.tick(now, position, wanted);
    if (action !== null) return [(now - from) / 1000, action];
  }
  return null;
}

test("a picture that stands still jumps to live after four seconds, then is loaded anew, again and again", () => {
  const dog = new Watchdog(0);
  dog.streamMoved(0);
  dog.tick(0, 5, true);
  let now = 0;
  for (let round = 0; round < 50; round += 1) {
    for (const expected of ["live", "reload"]) {
      const [seconds, action] = untilAction(dog, now);
      assert.deepEqual([seconds, action], [4, expected]);
      now += seconds * 1000;
    }
  }
});

test("a moving picture, a silent camera, a paused or hidden page are left alone", () => {
  let dog = new Watchdog(0);
  for (let now = 0; now < 60_000; now += 500) {
    dog.streamMoved(now);
    assert.equal(dog.tick(now, now / 1000, true), null);
  }
  dog = new Watchdog(0);
  assert.equal(untilAction(dog, 0, { moves: false }), null);
  dog = new Watchdog(0);
  assert.equal(untilAction(dog, 0, { wanted: false }), null);
});

test("after an outage the picture is back in view within 3 s of the stream, by force if need be", () => {
  const dog = new Watchdog(0);
  untilAction(dog, 0, { moves: false, limit: 20 });
  const [first, live] = untilAction(dog, 20_000);
  assert.equal(live, "live");
  const [second, reload] = untilAction(dog, 20_000 + first * 1000);
  assert.equal(reload, "reload");
  assert.ok(first + second <= 4, `${first} + ${second}`);
});

test("a picture that moved once after an outage and stands again is brought to live as soon, later ones with patience", () => {
  const seconds = (since) => {
    const dog = new Watchdog(0);
    untilAction(dog, 0, { moves: false, limit: 20 });
    for (let now = 20_000; now < since; now += 500) {
      dog.streamMoved(now);
      dog.tick(now, now / 1000, true);
    }
    return untilAction(dog, since);
  };
  assert.deepEqual(seconds(21_000), [2, "live"]);
  assert.deepEqual(seconds(40_000), [4.5, "live"]);
});

test("the last part of a camera that is gone moves nothing", () => {
  const dog = new Watchdog(0);
  dog.streamMoved(0);
  dog.tick(0, 1, true);
  dog.streamMoved(4000);
  for (let now = 500; now < 30_000; now += 500) assert.equal(dog.tick(now, 1, true), null, `${now}`);
});

test("a restarted box begins a new sequence; a camera's discontinuity does not", () => {
  const list = (first, last, zero = 0) => ({
    segments: Array.from({ length: last - first + 1 }, (_, at) => [first + at, zero + (first + at) * 1000]),
  });
  assert.equal(sequenceBroken(null, list(5, 9)), false);
  assert.equal(sequenceBroken(list(5, 9), list(6, 10)), false);
  assert.equal(sequenceBroken(list(5, 9), list(10, 14)), false);
  assert.equal(sequenceBroken(list(5, 9), { segments: [] }), false);
  assert.equal(sequenceBroken(list(5, 9), list(100, 101)), true);
  assert.equal(sequenceBroken(list(100, 105), list(1, 3)), true);
  assert.equal(sequenceBroken(list(5, 9), list(8, 12, 7000)), true, "the same numbers at another time");
});

test("a page that is opened just after a camera changed starts with the new pictures", () => {
  const [old, changed] = [[{ cc: 4, start: 1 }, { cc: 4, start: 2 }], [{ cc: 5, start: 3 }, { cc: 5, start: 3.4 }]];
  assert.equal(newestStart([...old, ...changed]), 3);
  assert.equal(newestStart(old), 1);
  assert.equal(newestStart([]), 0);
});

test("the badge never shows nonsense", () => {
  assert.equal(latencyText(1.26), "1.3 s");
  assert.equal(latencyText(-0.3), "0.0 s");
  for (const bad of [null, NaN, Infinity, -60]) assert.equal(latencyText(bad), null);
  assert.equal(durationText(3000), "3 s");
  assert.equal(durationText(-10), "0 s");
  assert.equal(durationText(10 * 60_000), "10 min");
  assert.equal(durationText(5 * 3_600_000), "5 h");
  assert.equal(durationText(72 * 3_600_000), "3 days");
});

/** The latency that is left when a picture plays for `seconds`, and the rates and jumps on the way. */
function chase(pace, latency, { seconds, hold = 0.6, moves = true }) {
  const seen = { rates: new Set(), leaps: [] };
  for (let now = 0; now < seconds * 1000; now += 500) {
    const [behind, ahead] = [latency - hold, latency - 0.1];
    const rate = pace.speed(behind, ahead);
    seen.rates.add(rate);
    if (pace.leap(now, behind, ahead)) {
      seen.leaps.push(now);
      if (moves) latency = hold;
    } else latency -= (rate - 1) * 0.5;
  }
  return { latency, ...seen };
}

test("a picture that starts two seconds late is live within seconds, and nobody hears or sees a jump", () => {
  const { latency, rates, leaps } = chase(new Pace(), 2.8, { seconds: 12 });
  assert.ok(latency < 1.5, `${latency}`);
  assert.deepEqual(leaps, []);
  assert.ok(Math.max(...rates) <= 1.15);
  const settled = chase(new Pace(), 2.8, { seconds: 60 });
  assert.ok(settled.latency > 0.8 && settled.latency < 1.4, "it keeps a cushion");
});

test("a picture that is live is left alone, and one too close to the edge falls back a little", () => {
  assert.deepEqual([...chase(new Pace(), 0.8, { seconds: 60 }).rates], [1]);
  const { latency } = chase(new Pace(), 0.2, { seconds: 10 });
  assert.ok(latency > 0.5 && latency <= 0.7, `${latency}`);
});

test("a picture far behind jumps once, after three seconds", () => {
  const { latency, leaps } = chase(new Pace(), 4.2, { seconds: 60 });
  assert.deepEqual(leaps, [3000]);
  assert.ok(latency < 1);
});

test("a jump that does not help is not made again at once", () => {
  const { leaps } = chase(new Pace(), 60, { seconds: 30, moves: false });
  assert.ok(leaps.length <= 3, `${leaps}`);
  assert.ok(leaps.every((at, i) => i === 0 || at - leaps[i - 1] >= 10_000));
});

test("nobody jumps to where nothing is buffered, unless very far behind", () => {
  const pace = new Pace();
  for (let now = 0; now < 20_000; now += 500) assert.equal(pace.leap(now, 3.5, 1), false);
  assert.equal(pace.leap(20_000, 30, 1), true);
});

test("what is unknown changes nothing", () => {
  const pace = new Pace();
  assert.equal(pace.speed(null, 5), 1);
  for (const now of [0, 5000, 10_000]) assert.equal(pace.leap(now, null, 5), false);
});

test("only what is buffered without a hole counts as ahead", () => {
  const timeRanges = (ranges) => ({ length: ranges.length, start: (i) => ranges[i][0], end: (i) => ranges[i][1] });
  const ranges = timeRanges([[2, 8], [9, 20]]);
  assert.equal(bufferedAhead(ranges, 6), 2);
  assert.equal(bufferedAhead(ranges, 8.5), 0);
  assert.equal(bufferedAhead(ranges, 8.95), 20 - 8.95);
  assert.equal(bufferedAhead(timeRanges([]), 0), 0);
});

const streaming = (video) => ({ state: { state: "streaming", video }, sentence: null, since_ms: 1, facts: {} });
const fine = { camera: streaming("h264"), silentSince: null, engine: "hlsjs", canPlay: () => true, blocked: false, advancing: true };

test("the sentence over the picture names the nearest cause", () => {
  assert.equal(notice(fine), null);
  assert.match(notice({ ...fine, silentSince: 7 }).text, /box does not answer/);
  const trouble = { ...streaming("h264"), state: { state: "waiting" }, sentence: "No power.", since_ms: 12 };
  assert.deepEqual(notice({ ...fine, camera: trouble }), { text: "No power.", since: 12 });
  assert.match(notice({ ...fine, engine: null, advancing: false }).text, /This browser/);
  assert.match(notice({ ...fine, blocked: true, advancing: false }).text, /Tap/);
});

test("H.265 that cannot be played is said with what to do; H.265 that plays is not", () => {
  const no = { ...fine, camera: streaming("h265"), canPlay: (mime) => !mime.includes("hvc1"), advancing: false };
  assert.match(notice(no).text, /H\.265.*cannot play.*H\.264/);
  assert.equal(notice({ ...no, advancing: true }), null);
  assert.equal(notice({ ...no, canPlay: () => true }), null);
});

test("in a cloud's page a picture that moves is believed, and one that stands still is explained", () => {
  const offline = { state: { state: "offline" }, sentence: "The camera's site is offline.", since_ms: 7, facts: {} };
  const page = { ...fine, camera: offline, remote: true };
  assert.equal(notice(page), null);
  assert.deepEqual(notice({ ...page, advancing: false }), { text: offline.sentence, since: 7 });
  assert.match(notice({ ...page, advancing: false, silentSince: 9 }).text, /^This site does not answer/);
  assert.match(notice({ ...fine, remote: true, camera: streaming("h265"), canPlay: () => false, advancing: false }).text, /H\.265/);
});

test("an outage is told in the viewer's time, with the day when it was not today", () => {
  const now = new Date(2026, 10, 21, 14, 0, 0).getTime();
  const minutes = sinceText(now - 180_000, now);
  assert.ok(minutes.includes(new Date(now - 180_000).toLocaleTimeString()) && minutes.endsWith("(3 min)"), minutes);
  assert.ok(!minutes.includes("2026"), minutes);
  const days = sinceText(now - 3 * 86_400_000, now);
  assert.ok(days.includes("2026") && days.endsWith("(3 days)"), days);
  assert.ok(sinceText(now, now, 3_600_000).includes(new Date(now - 3_600_000).toLocaleTimeString()), "a viewer's clock an hour behind");
  assert.equal(sinceText(null, now), "");
});
