import assert from "node:assert/strict";
import { test } from "node:test";
import { forbiddenWords } from "../words.js";
import { GALLERY } from "./gallery.js";
import { person } from "./harness.js";
import { perceive } from "./perceive.js";
import { fiftyAccounts, LONG_NAME } from "./states.js";

/**
 * Data of the gallery and of the catalogue that stand on the page beside our sentences.
 * @param {import("playwright-core").Page} page
 */
async function namesOn(page) {
  const names = ["Acme", "BambooHR", "Workday", "HiBob", "Personio", "Gusto", "Rippling", "HubSpot", "Xero", "zzzz"];
  names.push("People of the Berlin office", "Xero, European companies", "BambooHR, Berlin office", LONG_NAME);
  names.push(...fiftyAccounts().map((account) => account.display_name ?? ""));
  page.on("response", async (response) => {
    const { pathname } = new URL(response.url());
    if (pathname === "/config.json") names.push((await response.json()).brand.name);
    if (pathname === "/v1/integrations" && response.ok()) names.push(...(await response.json()).results.map((/** @type {CatalogueEntry} */ e) => e.name));
  });
  return names;
}

/** What stands outside the marks; a sentence may hold another. @param {string} text @returns {string} */
function unmarked(text) {
  const less = text.replace(/⟦[^⟦⟧]*⟧/g, "");
  return less === text ? text : unmarked(less);
}

/**
 * What is neither a marked sentence nor data: names, formatted numbers, a logo's letter.
 * @param {string} text
 * @param {string[]} names
 */
const strays = (text, names) =>
  unmarked(text)
    .split("·")
    .map((part) => part.trim())
    .filter((part) => part && !names.includes(part) && !/^[\d.,]+$/.test(part) && !/^.$/u.test(part));

for (const [name, { config, reach }] of Object.entries(GALLERY)) {
  test(`${name}, English: every sentence comes from the dictionary, and none has a forbidden word`, async (t) => {
    const { page } = await person(t, { config });
    await page.route("**/locales/en.json", async (route) => {
      const response = await route.fetch();
      const marked = Object.entries(await response.json()).map(([key, sentence]) => [key, `⟦${sentence}⟧`]);
      await route.fulfill({ response, json: Object.fromEntries(marked) });
    });
    const names = await namesOn(page);
    await reach(page);
    const perceived = await perceive(page);
    assert.ok(perceived.some(({ text }) => text.includes("⟦")));
    assert.deepEqual(perceived.filter(({ text }) => forbiddenWords(text).length > 0), []);
    assert.deepEqual(perceived.filter(({ text, time }) => !time && strays(text, names).length > 0), []);
  });

  test(`${name}, German: nobody perceives a forbidden word`, async (t) => {
    const { page } = await person(t, { config: { ...config, locale: "de" } });
    await reach(page);
    assert.equal(await page.getAttribute("html", "lang"), "de");
    const perceived = await perceive(page);
    assert.ok(perceived.length > 3);
    assert.deepEqual(perceived.filter(({ text }) => forbiddenWords(text).length > 0), []);
  });
}
