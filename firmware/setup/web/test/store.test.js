import assert from "node:assert/strict";
import test, { afterEach } from "node:test";

// Just enough of a browser, and a box that answers as it is told.
const memory = () => {
  const kept = new Map();
  return { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value), removeItem: (key) => kept.delete(key) };
};
Object.assign(globalThis, {
  window: { addEventListener() {}, localStorage: memory(), sessionStorage: memory() },
  document: { addEventListener() {}, visibilityState: "visible", documentElement: {} },
});
Object.defineProperty(globalThis, "navigator", { value: { languages: ["ru"] } });
globalThis.location = {
  at: "",
  get hash() {
    return this.at;
  },
  set hash(to) {
    this.at = to && `#${to.replace("#", "")}`;
  },
  replace(to) {
    this.hash = to;
  },
};
const { Store } = await import("../store.js");

const OVERVIEW = { now_ms: Date.now(), name: null, devices: [], cameras: [], join: { state: "code" }, clock_known: true, pages: [] };
const OWNER = { claimed: true, signed_in: true, can_claim: false, language: "en", name: null };
let open = [];

/** A page before a box whose answers are [status, body] by "METHOD path"; `asked` is what it was asked, in order. */
function page(answers) {
  const asked = [];
  globalThis.fetch = async (url, { method, body } = { method: "GET" }) => {
    if (url.startsWith("words")) return new Response("{}");
    const name = `${method} ${url.replace("/api/v1/setup/", "")}`;
    asked.push(body && body !== "{}" ? `${name} ${body}` : name);
    const answer = answers[name];
    if (answer === undefined) throw new TypeError("no network");
    const [status, json] = typeof answer === "function" ? answer() : answer;
    return new Response(JSON.stringify(json), { status });
  };
  window.localStorage = memory();
  window.sessionStorage = memory();
  location.hash = "";
  let changes = 0;
  const store = new Store({ kk: "words-kk", ru: "words-ru", en: "words-en" }, () => (changes += 1));
  open.push(store);
  return { store, asked, answers, changes: () => changes };
}
afterEach(() => {
  for (const store of open) clearTimeout(store.next);
  open = [];
});
const box = (more = {}) => ({ "GET state": [200, OWNER], "GET overview": [200, OVERVIEW], ...more });

test("a box that does not answer is asked again, and what was typed stays", async () => {
  const { store, answers } = page(box());
  await store.start();
  store.draft("camera-password")[1]("secret");
  store.addresses = ["10.0.0.9"];
  for (const name of Object.keys(answers)) delete answers[name];
  await store.refresh();
  await store.refresh();
  assert.equal(store.silent, 2, "the page tells it");
  await assert.rejects(store.add([{ pick: { address: "10.0.0.9" }, title: "x" }], null), { code: "silent" });
  assert.deepEqual([store.draft("camera-password")[0], store.addresses], ["secret", ["10.0.0.9"]]);
  assert.equal(store.view, "find", "where one was");
  Object.assign(answers, box());
  await store.refresh();
  assert.equal(store.silent, 0);
});

test("a session that ended leads to the sign-in, a wrong password does not end one", async () => {
  const { store, answers } = page(box());
  await store.start();
  store.refused({ status: 401, code: "wrong_password" });
  assert.equal(store.view, "find");
  answers["GET overview"] = [401, { code: "signed_out", error: "Sign in first." }];
  await store.refresh();
  assert.equal(store.view, "signin");
});

test("the first password makes an owner who is led on", async () => {
  const { store, answers, asked } = page({ "GET state": [200, { ...OWNER, claimed: false, signed_in: false, can_claim: true }] });
  await store.start();
  assert.equal(store.view, "language");
  await store.choose("kk");
  assert.equal(store.view, "password");
  Object.assign(answers, box({ "POST claim": [200, {}] }));
  await store.claim("bread and salt");
  assert.ok(asked.includes('POST claim {"password":"bread and salt","language":"kk"}'), asked.join());
  assert.deepEqual([store.view, store.wizard], ["find", true]);
  assert.equal(new Store({}, () => {}).wizard, true, "also after a reload");
});

test("a clock that nobody set is set from this device, once, and that is said", async () => {
  const { store, asked } = page(box({ "GET overview": [200, { ...OVERVIEW, clock_known: false }], "POST time": [200, {}] }));
  await store.start();
  await store.refresh();
  await new Promise(setImmediate);
  const told = asked.filter((name) => name.startsWith("POST time"));
  assert.equal(told.length, 1);
  assert.ok(Math.abs(JSON.parse(told[0].slice(10)).unix_ms - Date.now()) < 5000);
  assert.equal(store.told, "app.clock_set");
});

test("joining leads on to the links by itself, in the first set-up only", async () => {
  const joined = { "GET overview": [200, { ...OVERVIEW, join: { state: "joined" } }] };
  const { store } = page(box(joined));
  await store.start();
  location.hash = "cloud";
  await store.refresh();
  assert.equal(location.hash, "#cloud", "who looks at the connection may stay");
  store.guide(true);
  await store.refresh();
  assert.equal(location.hash, "#links");
});

