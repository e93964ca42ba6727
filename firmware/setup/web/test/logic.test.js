import assert from "node:assert/strict";
import test from "node:test";

import * as logic from "../logic.js";

const device = (key, more = {}) => ({
  key,
  name: null,
  maker: null,
  model: null,
  addresses: ["192.168.1.64"],
  sources: ["ws_discovery"],
  cameras: [],
  obstacles: [],
  channels: [],
  ...more,
});
const camera = (id, state, more = {}) => ({ id, name: id, on: true, ours: true, state, obstacles: [], ...more });
const LIVE = { state: "streaming" };

const NEW = { claimed: false, signed_in: false, can_claim: true };
const OWN = { claimed: true, signed_in: true, can_claim: false };
const view = (state, more = {}) => logic.view({ state, chosen: true, hash: "", cameras: 3, picks: 2, ...more });

test("what is shown follows from the box and the address, whatever the address says", () => {
  assert.equal(view(null), "loading");
  assert.equal(view({ ...NEW, can_claim: false }, { hash: "box" }), "closed");
  assert.equal(view(NEW, { chosen: false, hash: "box" }), "language");
  assert.equal(view(NEW, { hash: "box" }), "password");
  assert.equal(view({ ...OWN, signed_in: false }, { hash: "box" }), "signin");
  assert.equal(view(OWN, { hash: "box" }), "box");
  assert.equal(view(OWN, { hash: "join" }), "cloud", "where the box's own page of old leads");
  assert.equal(view(OWN, { hash: "constructor" }), "cameras");
  assert.equal(view(OWN, { cameras: 0 }), "find", "a box without cameras begins with them");
  assert.equal(view(OWN, { cameras: null }), "loading");
  assert.equal(view(OWN, { hash: "access", picks: 0 }), "find", "a reload forgets what was ticked");
});

test("the first set-up of eight cameras of two passwords takes at most 12 presses", () => {
  // What an owner presses, view by view, and what the box says then. Typing is not counted.
  let presses = 0;
  let [state, chosen, hash, cameras] = [NEW, false, "", null];
  let join = { state: "code" };
  const seen = [];
  const press = (change) => {
    presses += 1;
    change();
  };
  for (let turn = 0; turn < 20; turn += 1) {
    const now = logic.view({ state, chosen, hash, cameras, picks: 8 });
    seen.push(now);
    const next = logic.onward({ page: now, join });
    if (next) hash = next;
    else if (now === "language") press(() => (chosen = true));
    else if (now === "password") press(() => ([state, hash, cameras] = [OWN, "find", 0]));
    else if (now === "find") press(() => (hash = "access"));
    else if (now === "access") press(() => ([hash, cameras] = ["cameras", 8]));
    else if (now === "cameras") {
      press(() => {}); // the other password
      press(() => {}); // all cameras made ready
      press(() => (hash = "cloud"));
    } else if (now === "cloud") press(() => (join = { state: "joined" }));
    else if (now === "links") {
      press(() => {}); // finish
      break;
    }
  }
  assert.deepEqual(seen, ["language", "password", "find", "access", "cameras", "cloud", "cloud", "links"]);
  assert.ok(presses <= 12, `${presses}`);
  assert.equal(presses, 9);
  assert.deepEqual([...new Set(seen)], logic.STEPS, "the steps that are counted for the owner are those that are there");
});

test("a box without a cloud, or already in one, passes that step over", () => {
  assert.equal(logic.onward({ page: "cloud", join: { state: "off" } }), "links");
  assert.equal(logic.onward({ page: "cloud", join: { state: "joined" } }), "links");
  for (const state of ["asking", "code", "claimed", "joining", "stopped"]) {
    assert.equal(logic.onward({ page: "cloud", join: { state } }), null, state);
  }
  assert.equal(logic.onward({ page: "cameras", join: { state: "joined" } }), null);
});

test("devices that only stand in the network are not taken for cameras", () => {
  assert.ok(logic.looksLikeCamera(device("a")));
  assert.ok(logic.looksLikeCamera(device("a", { sources: ["dhip"] })));
  assert.ok(logic.looksLikeCamera(device("a", { sources: ["mdns"], maker: "AXIS" })));
  assert.ok(logic.looksLikeCamera(device("a", { sources: ["neighbour"], channels: [{ token: "1", name: "1" }] })));
  for (const source of ["mdns", "ssdp", "neighbour"]) {
    assert.ok(!logic.looksLikeCamera(device("a", { sources: [source], name: "HP LaserJet" })), source);
  }
});

test("devices keep their places while others arrive", () => {
  const seen = new Map();
  const keys = (list) => list.map(({ key }) => key);
  logic.sortDevices([device("m"), device("c")], seen);
  const sorted = logic.sortDevices(
    [device("a"), device("c"), device("m"), device("p", { sources: ["ssdp"] }), device("x", { cameras: ["x"] })],
    seen,
  );
  assert.deepEqual(keys(sorted.cameras), ["m", "c", "a"]);
  assert.deepEqual([keys(sorted.others), keys(sorted.done)], [["p"], ["x"]]);
});

