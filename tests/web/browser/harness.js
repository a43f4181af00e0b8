/**
 * The harness: one person's browser per test. Pages are the served ones; a test may only override what a deployment
 * could configure (/config.json) or script answers of /v1 for states that a healthy stack does not reach on demand.
 */
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { configure, launch, PATIENCE_MS, sandbox } from "./live.js";

export * from "./live.js";

/** Employees of an account; the size of the whole. */
export const EMPLOYEES = 60;

/** @type {import("playwright-core").Browser} */
let browser;

before(async () => {
  browser = await launch();
  // Small accounts that sync once: many tests share the stack, and nobody waits behind an earlier test's account.
  await sandbox("/settings", { records: { "hris.Employee": EMPLOYEES }, sync_interval_ms: 30 * 86_400_000 });
});
after(() => browser?.close());

/**
 * @typedef {object} PageOptions
 * @property {Partial<PageConfig>} [config] overrides of /config.json
 * @property {"light" | "dark"} [theme]
 * @property {{width: number, height: number}} [viewport]
 * @property {"reduce" | "no-preference"} [motion]
 */

/**
 * A fresh person's browser: its own storage, the page not yet opened. An uncaught error on the page fails the test.
 * @param {import("node:test").TestContext} t
 * @param {PageOptions} [options]
 */
export async function person(t, { config = {}, theme = "light", viewport = { width: 1200, height: 900 }, motion = "no-preference" } = {}) {
  const context = await browser.newContext({ colorScheme: theme, viewport, reducedMotion: motion, locale: "en-US", timezoneId: "UTC" });
  t.after(() => context.close());
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  /** @type {string[]} */
  const console = [];
  page.on("console", (message) => console.push(message.text()));
  /** @type {string[]} */
  const faults = [];
  page.on("pageerror", (error) => faults.push(String(error)));
  await configure(page, config);
  t.after(() => assert.deepEqual(faults, [], "uncaught errors on the page"));
  return { page, context, console };
}