test("what could not be added is told with its name; the rest is there", async () => {
  const refusal = { code: "no_such_device", sentence: "Gone." };
  const { store } = page(box({ "POST cameras": [200, { outcomes: [{ Ok: "gate" }, { Err: refusal }] }] }));
  await store.start();
  store.addresses = ["10.0.0.9"];
  store.draft("camera-password")[1]("secret");
  const added = await store.add([{ pick: { device: "a" }, title: "Gate" }, { pick: { device: "b" }, title: "Yard" }], { user: "u", password: "p" });
  assert.deepEqual(added, ["gate"]);
  assert.deepEqual(store.outcomes.map(({ title, error }) => [title, error.code]), [["Yard", "no_such_device"]]);
  assert.equal(location.hash, "#cameras");
  assert.deepEqual([store.addresses, store.draft("camera-password")[0]], [[], ""], "what arrived is not offered again");
});

test("a recorder's pictures take the place of the recorder, but only when all of them are there", async () => {
  const device = { key: "nvr", cameras: ["nvr", "till"], channels: [{ token: "1", name: "Till" }, { token: "2", name: "Yard" }] };
  const ok = [200, { outcomes: [{ Ok: "till" }, { Ok: "yard" }] }];
  const { store, asked, answers } = page(box({ "POST cameras": ok, "DELETE cameras/nvr": [200, {}] }));
  await store.start();
  await store.addChannels(device, "NVR", null);
  assert.deepEqual(asked.filter((name) => name.startsWith("DELETE")), ["DELETE cameras/nvr"]);
  answers["POST cameras"] = [200, { outcomes: [{ Ok: "till" }, { Err: { code: "x", sentence: "No." } }] }];
  asked.length = 0;
  await store.addChannels(device, "NVR", null);
  assert.deepEqual(asked.filter((name) => name.startsWith("DELETE")), []);
});

test("a recorder's login is the one that was typed for it last, and is forgotten with the session", async () => {
  const ok = [200, {}];
  const { store } = page(box({ "POST cameras": [200, { outcomes: [{ Ok: "nvr" }, { Ok: "gate" }] }], "POST cameras/nvr": ok, "POST logout": ok }));
  await store.start();
  const [first, second] = ["one", "two"].map((password) => ({ user: "admin", password }));
  await store.add([{ pick: { device: "nvr" }, title: "NVR" }, { pick: { device: "g" }, title: "Gate" }], first);
  assert.equal(store.loginOf({ cameras: ["nvr"] }), first);
  await store.change("nvr", { login: second });
  assert.equal(store.loginOf({ cameras: ["nvr"] }), second);
  assert.equal(store.loginOf({ cameras: ["gate"] }), first);
  assert.equal(store.loginOf({ cameras: ["other"] }), null, "then the page asks");
  await store.signOut();
  assert.equal(store.loginOf({ cameras: ["nvr"] }), null);
});

test("cameras are made ready a few at a time, and one that refuses holds back no other", async () => {
  let [now, most] = [0, 0];
  const after = { encoding: "H264" };
  const { store, answers } = page(box());
  await store.start();
  const send = globalThis.fetch;
  globalThis.fetch = async (url, request) => {
    if (!url.includes("improve")) return send(url, request);
    most = Math.max(most, (now += 1));
    await new Promise((resolve) => setTimeout(resolve, 2));
    now -= 1;
    return send(url, request);
  };
  for (const id of ["a", "b", "c", "d", "e"]) answers[`POST cameras/${id}/improve`] = [200, { before: {}, after }];
  answers["POST cameras/b/improve"] = [409, { code: "refused", error: "No." }];
  await store.improve(["a", "b", "c", "d", "e"]);
  assert.equal(most, 3);
  assert.deepEqual([...store.improved].map(([id, { after, error }]) => [id, after ? "ready" : error.code]), [
    ["a", "ready"],
    ["b", "refused"],
    ["c", "ready"],
    ["d", "ready"],
    ["e", "ready"],
  ]);
});

test("an answer that was overtaken by a later one is not shown", async () => {
  const { store, answers } = page(box());
  await store.start();
  let late;
  const send = globalThis.fetch;
  globalThis.fetch = (url, request) => (url.endsWith("overview") && !late ? new Promise((resolve) => (late = resolve)) : send(url, request));
  const first = store.refresh();
  answers["GET overview"] = [200, { ...OVERVIEW, name: "new" }];
  await store.refresh();
  late(new Response(JSON.stringify({ ...OVERVIEW, name: "old" })));
  await first;
  assert.equal(store.overview.name, "new");
});

test("a restart is told until the box is back: after a silence, or with sessions that it knows no more", async () => {
  const { store, answers } = page(box({ "POST restart": [200, {}] }));
  await store.start();
  await store.restart();
  await store.refresh();
  assert.ok(store.restarting, "it has not gone yet");
  answers["GET overview"] = [401, { code: "signed_out", error: "" }];
  answers["GET state"] = [200, { ...OWNER, signed_in: false }];
  await store.refresh();
  await store.refresh();
  assert.deepEqual([store.restarting, store.view], [false, "signin"]);
});
