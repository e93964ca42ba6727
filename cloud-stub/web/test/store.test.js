import assert from "node:assert/strict";
import test from "node:test";

// Just enough of a browser, and a cloud that answers as it is told.
const memory = () => {
  const kept = new Map();
  return { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value), removeItem: (key) => kept.delete(key) };
};
Object.assign(globalThis, {
  window: { addEventListener() {}, localStorage: memory() },
  document: { visibilityState: "visible", documentElement: {} },
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
    this.hash = to === "#" ? "" : to;
  },
};
const { Store } = await import("../store.js");

const OWNER = {
  person: { id: "p1", email: "o@acme.kz", name: "O", language: "en", operator: false },
  tenants: [{ id: "t1", name: "ACME", role: "owner" }, { id: "t2", name: "Other", role: "viewer" }],
  csrf: "secret-csrf",
};
const OTHER = { person: { ...OWNER.person, id: "p2", language: "kk" }, tenants: [], csrf: "other" };

/** A portal before a cloud whose answers are [status, body] by "METHOD path"; `asked` is what it was asked, in order. */
function portal(answers, hash = "") {
  const asked = [];
  globalThis.fetch = async (url, { method, body, headers } = { method: "GET" }) => {
    if (url.startsWith("words")) return new Response("{}");
    const name = `${method} ${url.replace("/api/v1/", "")}`;
    asked.push({ name, body: body && JSON.parse(body), csrf: headers["x-csrf"] });
    const answer = answers[name];
    if (answer === undefined) throw new TypeError("no network");
    const [status, json] = typeof answer === "function" ? answer() : answer;
    return new Response(status === 204 ? null : JSON.stringify(json), { status });
  };
  window.localStorage = memory();
  location.hash = hash;
  const store = new Store({ kk: "words-kk", ru: "words-ru", en: "words-en" }, () => {});
  return { store, asked, answers };
}

test("whoever is not signed in signs in and comes to the page that they asked for, in their language", async () => {
  const { store, asked } = portal({ "GET me": [401, { error: "Sign in first." }], "POST session": [200, OWNER] }, "people");
  await store.start();
  assert.deepEqual([store.view, store.language], ["signin", "ru"]);
  await store.signIn("o@acme.kz", "tulip");
  assert.deepEqual([store.view, store.language], ["people", "en"]);
  assert.deepEqual(asked.at(-1).body, { email: "o@acme.kz", password: "tulip" });
});

test("a wrong password is told and the e-mail stays", async () => {
  const { store } = portal({ "GET me": [401, {}], "POST session": [401, { error: "no" }] });
  await store.start();
  store.draft("signin-email")[1]("o@acme.kz");
  store.draft("signin-password")[1]("wrong");
  await assert.rejects(store.signIn("o@acme.kz", "wrong"), { code: "signin_401" });
  assert.deepEqual([store.draft("signin-email")[0], store.draft("signin-password")[0]], ["o@acme.kz", "wrong"]);
});

test("each change brings the login's key along, and no question does", async () => {
  const { store, asked } = portal({ "GET me": [200, OWNER], "POST tenants/t1/sites": [200, {}] });
  await store.start();
  await store.send("POST", "tenants/t1/sites", { name: "Yard" }, "site");
  assert.deepEqual(asked.map(({ csrf }) => csrf), [undefined, "secret-csrf"]);
});

test("when a session ends, the sign-in comes and nothing typed is lost; another person finds none of it", async () => {
  const { store, answers } = portal({ "GET me": [200, OWNER], "POST tenants/t1/sites": [401, {}], "POST session": [200, OWNER] }, "sites");
  await store.start();
  store.draft("site-name-new")[1]("Yard");
  store.hold("made", { push: { key: "k" } });
  const refused = await store.send("POST", "tenants/t1/sites", { name: "Yard" }, "site").catch((error) => error);
  store.refused(refused);
  assert.equal(store.view, "signin");
  await store.signIn("o@acme.kz", "tulip");
  assert.deepEqual([store.view, store.draft("site-name-new")[0]], ["sites", "Yard"]);
  store.refused(refused);
  answers["POST session"] = [200, OTHER];
  await store.signIn("x@acme.kz", "tulip");
  assert.equal(store.draft("site-name-new")[0], "", "somebody else's words");
  assert.equal(store.held.get("made"), undefined, "somebody else's key");
});

