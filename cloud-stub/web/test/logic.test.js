import assert from "node:assert/strict";
import test from "node:test";

import * as logic from "../logic.js";

const tenant = (role) => ({ id: "t1", name: "ACME", role });
const me = (role, operator = false) => ({
  person: { id: "p1", email: "a@b.kz", name: "A", language: "kk", operator },
  tenants: role ? [tenant(role)] : [],
  csrf: "c",
});
const see = (role, hash, operator) => logic.view({ me: me(role, operator), tenant: role ? tenant(role) : null, hash });

test("each role sees the pages of its work and no other, whatever the address says", () => {
  assert.deepEqual(logic.navigation(me("viewer"), tenant("viewer")), ["wall", "profile"]);
  assert.deepEqual(logic.navigation(me("installer"), tenant("installer")), ["wall", "cameras", "boxes", "sites", "uptime", "profile"]);
  assert.deepEqual(logic.navigation(me("owner"), tenant("owner")), ["wall", "cameras", "boxes", "sites", "uptime", "people", "alerts", "audit", "profile"]);
  assert.deepEqual(logic.navigation(me(null, true), null), ["operator", "updates", "profile"]);
  for (const page of ["people", "alerts", "audit", "operator", "updates", "plan", "campaign/x", "history/x"]) assert.equal(see("installer", `#${page}`), "wall", page);
  for (const page of ["people", "boxes", "claim/AB", "camera/x", "add", "sheet", "uptime"]) assert.equal(see("viewer", `#${page}`), "wall", page);
  assert.equal(see("owner", "#people"), "people");
  assert.equal(see("owner", "#operator"), "wall");
  assert.equal(see(null, "#operator", true), "operator");
  for (const page of ["updates", "plan", "campaign", "history"]) {
    assert.equal(see("owner", `#${page}/x`), "wall", `${page} is the operator's alone`);
    assert.equal(see(null, `#${page}/x`, true), page);
  }
  assert.equal(see(null, "", true), "operator", "an operator who is nobody's begins there");
  assert.equal(see(null, "#wall"), "nothing");
  assert.equal(see("owner", "#constructor"), "wall");
});

test("before one is signed in there is the way in, and an invitation opens for everybody", () => {
  const view = (who, hash) => logic.view({ me: who, tenant: null, hash });
  assert.equal(view(undefined, "#people"), "loading");
  assert.equal(view(null, "#people"), "signin");
  assert.equal(view(null, "#invitation/abc"), "invitation");
  assert.equal(view(me("owner"), "#invitation/abc"), "invitation");
});

test("an address is a page and what it is about; nonsense stays text", () => {
  assert.deepEqual(logic.route("#sheet/site/a%2Fb"), { page: "sheet", rest: ["site", "a/b"] });
  assert.deepEqual(logic.route("#/wall"), { page: "wall", rest: [] });
  assert.deepEqual(logic.route("#claim/%E0%A4"), { page: "claim", rest: ["%E0%A4"] });
  assert.deepEqual(logic.route(""), { page: "", rest: [] });
  assert.equal(logic.within("camera"), "cameras");
  assert.equal(logic.within("campaign"), "updates");
  assert.equal(logic.within("people"), "people");
});

test("the tenant is the one chosen before while it is there", () => {
  const all = [tenant("owner"), { id: "t2", name: "B", role: "viewer" }];
  assert.equal(logic.chosenTenant(all, "t2").id, "t2");
  assert.equal(logic.chosenTenant(all, "gone").id, "t1");
  assert.equal(logic.chosenTenant([], "t2"), null);
});

test("a long list is turned page by page, and never beyond its ends", () => {
  const list = Array.from({ length: 19 }, (_, index) => index);
  assert.deepEqual(logic.paged(list, 9, 2), { items: [18], page: 2, pages: 3 });
  assert.equal(logic.paged(list, 9, 7).page, 2, "pictures that were taken away leave no empty page");
  assert.equal(logic.paged(list, 9, -1).page, 0);
  assert.deepEqual(logic.paged([], 9, 3), { items: [], page: 0, pages: 1 });
});

test("a camera's condition is a word that the portal knows", () => {
  const word = (state, more = {}) => logic.condition({ on: true, box_away: false, state, ...more });
  assert.equal(word("streaming"), "live");
  assert.equal(word("streaming", { on: false }), "off");
  assert.equal(word("connecting"), "connecting");
  assert.equal(word("offline"), "waiting");
  assert.equal(word("offline", { box_away: true }), "away");
});

test("cameras stand by sites and names, numbers as people count, those without a site last", () => {
  const camera = (id, title, site) => ({ id, title, site });
  const sites = [{ id: "s2", name: "Yard" }, { id: "s1", name: "Hall" }, { id: "s3", name: "Empty" }];
  const groups = logic.bySite([camera("a", "Gate 10", "s1"), camera("b", "Gate 9", "s1"), camera("c", "X", "gone"), camera("d", "Y", "s2")], sites, "en");
  assert.deepEqual(groups.map(({ site, cameras }) => [site?.id ?? null, cameras.map(({ id }) => id)]), [["s1", ["b", "a"]], ["s2", ["d"]], [null, ["c"]]]);
});

