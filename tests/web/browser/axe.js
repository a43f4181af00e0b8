/**
 * axe: WCAG 2.0 A to 2.2 AA over the page as it stands.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const SOURCE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

/**
 * @param {import("playwright-core").Page} page
 * @param {string} state for the message
 */
export async function assertAccessible(page, state) {
  // A colour in mid-transition is nobody's choice.
  await page.evaluate(() => Promise.all(document.getAnimations().filter((a) => a instanceof CSSTransition).map((a) => a.finished.catch(() => null))));
  await page.evaluate(SOURCE);
  const violations = await page.evaluate(async (tags) => {
    const { violations } = await /** @type {any} */ (window).axe.run(document, { runOnly: tags, resultTypes: ["violations"] });
    return violations.map((/** @type {any} */ v) => `${v.id}: ${v.help}\n  ${v.nodes.map((/** @type {any} */ n) => `${n.html.slice(0, 160)} ${n.any[0]?.message ?? ""}`).join("\n  ")}`);
  }, TAGS);
  assert.deepEqual(violations, [], state);
}
