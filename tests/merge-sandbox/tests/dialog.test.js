/**
 * The dialog of initialize.js in a real Chromium, on a page with as strict a policy as a careful product has.
 * Needs MERGE_SANDBOX_BIN (the built sandbox) and the packages of tests/web. Run: node --test tests/merge-sandbox/tests/
 */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import { after, afterEach, before, test } from "node:test";

const web = createRequire(new URL("../../web/package.json", import.meta.url));
const { chromium } = web("playwright-core");
const axe = readFileSync(web.resolve("axe-core/axe.min.js"), "utf8");

let sandbox, base, host, browser, page, tokens = 0;

before(async () => {
  sandbox = spawn(process.env.MERGE_SANDBOX_BIN, ["--listen", "127.0.0.1:0", "--employees", "10", "--speed", "20"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line] = await once(sandbox.stdout, "data");
  base = String(line).trim().replace(/\/api$/, "");
  host = http.createServer((_, answer) => {
    answer.setHeader("Content-Security-Policy", `default-src 'none'; script-src ${base}; connect-src ${base}`);
    answer.setHeader("Content-Type", "text/html");
    answer.end(`<!doctype html><html lang="en"><title>Host</title><script src="${base}/initialize.js"></script>
      <main><h1>Host</h1><button id="opener">Open</button></main>`);
  }).listen(0, "127.0.0.1");
  await once(host, "listening");
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
  page = await (await browser.newContext()).newPage();
  page.setDefaultTimeout(10_000);
  await page.goto(`http://127.0.0.1:${host.address().port}/`);
});

afterEach(() => page.evaluate(() => window.MergeLink.closeLink()));

after(async () => {
  await browser?.close();
  host?.close();
  sandbox?.kill();
});

async function linkToken(more = {}) {
  const body = {
    end_user_email_address: "ada@acme.example", end_user_organization_name: "Acme",
    end_user_origin_id: `dialog-${(tokens += 1)}`, categories: ["hris"], ...more,
  };
  const headers = { Authorization: "Bearer dev-api-key" };
  const answer = await fetch(`${base}/api/integrations/create-link-token`, { method: "POST", headers, body: JSON.stringify(body) });
  return (await answer.json()).link_token;
}

/** Initializes and opens as React does: the callbacks of `initialize`, `openLink` without an argument. */
async function open(token, options = {}) {
  await page.locator("#opener").focus();
  await page.evaluate(([linkToken, more]) => new Promise((onReady) => {
    window.calls = [];
    window.MergeLink.initialize({
      linkToken, ...more, onReady,
      onSuccess: (...values) => window.calls.push(["success", ...values]),
      onExit: (...values) => window.calls.push(["exit", ...values]),
      onValidationError: (errors) => window.calls.push(["validation", errors[0].problem_type]),
    });
  }), [token, options]);
  await page.evaluate(() => window.MergeLink.openLink());
}

const part = (name) => page.getByTestId(`merge-link-${name}`);
const calls = () => page.evaluate(() => window.calls);

async function assertAccessible() {
  // By the debugger's own way in: the page's policy would not let a script element do it.
  const violations = await page.evaluate(`${axe}; axe.run().then((found) => found.violations.map((one) => one.id))`);
  assert.deepEqual(violations, []);
}

test("choosing, being refused, and succeeding", async () => {
  await open(await linkToken());
  await part("search").fill("bamb");
  await assertAccessible();
  await part("integration-bamboohr").click();
  await part("credential").fill("invalid");
  await page.keyboard.press("Enter");
  await part("error").waitFor();
  await assertAccessible();
  assert.deepEqual(await calls(), [["validation", "INVALID_CREDENTIALS"]]);
  await part("credential").fill("good");
  await part("submit").click();
  await part("finish").waitFor();
  await assertAccessible();
  const [, [name, token, more]] = await calls();
  assert.deepEqual([name, token.length, more], ["success", 43, { isTokenForOtherPreexistingLinkedAccount: false }]);
  await part("finish").click();
  assert.deepEqual((await calls()).at(-1), ["exit"]);
  assert.equal(await part("dialog").count(), 0);
  assert.equal(await page.evaluate(() => document.activeElement.id), "opener");
});

test("a preselected system goes straight to its form, and the token waits for the end if told to", async () => {
  await open(await linkToken({ integration: "hibob", language: "de" }), { shouldSendTokenOnSuccessfulLink: false });
  await part("credential").fill("good");
  await part("submit").click();
  await part("finish").waitFor();
  assert.match(await part("heading").textContent(), /^HiBob ist verbunden$/);
  assert.deepEqual(await calls(), []);
  await page.keyboard.press("Escape");
  assert.deepEqual((await calls()).map(([name]) => name), ["success", "exit"]);
});

test("the keyboard stays in the dialog, and Escape leaves without a token", async () => {
  await open(await linkToken({ integration: "hibob" }));
  await part("credential").waitFor();
  for (const key of ["Tab", "Tab", "Tab", "Shift+Tab", "Shift+Tab", "Shift+Tab", "Shift+Tab"]) {
    await page.keyboard.press(key);
    assert.equal(await page.evaluate(() => document.activeElement.dataset.testid), "merge-link");
  }
  await page.keyboard.press("Escape");
  assert.deepEqual(await calls(), [["exit"]]);
});

test("a used link token says so, and closeLink ends it", async () => {
  await open("used-up");
  await part("error").waitFor();
  await assertAccessible();
  await page.evaluate(() => window.MergeLink.closeLink());
  assert.deepEqual(await calls(), [["exit"]]);
});

test("initialize may be called on every render; one dialog opens, with the last callbacks", async () => {
  const token = await linkToken();
  await open(token);
  await open(token);
  await page.evaluate(() => window.MergeLink.openLink());
  assert.equal(await part("dialog").count(), 1);
  await part("close").click();
});

test("a magic link shows the dialog on a page of its own", async () => {
  const other = await (await browser.newContext()).newPage();
  await other.goto(`${base}/link/${await linkToken({ integration: "hibob" })}`);
  await other.getByTestId("merge-link-credential").fill("good");
  await other.getByTestId("merge-link-submit").click();
  await other.getByTestId("merge-link-finish").click();
  await other.getByText("Your system is connected. You can close this page.").waitFor();
});