test("what looks like a camera is ticked, but for what must first be done at the camera, a device in another's place, and for what the owner unticked", () => {
  const devices = [
    device("one", { maker: "Dahua", model: "IPC" }),
    device("unticked"),
    device("new", { obstacles: [{ code: "not_activated", fix: "open_device" }] }),
    device("far", { obstacles: [{ code: "other_subnet", fix: "reach" }] }),
    device("done", { cameras: ["done"] }),
    device("printer", { sources: ["ssdp"] }),
    device("odd", { sources: ["neighbour"] }),
    device("stranger", { cameras: ["gate"], obstacles: [{ code: "changed_device", fix: "login" }] }),
    device("replaced", { cameras: ["yard"], obstacles: [{ code: "changed_device", fix: "login" }] }),
    device("nvr", { maker: "Dahua", channels: [{ token: "1", name: "Till" }, { token: "2", name: "Yard" }] }),
  ];
  const ticks = new Map([["unticked", false], ["odd", true], ["nvr 2", false], ["new", true], ["replaced", true]]);
  const picks = logic.picks(devices, ticks, ["rtsp://me:secret@10.0.0.9/a@b"]);
  assert.deepEqual(
    picks.map(({ pick }) => pick),
    [{ device: "one" }, { device: "odd" }, { device: "replaced" }, { channel: ["nvr", "1"] }, { address: "rtsp://me:secret@10.0.0.9/a@b" }],
  );
  assert.deepEqual(
    picks.map(({ title }) => title),
    ["Dahua IPC", "192.168.1.64", "192.168.1.64", "Dahua: Till", "rtsp://10.0.0.9/a@b"],
  );
});

test("a device is called by maker and model, each once", () => {
  assert.equal(logic.deviceTitle({ maker: "AXIS", model: "Axis M3045-V", name: "x" }), "Axis M3045-V");
  assert.equal(logic.deviceTitle({ maker: "Dahua", model: null, name: "Gate" }), "Dahua");
  assert.equal(logic.deviceTitle({ maker: null, model: null, name: "Gate" }), "Gate");
  assert.equal(logic.deviceTitle({ maker: null, model: null, name: null }), null);
});

test("what stands in a camera's way is told once, whether the box lists it or its state says it", () => {
  const stopped = { state: "stopped", trouble: { trouble: "wrong_password" } };
  assert.deepEqual(logic.obstacles(camera("a", stopped)), [{ code: "wrong_password", fix: "login" }]);
  const listed = [{ code: "locked" }, { code: "wrong_password", fix: "login" }];
  assert.equal(logic.obstacles(camera("a", stopped, { obstacles: listed })), listed);
  assert.deepEqual(logic.obstacles(camera("a", stopped, { on: false })), [], "a camera that is off has none");
  assert.equal(logic.condition(camera("a", LIVE, { on: false })), "off");
  assert.equal(logic.condition(camera("a", LIVE)), "live");
});

test("an obstacle that has ended by itself is not told any more", () => {
  assert.ok(logic.current({ until_ms: 2000 }, 1999));
  assert.ok(!logic.current({ until_ms: 2000 }, 2000));
  assert.ok(logic.current({ until_ms: null }, 2000));
});

test("cameras that need a password come before those to be made ready; files of others are left alone", () => {
  const improve = [{ code: "long_gop", fix: "improve" }];
  const both = [...improve, { code: "wrong_password", fix: "login" }];
  const { login, improve: ready } = logic.fixable([
    camera("a", LIVE, { obstacles: improve }),
    camera("b", LIVE, { obstacles: both }),
    camera("c", LIVE, { obstacles: both, ours: false }),
    camera("d", LIVE),
  ]);
  assert.deepEqual([login.map(({ id }) => id), ready.map(({ id }) => id)], [["b"], ["a"]]);
});

test("the live picture is the one asked for, or the first that there is", () => {
  const cameras = [camera("a", { state: "connecting" }), camera("b", LIVE), camera("c", LIVE)];
  assert.equal(logic.previewed(cameras, null).id, "b");
  assert.equal(logic.previewed([...cameras, camera("d", { ...LIVE, video: "h264" })], null).id, "d", "one that plays anywhere");
  assert.equal(logic.previewed(cameras, "c").id, "c");
  assert.equal(logic.previewed(cameras, "a").id, "b");
  assert.equal(logic.previewed([], "a"), null);
});

test("a camera moves by one place and not over the ends", () => {
  assert.deepEqual(logic.moved(["a", "b", "c"], "b", 1), ["a", "c", "b"]);
  assert.deepEqual(logic.moved(["a", "b", "c"], "b", -1), ["b", "a", "c"]);
  assert.equal(logic.moved(["a", "b"], "a", -1), null);
  assert.equal(logic.moved(["a", "b"], "b", 1), null);
  assert.equal(logic.moved(["a"], "z", 1), null);
});

