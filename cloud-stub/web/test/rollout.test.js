import assert from "node:assert/strict";
import test from "node:test";

import * as rollout from "../rollout.js";

const none = { ring: 0, offered: 0, fetching: 0, ready: 0, restarting: 0, committed: 0, failed: 0, silent: 0 };
const counts = (more) => ({ ...none, ...more });
const refused = (act) => {
  try {
    act();
  } catch (thrown) {
    return thrown.code;
  }
  return null;
};

test("the bar shows the ring's boxes, failures before what moves, and one failure of ten thousand is seen", () => {
  const { drawn, rest } = rollout.bar(counts({ ring: 10, committed: 4, failed: 1, silent: 1, fetching: 1, restarting: 1 }));
  assert.deepEqual(drawn.map(({ part, count, from, width }) => [part, count, from, width]), [
    ["committed", 4, 0, 40],
    ["failed", 2, 40, 20],
    ["moving", 2, 60, 20],
  ]);
  assert.equal(rest, 2);
  const large = rollout.bar(counts({ ring: 10_000, committed: 9_999, failed: 1 }));
  assert.ok(large.drawn.every(({ from, width }) => from + width <= 100.0001), "it stays within its frame");
  assert.ok(rollout.bar(counts({ ring: 10_000, committed: 5, failed: 1 })).drawn[1].width >= 1);
  assert.deepEqual(rollout.bar(none).drawn.map(({ width }) => width), [0, 0, 0], "an empty ring is no division by zero");
});

test("a campaign's rings are behind it, at it or before it", () => {
  const places = (state, stage, canaries = ["b1"]) => rollout.steps({ state, stage, canaries }).map(({ place }) => place[0]).join("");
  assert.equal(places("draft", "canary"), "aaaaa");
  assert.equal(places("running", "canary"), "naaaa");
  assert.equal(places("halted", "5"), "ppnaa");
  assert.equal(places("paused", "25"), "pppna");
  assert.equal(places("running", "100"), "ppppn");
  assert.equal(places("done", "100"), "ppppp");
  assert.equal(places("running", "1", []), "naaa", "nobody tries it first");
  assert.equal(places("done", "100", []), "pppp");
});

test("what is needed before the next ring is said as the cloud judges it", () => {
  const campaign = (some, rate = 0) => ({ counts: counts(some), rate, bake_s: 3600, since_ms: 1_000_000 });
  const early = rollout.needs(campaign({ ring: 50, committed: 17, offered: 1, ready: 2 }), 1_000_000 + 3_599_999);
  assert.deepEqual([early.soak.met, early.soak.ends_ms], [false, 4_600_000]);
  assert.deepEqual([early.decided.count, early.decided.of, early.decided.wanted, early.decided.met], [17, 20, 18, false], "who was never told is not waited for");
  const late = rollout.needs(campaign({ ring: 50, committed: 17, silent: 1, ready: 2 }, 1 / 18), 4_600_000);
  assert.ok(late.soak.met && late.decided.met, "a silent box has decided");
  assert.equal(late.failed.met, false, "one of 18 is above 2 %");
  assert.ok(rollout.needs(campaign({ ring: 100, committed: 98, failed: 2 }, 0.02), 0).failed.met, "2 % is not above 2 %");
  assert.equal(rollout.needs(campaign({ ring: 9 }), 0).decided.met, false, "nobody was told yet");
  assert.ok(rollout.needs(campaign({}), 0).decided.met, "there is nobody in the ring");
});

test("the ring that was opened is told from the reason", () => {
  assert.deepEqual(rollout.opened({ what: "advanced", why: "5: it is late: go on" }), { ring: "5", why: "it is late: go on" });
  assert.deepEqual(rollout.opened({ what: "opened", why: "25" }), { ring: "25", why: "" });
  assert.deepEqual(rollout.opened({ what: "paused", why: "5: no" }), { ring: null, why: "5: no" });
});

test("each state offers what can be done in it, and nothing is started twice", () => {
  const all = Object.fromEntries(["draft", "running", "paused", "halted", "done", "withdrawn", "unheard"].map((state) => [state, rollout.orders(state)]));
  for (const state of ["running", "paused", "halted", "done", "withdrawn"]) assert.ok(!all[state].includes("start"), state);
  assert.ok(all.draft.includes("start") && !all.draft.includes("advance"));
  for (const state of ["paused", "halted"]) assert.ok(all[state].includes("resume"), state);
  assert.ok(!all.running.includes("resume") && all.running.includes("pause"));
  assert.deepEqual([all.withdrawn, all.unheard], [[], []]);
  for (const state of ["draft", "running", "paused", "halted"]) assert.equal(all[state].at(-1), "withdraw", state);
  assert.ok(rollout.mayAdvance({ stage: "25" }) && !rollout.mayAdvance({ stage: "100" }) );
});

