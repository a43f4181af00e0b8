import assert from "node:assert/strict";
import { test } from "node:test";
import { chooseLocale, createLanguage, LOCALES } from "../../../web/i18n.js";
import { KNOWN_CODES } from "../../../web/problems.js";
import { forbiddenWords } from "../words.js";
import { dictionary, FILES, MODULES, read } from "./files.js";

const english = dictionary("en");
const placeholders = (/** @type {string} */ sentence) => (sentence.match(/\{\w+\}/g) ?? []).sort();

/** Keys that modules build from data, as patterns. */
const COMPOSED = [/^category\./, /^model\./, /^state\./, /^explain\./, /^reason\./, /^actor\./, /^kind\./, /^event\./, /^problem\./];

test("every locale of the code has a dictionary, and the other way round", () => {
  const files = FILES.filter((file) => file.startsWith("locales/")).map((file) => file.slice(8, -5));
  assert.deepEqual(files.sort(), [...LOCALES].sort());
});

for (const locale of LOCALES) {
  const words = dictionary(locale);

  test(`${locale}: no key is missing, none is superfluous`, () => {
    assert.deepEqual(Object.keys(words).sort(), Object.keys(english).sort());
  });

  test(`${locale}: every sentence has its words and the placeholders of the English one`, () => {
    for (const [key, sentence] of Object.entries(words)) {
      assert.ok(sentence.trim(), `${key} is empty`);
      assert.deepEqual(placeholders(sentence), placeholders(english[key]), key);
    }
  });

  test(`${locale}: no sentence holds a forbidden word`, () => {
    for (const [key, sentence] of Object.entries(words)) assert.deepEqual(forbiddenWords(sentence), [], key);
  });

  test(`${locale}: every problem code of its own has a sentence`, () => {
    for (const code of KNOWN_CODES) assert.ok(`problem.${code}` in words, code);
  });
}

test("every key that a module names is in the dictionary, and every key is used", () => {
  const used = new Set();
  for (const file of MODULES) {
    for (const [, key] of read(file).matchAll(/"([a-z_]+(?:\.[a-z_]+)+)"/g)) {
      if (key.startsWith("tether.")) continue;
      if (key in english || `${key}.other` in english) used.add(key);
      else assert.fail(`${file} names ${key}`);
    }
  }
  for (const key of Object.keys(english)) {
    const stem = key.replace(/\.(one|other)$/, "");
    assert.ok(used.has(key) || used.has(stem) || COMPOSED.some((pattern) => pattern.test(key)), `${key} is unused`);
  }
});

test("German and English are not the same text by mistake", () => {
  const german = dictionary("de");
  const same = Object.keys(english).filter((key) => english[key] === german[key] && /\s/.test(english[key]));
  assert.deepEqual(same, []);
});

test("the locale is the configured one, or with auto the browser's first that is known", () => {
  assert.equal(chooseLocale("de-AT", []), "de");
  assert.equal(chooseLocale("auto", ["fr-FR", "de-CH", "en"]), "de");
  assert.equal(chooseLocale("auto", ["fr"]), "en");
  assert.equal(chooseLocale("xx", ["de"]), "en");
});

test("counts choose the plural form and are formatted", () => {
  const en = createLanguage("en", english);
  const de = createLanguage("de", dictionary("de"));
  assert.equal(en.t("account.records", { count: 1 }), "1 record");
  assert.equal(en.t("account.records", { count: 160000 }), "160,000 records");
  assert.equal(de.t("account.records", { count: 160000 }), "160.000 Datensätze");
});

test("times are relative up to now and never in the future", () => {
  const en = createLanguage("en", english);
  const now = Date.parse("2026-11-22T05:00:00Z");
  assert.equal(en.ago("2026-11-22T04:59:30Z", now), "just now");
  assert.equal(en.ago("2026-11-22T04:55:00Z", now), "5 minutes ago");
  assert.equal(en.ago("2026-11-21T05:00:00Z", now), "yesterday");
  assert.equal(en.ago("2026-11-22T05:10:00Z", now), "just now");
});

test("a kind of data has a plain name; an unknown one is spelled out", () => {
  const en = createLanguage("en", english);
  assert.equal(en.model({ model_id: "hris.TimeOff", model_name: "TimeOff" }), "Time off");
  assert.equal(en.model({ model_id: "ticketing.User@projects", model_name: "User" }), "Users");
  assert.equal(en.model({ model_id: "hris.NewThing", model_name: "NewThing" }), "New thing");
});

test("a time says as much as is not plain from now", () => {
  const en = createLanguage("en", english);
  const noon = new Date(2026, 10, 22, 12, 0).getTime();
  const at = (/** @type {[number, number, number, number, number]} */ ...parts) => new Date(...parts).toISOString();
  assert.match(en.moment(at(2026, 10, 22, 9, 5), noon), /^9:05\sAM$/);
  assert.match(en.moment(at(2026, 10, 20, 9, 5), noon), /^Nov 20, 9:05\sAM$/);
  assert.match(en.moment(at(2025, 10, 20, 9, 5), noon), /^Nov 20, 2025, 9:05\sAM$/);
});