test("a cloud that does not answer loses nothing that was heard or typed", async () => {
  const { store, answers } = portal({ "GET me": [200, OWNER], "GET tenants/t1/cameras": [200, [{ id: "a" }]] });
  await store.start();
  await store.load("tenants/t1/cameras");
  delete answers["GET tenants/t1/cameras"];
  store.draft("add-title")[1]("Gate");
  await store.load("tenants/t1/cameras");
  await store.load("tenants/t1/cameras");
  assert.equal(store.silent, 2);
  assert.deepEqual(store.heard.get("tenants/t1/cameras").value, [{ id: "a" }]);
  assert.equal(store.draft("add-title")[0], "Gate");
});

test("a list that is longer than an answer is shown whole", async () => {
  const rows = (from, count) => Array.from({ length: count }, (_, index) => ({ id: `b${from + index}` }));
  const path = "tenants/t1/boxes";
  const { store, asked, answers } = portal({
    "GET me": [200, OWNER],
    [`GET ${path}`]: [200, rows(0, 1000)],
    [`GET ${path}?offset=1000`]: [200, rows(1000, 1000)],
    [`GET ${path}?offset=2000`]: [200, rows(1999, 31)],
    "GET tenants/t1/sites": [200, rows(0, 1000)],
  });
  await store.start();
  await store.load(path);
  const ids = store.heard.get(path).value.map(({ id }) => id);
  assert.deepEqual([ids.length, ids.at(0), ids.at(-1)], [2030, "b0", "b2029"], "and each of them once");
  delete answers[`GET ${path}?offset=2000`];
  await store.load(path);
  assert.equal(store.heard.get(path).value.length, 2030, "half a list is none");
  await store.load("tenants/t1/sites");
  assert.deepEqual(asked.at(-1).name, "GET tenants/t1/sites", "which comes whole");
});

test("what was taken away is not shown any longer", async () => {
  const { store, answers } = portal({ "GET me": [200, OWNER], "GET cameras/a": [200, { id: "a" }] });
  await store.start();
  await store.load("cameras/a");
  for (const status of [404, 403]) {
    answers["GET cameras/a"] = [status, {}];
    await store.load("cameras/a");
    assert.deepEqual([store.heard.get("cameras/a").value, store.heard.get("cameras/a").error.status], [undefined, status]);
  }
});

test("an answer to whoever was signed in before is not shown to the next", async () => {
  const { store, answers } = portal({ "GET me": [200, OWNER], "POST session": [200, OTHER], "DELETE session": [204, null] });
  await store.start();
  let late;
  answers["GET tenants/t1/cameras"] = () => [200, [{ id: "a" }]];
  const real = globalThis.fetch;
  globalThis.fetch = (url, request) => (url.endsWith("cameras") ? new Promise((resolve) => (late = () => resolve(real(url, request)))) : real(url, request));
  const loading = store.load("tenants/t1/cameras");
  await store.signOut();
  await store.signIn("x@acme.kz", "tulip");
  late();
  await loading;
  assert.equal(store.heard.size, 0);
});

test("the tenant is kept by the browser; a role is that tenant's", async () => {
  const { store } = portal({ "GET me": [200, OWNER] }, "people");
  await store.start();
  assert.ok(store.may("owner"));
  store.visit({ id: "t2", name: "Other" });
  assert.deepEqual([store.tenant.role, store.may("installer"), store.view], ["viewer", false, "wall"]);
  assert.equal(window.localStorage.getItem("tenant"), "t2");
  store.visit({ id: "t9", name: "Never" });
  assert.equal(store.tenant.id, "t9", "an operator's visit; for others the cloud refuses each question");
});

test("an invitation makes a person, who is then at work", async () => {
  const { store, asked } = portal({ "GET me": [401, {}], "POST invitations/s%2Fx": [200, OWNER] }, "invitation/s%2Fx");
  await store.start();
  assert.equal(store.view, "invitation");
  await store.accept(store.route.rest[0], { name: "O", password: "tulip-boat", language: "kk" });
  assert.deepEqual([store.view, asked.at(-1).body.name], ["wall", "O"]);
});

test("the language that one chooses is kept here and in the cloud", async () => {
  const { store, asked } = portal({ "GET me": [200, OWNER], "PATCH me": [200, OWNER] });
  await store.start();
  await store.choose("kk");
  assert.equal(store.language, "kk");
  assert.deepEqual([asked.at(-1).name, asked.at(-1).body], ["PATCH me", { language: "kk" }]);
  assert.equal(window.localStorage.getItem("language"), "kk");
});