test("whoever stops, goes on or ends says why", () => {
  for (const what of ["pause", "resume", "advance", "withdraw", "hold"]) assert.equal(refused(() => rollout.reasoned(what, " ")), "reason_missing", what);
  assert.deepEqual(rollout.reasoned("start", ""), { reason: "" }, "its note says why");
  assert.deepEqual(rollout.reasoned("resume", " a broken cable "), { reason: "a broken cable" });
});

test("a share that failed is never said to be smaller than it is, a lower bound never larger", () => {
  assert.equal(rollout.perCent(0, "en"), "0");
  assert.equal(rollout.perCent(0.02, "en"), "2");
  assert.equal(rollout.perCent(0.0201, "en"), "2.1");
  assert.equal(rollout.perCent(1 / 3, "ru"), "33,4");
  assert.equal(rollout.perCent(0.07, "en"), "7", "no digit of the machine's arithmetic");
  assert.equal(rollout.atLeast(0.02009, "en"), "2");
  assert.equal(rollout.atLeast(0.02011, "ru"), "2,01");
  assert.equal(rollout.atLeast(0.29, "en"), "29");
});

test("releases are offered by version, the last published first, with all their boards", () => {
  const release = (board, version, security, since) => ({ name: `${board}/${version}.json`, board, version, security, since });
  assert.deepEqual(rollout.versions([release("rpi4", "1.9", 1, 3), release("qemu", "2.0", 2, 7), release("rpi4", "2.0", 1, 6), release("qemu", "1.9", 1, 3)]), [
    { version: "2.0", security: 2, boards: ["qemu", "rpi4"] },
    { version: "1.9", security: 1, boards: ["qemu", "rpi4"] },
  ]);
});

test("a plan is sent as it was written, and what is missing has a name", () => {
  const draft = {
    name: " Autumn ",
    version: "2.0",
    boards: ["qemu"],
    all: ["qemu", "rpi4"],
    canaries: [{ id: "b1", name: "Store", tenant: "ACME" }],
    hours: "0,5",
    note: " ",
  };
  assert.deepEqual(rollout.planned(draft), { name: "Autumn", version: "2.0", boards: ["qemu"], canaries: ["b1"], bake_s: 1800 });
  assert.deepEqual(rollout.planned({ ...draft, boards: ["qemu", "rpi4"], note: "why" }), { name: "Autumn", version: "2.0", canaries: ["b1"], bake_s: 1800, note: "why" });
  assert.equal(refused(() => rollout.planned({ ...draft, name: " " })), "name_missing");
  assert.equal(refused(() => rollout.planned({ ...draft, version: "" })), "version_missing");
  assert.equal(refused(() => rollout.planned({ ...draft, boards: [] })), "board_missing");
  for (const hours of ["", "x", "-1", "721", "NaN"]) assert.equal(refused(() => rollout.planned({ ...draft, hours })), "hours_wrong", hours);
});

test("a choice of several is put in and taken out", () => {
  assert.deepEqual(rollout.toggled([1, 2], 3), [1, 2, 3]);
  assert.deepEqual(rollout.toggled([1, 2], 1), [2]);
  assert.deepEqual(rollout.toggled([{ id: "a", n: 1 }], { id: "a", n: 2 }, ({ id }) => id), []);
});

test("a site's hours are days and two times, or any time", () => {
  const draft = { always: false, days: [4, 0], from: "22:00", to: "05:00" };
  assert.deepEqual(rollout.window(draft), { days: [0, 4], from: "22:00", to: "05:00" });
  assert.equal(rollout.window({ ...draft, always: true, days: [] }), null);
  assert.equal(refused(() => rollout.window({ ...draft, days: [] })), "days_missing");
  for (const [from, to] of [["", "05:00"], ["24:00", "05:00"], ["5:00", "06:00"], ["05:00", "05:00"], ["05:00", "05:60"]]) {
    assert.equal(refused(() => rollout.window({ ...draft, from, to })), "times_wrong", `${from} ${to}`);
  }
  assert.ok(rollout.overnight(draft) && !rollout.overnight({ from: "02:00", to: "05:00" }));
});

test("a site's time zone is one that there is", () => {
  assert.equal(rollout.timeZone(" Asia/Almaty "), "Asia/Almaty");
  for (const wrong of ["", "Asia/Almati", "Almaty", "+05:00", "UTC+5"]) assert.equal(refused(() => rollout.timeZone(wrong)), "zone_unknown", wrong);
});

test("days are told in stretches", () => {
  assert.deepEqual(rollout.stretches([6, 0, 1, 2, 4]), [[0, 2], [4, 4], [6, 6]]);
  assert.deepEqual(rollout.stretches([]), []);
});