test("a recorder whose pictures are not all cameras yet is told", () => {
  const channels = ["1", "2"].map((token) => ({ token, name: token }));
  const missing = logic.missingChannels([
    device("some", { channels, cameras: ["x"] }),
    device("all", { channels, cameras: ["y", "z"] }),
    device("none", { channels }),
    device("left", { channels, cameras: ["x"] }),
  ], new Set(["left"]));
  assert.deepEqual(missing.map(({ key }) => key), ["some"]);
});

test("times are the reader's, also when the box's clock is wrong", () => {
  const now = Date.UTC(2026, 10, 21, 18, 0);
  const boxNow = 1_000_000; // 1970
  assert.equal(logic.readersTime(boxNow + 30 * 60_000, boxNow, now), now + 30 * 60_000);
});

test("Mbit/s are read as people type them", () => {
  assert.equal(logic.kilobits(""), null);
  assert.equal(logic.kilobits(" 2,5 "), 2500);
  assert.equal(logic.kilobits("10"), 10_000);
  assert.equal(logic.kilobits("0.0001"), 1);
  for (const wrong of ["abc", "0", "-3", "1e9", "1,5,6", "∞"]) assert.equal(logic.kilobits(wrong), undefined, wrong);
});

test("before and after show what changed and nothing else", () => {
  const before = { encoding: "H265", width: 2560, height: 1440, fps: 25, gop: 100, bit_rate_kbps: 6144 };
  const after = { ...before, encoding: "H264", gop: 25 };
  assert.deepEqual(logic.improvements({ before, after }), [["encoding", "H.265", "H.264"], ["gop", 4, 1]]);
  assert.deepEqual(logic.improvements({ before, after: before }), []);
  assert.deepEqual(logic.improvements({ before: { ...before, fps: 0 }, after })[1], ["gop", null, 1], "unknown is not 0");
});

test("links inside the network are plain ones, also from a page under the box's own certificate", () => {
  const pages = ["https://streambox.local/setup/", "http://streambox.local:8080/setup/", "http://192.168.1.5:8080/setup/"];
  assert.equal(logic.nearLink("gate", "http://box.local:8080", pages), "http://box.local:8080/gate/");
  assert.equal(logic.nearLink("gate", "https://streambox.local", pages), "http://streambox.local:8080/gate/");
  assert.equal(logic.nearLink("gate", "https://192.168.1.5", pages), "http://192.168.1.5:8080/gate/");
  assert.equal(logic.nearLink("gate", "https://box.example", pages), "http://192.168.1.5:8080/gate/");
  assert.equal(logic.nearLink("gate", "https://streambox.local", []), "https://streambox.local/gate/");
});

test("a device's own page is its host and nothing that stood around it", () => {
  assert.equal(logic.deviceUrl("192.168.1.64"), "http://192.168.1.64/");
  assert.equal(logic.deviceUrl("rtsp://192.168.1.64:554/Streaming/Channels/101"), "http://192.168.1.64/");
  assert.equal(logic.deviceUrl("rtsp://me:pw@cam.local/x"), "http://cam.local/");
  assert.equal(logic.deviceUrl("fe80::1"), "http://[fe80::1]/");
  assert.equal(logic.deviceUrl("rtsp://[fe80::1]:554/x"), "http://[fe80::1]/");
});

test("the second place is told of by what is whole in it", () => {
  assert.equal(logic.heldAs({ version: "2", state: "failed" }), "failed");
  assert.equal(logic.heldAs({ version: null, state: "trial" }), "empty");
  assert.equal(logic.heldAs({ version: "2", state: "empty" }), "unknown");
});

test("an owner reads when the new version starts, in true time where the cloud has said it", () => {
  const clock = (ms) => `<${ms}>`;
  const words = (wait) => logic.waitWords(wait, 1000, clock);
  assert.deepEqual(words(null), ["wait.nobody", {}]);
  assert.deepEqual(words({ reason: "window", at_ms: 5000, in_s: null }), ["wait.window", { at: "<5000>" }]);
  assert.deepEqual(words({ reason: "window", at_ms: null, in_s: null }), ["wait.window_open", {}]);
  assert.deepEqual(words({ reason: "owner", at_ms: null, in_s: 7 }), ["wait.owner", { at: "<8000>" }]);
  assert.deepEqual(words({ reason: "viewers", at_ms: null, in_s: null }), ["wait.viewers", { at: "" }]);
});

test("tonight is three o'clock by the reader's clock, at most a day away", () => {
  assert.equal(logic.tonight(new Date(2026, 10, 22, 22, 0)), 5 * 3600);
  assert.equal(logic.tonight(new Date(2026, 10, 22, 2, 59, 59)), 1);
  assert.equal(logic.tonight(new Date(2026, 10, 22, 3, 0)), 86_400);
});

test("a stick is told of by what came of it", () => {
  assert.equal(logic.stickWords({ good: true, version: "2" }), "stick.good");
  assert.equal(logic.stickWords({ good: true, version: null }), "stick.nothing");
  assert.equal(logic.stickWords({ good: false, version: "2" }), "stick.refused");
});