test("the graph draws no line over what was not measured or not answered", () => {
  const minute = 60_000;
  const [times, pings] = logic.graph([[0, 5], [minute, null], [2 * minute, 7], [9 * minute, 8]], minute);
  assert.deepEqual(times, [0, 60, 120, 180, 540]);
  assert.deepEqual(pings, [5, null, 7, null, 8]);
  assert.deepEqual(logic.graph([[minute, 1], [0, 2], [minute, 3]], minute)[0], [60], "time never goes back");
});

test("a camera that nobody asks has lost nothing", () => {
  const at = (index, ping, fps) => [index * 30_000, ping, 90, fps, 4_000_000, 700];
  const played = Array.from({ length: 100 }, (_, index) => at(index, null, 25));
  assert.equal(logic.pings({ pinged: false, points: played }), "sends");
  assert.equal(logic.pings({ pinged: true, points: [] }), "none");
  assert.equal(logic.pings({ pinged: true, points: played.slice(0, 3) }), "none");
  assert.equal(logic.pings({ pinged: true, points: played }), "unmeasured", "its box knows it by a name only");
  // Two minutes of pictures before the first ping; then it dies.
  const points = [...played.slice(0, 4), at(4, 3, 25), at(5, null, 25), at(6, null, 0)];
  assert.equal(logic.pings({ pinged: true, points }), "measured");
  assert.deepEqual(logic.asked(points).map(([, ping]) => ping), [3, null, null]);
  const dead = [at(0, null, 0), at(1, null, 0)];
  assert.equal(logic.pings({ pinged: true, points: dead }), "measured");
  assert.equal(logic.asked(dead).length, 2);
});

test("the table says of each hour what the graph shows", () => {
  const hour = 3_600_000;
  assert.deepEqual(logic.hours([[hour + 2, 30], [hour + 1, 10], [hour + 3, null], [hour + 4, 20], [5, null]]), [
    { from_ms: 0, median: null, worst: null, lost: 1 },
    { from_ms: hour, median: 20, worst: 30, lost: 1 },
  ]);
  assert.equal(logic.median([3, 1, 2]), 2);
});

test("an outage is two things that happened, the end of one before the begin of the next", () => {
  const told = logic.changes([{ from_ms: 90, to_ms: null, reason: "site" }, { from_ms: 10, to_ms: 90, reason: "camera" }]);
  assert.deepEqual(told.map(({ at_ms, back, reason, lasted_ms }) => [at_ms, back, reason, lasted_ms]), [
    [90, true, "camera", 80],
    [90, false, "site", 0],
    [10, false, "camera", 0],
  ]);
});

test("months follow each other over the ends of years", () => {
  assert.equal(logic.month(Date.UTC(2026, 10, 22)), "2026-11");
  assert.equal(logic.monthBeside("2026-01", -1), "2025-12");
  assert.equal(logic.monthBeside("2026-12", 1), "2027-01");
});

test("a share ends after what was chosen, or never", () => {
  assert.equal(logic.expiry("hour", 1000), 3_601_000);
  assert.equal(logic.expiry("week", 0), 7 * 86_400_000);
  assert.equal(logic.expiry("never", 0), null);
});

test("addresses are told from what is none", () => {
  for (const good of ["rtsp://203.0.113.5:554/stream", "RTSPS://cam.example/x?y=1", "rtsp://[2001:db8::1]/a"]) assert.ok(logic.isAddress(good, ["rtsp:", "rtsps:"]), good);
  for (const bad of ["", "cam.example", "http://cam.example", "rtsp://", "rtsp://a b/", "javascript:alert(1)"]) assert.ok(!logic.isAddress(bad, ["rtsp:", "rtsps:"]), bad);
  for (const good of ["a@b.kz", "first.last@mail.example.com", "ops@localhost"]) assert.ok(logic.isEmail(good), good);
  for (const bad of ["", "a@b", "a b@c.kz", "a@b..kz", "@c.kz"]) assert.ok(!logic.isEmail(bad), bad);
  assert.deepEqual(logic.listed(" a@b.kz,\n c@d.kz;e@f.kz "), ["a@b.kz", "c@d.kz", "e@f.kz"]);
});

test("a code is read as people type it", () => {
  assert.equal(logic.code(" abcd-efgh "), "ABCD-EFGH");
  assert.equal(logic.code("a".repeat(99)).length, 32);
});

test("on paper a link begins with its name", () => {
  assert.equal(logic.onPaper("https://v.kz/abc/"), "v.kz/abc/");
});

test("a month with one bad second was not perfect", () => {
  assert.equal(logic.percentage(100, "en"), "100");
  assert.equal(logic.percentage(100 - 100 / 2_592_000, "en"), "99.999");
  assert.equal(logic.percentage(99.5, "ru"), "99,5");
});
