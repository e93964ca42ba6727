import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import test from "node:test";

import { LANGUAGES } from "../../../assets/web/language.js";
import { fill, refusal, speaker } from "../../../assets/web/words.js";
import { obstacleWords } from "../obstacle.js";

const read = (path) => readFileSync(new URL(path, import.meta.url), "utf8");
const words = Object.fromEntries(LANGUAGES.map((language) => [language, JSON.parse(read(`../words/${language}.json`))]));
const modules = (folder) =>
  readdirSync(new URL(folder, import.meta.url))
    .filter((name) => name.endsWith(".js"))
    .map((name) => read(`${folder}/${name}`));
const sources = [...modules(".."), ...modules("../../../assets/web")].join("\n");
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
  const same = new Set(["help.where_onvif"]);
  for (const [key, english] of Object.entries(words.en)) {
    for (const language of ["ru", "kk"]) {
      const own = words[language][key];
      // Names and formats are spelled alike; a sentence has a word of its own alphabet.
      if (/[a-z]{3}/.test(fill(english, {})) && !same.has(key)) assert.match(own, /[а-яё]/iu, `${language} ${key}`);
    }
    const kazakh = words.kk[key];
    if (kazakh.length > 60) {
      assert.notEqual(kazakh, words.ru[key], key);
      assert.match(kazakh, /[әғқңөұүһі]/iu, `${key} has no letter that only Kazakh has`);
    }
  }
});

test("nothing technical is said to an owner where a plain word does", () => {
  const jargon = /\b(IP|RTSP|HTTP|URL|LAN|DHCP|VPN|WireGuard|subnet|stream(?!box|s?\b)|codec|GOP|firmware|bitrate|VLAN)\b/;
  for (const [key, sentence] of Object.entries(words.en)) {
    if (key.startsWith("help.")) continue;
    assert.doesNotMatch(sentence, jargon, key);
  }
});

test("every word that the page says is there, and every word is said", () => {
  const said = new Set([...sources.matchAll(/"((?:[a-z]+)\.[a-z0-9_]+)"/g)].map(([, key]) => key));
  const composed = [...sources.matchAll(/`([a-z]+\.)(?:\$\{[^}]+\}(_[a-z]+)?)`/g)].map(([, start, end]) => [start, end ?? ""]);
  for (const key of said) {
    if (/\.(js|json|css|txt)$/.test(key)) continue;
    assert.ok(key in words.en, `"${key}" is said but not in the words`);
  }
  const silent = Object.keys(words.en).filter((key) => {
    const made = composed.some(([start, end]) => key.startsWith(start) && key.endsWith(end));
    return !said.has(key) && !made;
  });
  assert.deepEqual(silent, []);
});

/** The names in backticks of a doc comment that begins with `from`. */
function named(source, from) {
  const start = source.indexOf(from);
  assert.ok(start > 0, from);
  const comment = source.slice(start, source.indexOf("pub code", start));
  return [...comment.matchAll(/`([a-z0-9_]+)`/g)].map(([, code]) => code);
}

test("every obstacle and every event of the box has words in each language", () => {
  const desk = read("../../src/desk.rs");
  const state = read("../../../model/src/state.rs");
  const troubles = [...state.matchAll(/Self::\w+(?: \{ \.\. \})? => "([a-z0-9_]+)"/g)].map(([, code]) => code);
  assert.ok(troubles.length >= 14 && troubles.includes("worker_died"));
  const obstacles = named(desk, "pub struct Obstacle");
  assert.ok(obstacles.includes("not_activated") && obstacles.includes("changed_device"));
  const events = named(desk, "pub struct Event");
  assert.ok(events.includes("camera_live"));
  for (const language of LANGUAGES) {
    for (const code of [...troubles, ...obstacles]) assert.ok(words[language][`obstacle.${code}`], `${language} ${code}`);
    for (const code of events) assert.ok(words[language][`event.${code}`], `${language} ${code}`);
  }
});

