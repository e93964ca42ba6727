import assert from "node:assert/strict";
import test from "node:test";

import { clock, duration, megabits } from "../figures.js";
import { chooseLanguage } from "../language.js";
import { strength } from "../password.js";
import { fill } from "../words.js";

test("the language is the one chosen, kept by the box, or preferred by the browser, in this order", () => {
  const choose = (chosen, kept, ...preferred) => chooseLanguage({ chosen, kept, preferred });
  assert.equal(choose(null, null, "de-DE", "kk-KZ", "ru"), "kk");
  assert.equal(choose(null, "en", "kk"), "en");
  assert.equal(choose("ru", "en", "kk"), "ru");
  assert.equal(choose("xx", undefined, "fr"), "ru");
  assert.equal(choose(null, null), "ru");
});

test("passwords are judged by what makes them hard to guess", () => {
  for (const short of ["", "1234567", "пароль1"]) assert.equal(strength(short), "short", short);
  for (const weak of ["12345678", "password1", "qwerty2024", "aaaaaaaaaaaaaaaaaaaa", "ababababab", "Парольный", "streambox1"]) {
    assert.equal(strength(weak), "weak", weak);
  }
  assert.equal(strength("tulip-boat"), "fair");
  for (const good of ["correct horse battery", "Тюльпан-в-лодке", "x7Kp-qm2Zw"]) assert.equal(strength(good), "good", good);
  assert.equal(strength("🐟🐟🐟🐟"), "short", "characters, not units of UTF-16");
});

test("times have the day when it is another", () => {
  const now = Date.UTC(2026, 10, 21, 18, 0);
  assert.equal(clock(now + 30 * 60_000, now, "ru", "UTC"), "18:30");
  assert.equal(clock(now + 86_400_000, now, "en", "UTC"), "22 Nov, 18:00");
  for (const language of ["kk", "ru"]) assert.match(clock(now + 86_400_000, now, language, "UTC"), /^22\.11,? 18:00$/);
  assert.equal(clock(Date.UTC(2026, 10, 21, 0, 5), now, "kk", "UTC"), "00:05", "midnight is no 24");
});

test("durations have two units at most and are never nothing", () => {
  assert.deepEqual(duration(93_784), [["d", 1], ["h", 2]]);
  assert.deepEqual(duration(3600), [["h", 1]]);
  assert.deepEqual(duration(86_460), [["d", 1]]);
  assert.deepEqual(duration(0), [["m", 1]]);
});

test("Mbit/s are said as the language writes them", () => {
  assert.equal(megabits(4_130_000, "ru"), "4,1");
  assert.equal(megabits(41_300_000, "en"), "41");
});

test("a value is text and is filled in once", () => {
  assert.equal(fill("{a} and {b}{c}", { a: "{b}", b: "<i>" }), "{b} and <i>");
});
