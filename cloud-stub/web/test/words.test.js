import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import test from "node:test";

import { LANGUAGES } from "../../../firmware/assets/web/language.js";
import { fill, refusal, speaker } from "../../../firmware/assets/web/words.js";
import { orders, STAGES, STANDINGS } from "../rollout.js";

/** @param {string} path */
const read = (path) => readFileSync(new URL(path, import.meta.url), "utf8");
const words = Object.fromEntries(LANGUAGES.map((language) => [language, JSON.parse(read(`../words/${language}.json`))]));
const modules = (folder) =>
  readdirSync(new URL(folder, import.meta.url))
    .filter((name) => name.endsWith(".js"))
    .map((name) => read(`${folder}/${name}`));
const sources = [...modules(".."), ...modules("../../../firmware/assets/web")].join("\n");
const holes = (sentence) => (sentence.match(/\{\w*\}?/g) ?? []).sort();

test("all languages say the same things and fill in the same values", () => {
  for (const language of LANGUAGES) {
    assert.deepEqual(Object.keys(words[language]), Object.keys(words.en), language);
    for (const [key, sentence] of Object.entries(words[language])) {
      assert.ok(sentence.trim().length > 0, `${language} ${key}`);
      assert.deepEqual(holes(sentence), holes(words.en[key]), `${language} ${key}`);
      assert.ok(holes(sentence).every((hole) => /^\{[a-z]+\}$/.test(hole)), `${language} ${key}`);
      assert.equal(sentence, sentence.trim(), `${language} ${key}`);
    }
  }
});

test("no sentence was left in another language", () => {
  for (const [key, english] of Object.entries(words.en)) {
    for (const language of ["ru", "kk"]) {
      if (/[a-z]{3}/.test(fill(english, {}))) assert.match(words[language][key], /[а-яё]/iu, `${language} ${key}`);
    }
    const kazakh = words.kk[key];
    if (kazakh.length > 40) {
      assert.notEqual(kazakh, words.ru[key], key);
      assert.match(kazakh, /[әғқңөұүһі]/iu, `${key} has no letter that only Kazakh has`);
    }
  }
});

test("every word that the portal says is there, and every word is said", () => {
  const said = new Set([...sources.matchAll(/"((?:[a-z]+)\.[a-z0-9_]+)"/g)].map(([, key]) => key));
  const composed = [...sources.matchAll(/`([a-z]+\.)(?:\$\{[^}]+\}(_[a-z]+)?)`/g)].map(([, start, end]) => [start, end ?? ""]);
  for (const key of said) {
    if (/\.(js|json|css|conf)$/.test(key)) continue;
    assert.ok(key in words.en, `"${key}" is said but not in the words`);
  }
  const silent = Object.keys(words.en).filter((key) => !said.has(key) && !composed.some(([start, end]) => key.startsWith(start) && key.endsWith(end)));
  assert.deepEqual(silent, []);
});

/** The states of a campaign, as the cloud names them. */
const CAMPAIGN = ["draft", "running", "paused", "halted", "withdrawn", "done"];

test("what a view composes has words for each of its values", () => {
  const all = {
    role: ["viewer", "installer", "owner", "viewer_may", "installer_may", "owner_may"],
    state: ["live", "connecting", "waiting", "off", "away"],
    kind: ["box", "pull", "push", "peer"],
    access: ["public", "private"],
    reason: ["camera", "password", "settings", "reader", "site", "cloud", "off", "removed"],
    graph: ["sends", "unmeasured", "none"],
    unit: ["d", "h", "m", "s"],
    password: ["short", "weak", "fair", "good"],
    operator: ["tenants", "boxes", "online", "cameras"],
    share: ["link", "embed", "for_hour", "for_day", "for_week", "for_month", "for_never"],
    invitation: ["viewer", "installer", "owner", "operator"],
    update: CAMPAIGN,
    order: CAMPAIGN.flatMap((state) => orders(state).flatMap((what) => [what, `${what}_sure`])),
    stage: STAGES,
    standing: STANDINGS,
    told: ["drafted", "started", "paused", "resumed", "withdrawn", "advanced", "opened", "done", "halted", "met", "heard", "pinned", "unpinned", "held", "unheld", "postponed",
      "cleared", "lapsed", "stayed", "stuck", "back",
      ...STANDINGS.filter((name) => name !== "superseded")],
    place: ["past", "now", "ahead"],
    bar: ["committed", "failed", "moving", "rest"],
    day: [0, 1, 2, 3, 4, 5, 6],
  };
  for (const [group, values] of Object.entries(all)) {
    for (const value of values) assert.ok(words.en[`${group}.${value}`], `${group}.${value}`);
  }
});

test("a refusal says what to do next, in the reader's language, whatever the cloud's own words", () => {
  for (const language of LANGUAGES) {
    const say = speaker(words[language]);
    for (const status of [400, 401, 403, 404, 409, 413, 422, 429, 500, 503]) {
      const told = refusal(say, { status, code: `never_${status}`, sentence: "Server English." });
      assert.notEqual(told, "Server English.", `${language} ${status}`);
      assert.ok(told.length > 20, told);
    }
  }
  const say = speaker(words.en);
  assert.notEqual(refusal(say, { status: 401, code: "signin_401" }), words.en["error.401"], "a wrong password is no ended session");
  assert.match(refusal(say, { status: 429, code: "signin_429", retryAfter: "17" }), /17 s/);
});

test("what is thrown by name has words", () => {
  const thrown = [...sources.matchAll(/throw \{ code: "([a-z_]+)" \}/g)].map(([, code]) => code);
  assert.ok(thrown.length > 10);
  for (const code of thrown) assert.ok(words.en[`error.${code}`], code);
});
