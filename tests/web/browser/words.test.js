import assert from "node:assert/strict";
import { test } from "node:test";
import { LOCALES } from "../../../web/i18n.js";
import { forbiddenWords } from "../words.js";
import { GALLERY } from "./gallery.js";
import { person } from "./harness.js";
import { perceive } from "./perceive.js";

for (const locale of LOCALES) {
  for (const [name, { config, reach }] of Object.entries(GALLERY)) {
    test(`${name}, ${locale}: nobody perceives a forbidden word`, async (t) => {
      const { page } = await person(t, { config: { ...config, locale } });
      await reach(page);
      assert.equal(await page.getAttribute("html", "lang"), locale);
      const perceived = await perceive(page);
      assert.ok(perceived.length > 3);
      assert.deepEqual(perceived.filter(({ text }) => forbiddenWords(text).length > 0), []);
    });
  }
}

/** What is data, not a sentence of ours: names of brand, organization, systems and labels, and formatted numbers. */
const isData = (/** @type {string} */ text, /** @type {string[]} */ names) => names.includes(text) || /^[\d.,]+$/.test(text) || /^.$/.test(text) || text === "· ";

for (const [name, { config, reach }] of Object.entries(GALLERY)) {
  test(`${name}: every sentence comes from the dictionary`, async (t) => {
    const { page } = await person(t, { config });
    await page.route("**/assets/locales/en.json", async (route) => {
      const response = await route.fetch();
      const marked = Object.entries(await response.json()).map(([key, sentence]) => [key, `⟦${sentence}⟧`]);
      await route.fulfill({ response, json: Object.fromEntries(marked) });
    });
    const names = await namesOn(page);
    await reach(page);
    const perceived = await perceive(page);
    assert.ok(perceived.some(({ text }) => text.includes("⟦")));
    const hardCoded = perceived.filter(({ text, time }) => !time && !/^⟦.*⟧$/s.test(text) && !isData(text, names));
    assert.deepEqual(hardCoded, []);
  });
}

/** The names that stand on the page as data; filled as answers pass by. @param {import("playwright-core").Page} page */
async function namesOn(page) {
  /** @type {string[]} */
  const names = ["Acme", "BambooHR", "Workday", "HiBob", "Personio", "Gusto", "Rippling", "People of the Berlin office"];
  page.on("response", async (response) => {
    const { pathname } = new URL(response.url());
    if (pathname === "/config.json") names.push((await response.json()).brand.name);
    if (pathname === "/v1/integrations" && response.ok()) names.push(...(await response.json()).results.map((/** @type {CatalogueEntry} */ e) => e.name));
  });
  return names;
}