test("every end of an update, every reason and every state of it has words in each language", () => {
  const schemas = JSON.parse(read("../../../boxd/src/door/openapi.json")).components.schemas;
  const ends = schemas.LastUpdate.properties.end.enum;
  const reasons = schemas.LastUpdate.properties.why.enum.filter((why) => why !== null);
  const states = schemas.Update.properties.state.enum.filter((state) => state !== "single");
  const held = schemas.System.properties.state.enum;
  assert.ok(ends.length >= 6 && reasons.length >= 10);
  for (const language of LANGUAGES) {
    const spoken = [...ends.map((end) => `ended.${end}`), ...reasons.map((why) => `why.${why}`), ...states.map((state) => `update.${state}`)];
    const waits = schemas.Wait.properties.reason.enum.map((reason) => `wait.${reason}`);
    for (const key of [...spoken, ...waits, ...held.map((state) => `held.${state}`)]) assert.ok(words[language][key], `${language} ${key}`);
  }
});

test("the help names the same menus as the box does for an obstacle", () => {
  const quoted = (text) => [...text.matchAll(/"([A-Z][^"]* > [^"]*)"/g)].map(([, menu]) => menu).sort();
  const box = quoted(read("../../../camera/src/vendor.rs"));
  assert.ok(box.length >= 6);
  assert.deepEqual(quoted(read("../help.js")), box);
});

test("an obstacle says where it is put right and when it ends; an unknown one is quoted", () => {
  const say = speaker(words.en);
  const locked = { code: "locked", sentence: "x", menu: null, until_ms: 1, number: null };
  assert.match(obstacleWords(say, locked, "18:40").more.join(" "), /18:40/);
  const off = { code: "onvif_off", sentence: "x", menu: "System > ONVIF", until_ms: null, number: null };
  assert.deepEqual(obstacleWords(say, off, null).more, ["In the camera's menu: System > ONVIF"]);
  const gop = { code: "long_gop", sentence: "x", number: 4.0402 };
  assert.match(obstacleWords(say, gop, null).what, /every 4 s/);
  assert.doesNotMatch(obstacleWords(say, { ...gop, number: null }, null).what, /every {2}| s,/);
  assert.equal(obstacleWords(say, { code: "new_in_2030", sentence: "The lens is dirty." }, null).what, "The lens is dirty.");
  assert.ok(obstacleWords(say, { code: "new_in_2030" }, null).what.length > 20, "even without a sentence");
});

test("a refusal is said by its code, else by its status, else as the box said it", () => {
  const say = speaker(words.en);
  assert.match(refusal(say, { status: 400, code: "password_too_short" }), /8 characters/);
  assert.match(refusal(say, { status: 429, code: "too_many", retryAfter: "17" }), /17 s/);
  assert.match(refusal(say, { status: 0, code: "too_many" }), /128/, "cameras, not tries");
  assert.equal(refusal(say, { status: 400, code: "x", sentence: "No such lens." }), "No such lens.");
  const camera = refusal(say, { status: 409, code: "wrong_password" });
  assert.match(camera, /camera refused/);
  assert.notEqual(refusal(say, { status: 401, code: "wrong_password" }), camera, "the page's own password is another");
  assert.equal(refusal(say, { status: 500, code: "toString" }), words.en["error.strange"]);
});

test("what the gate refuses has words", () => {
  const sources = ["../../src/answer.rs", "../../src/handlers/account.rs"].map(read).join("\n");
  const refused = [...sources.matchAll(/=> \((4\d\d|503), "([a-z_]+)"\)/g)];
  assert.ok(refused.length >= 8);
  for (const [, status, code] of refused) {
    assert.ok(words.en[`error.${code}`] ?? words.en[`error.${status}`], code);
  }
});

test("every name for tests is listed at the head of the page's script", () => {
  const [head] = read("../app.js").split("import");
  const listed = head.match(/[a-z]+(?:-[a-z]+)*/g);
  const used = [...sources.matchAll(/(?:data-test|\btest)=(?:"([a-z-]+)"|\$\{`([a-z-]+?)-?\$\{)/g)].map(([, whole, start]) => whole ?? start);
  assert.ok(used.length > 50, `${used.length}`);
  for (const name of used) assert.ok(listed.some((known) => known === name || known.startsWith(`${name}-`)), name);
});
