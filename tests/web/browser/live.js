/**
 * The live stack and a real Chromium in front of it: where it is (TETHER_READY_FILE), how one signs in, its API and the
 * sandbox's control API.
 */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { chromium } from "playwright-core";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  // A page that a test serves by hand counts as public, the stack on 127.0.0.1 as local; real deployments are both public.
  "--disable-features=LocalNetworkAccessChecks",
];
/** Bound of every wait; a first sync has its own. */
export const PATIENCE_MS = 30_000;

/** @typedef {import("playwright-core").Page} BrowserPage */
/** @typedef {{page: string, api: string, sandbox: string, token: string, merge: string, issuer: string}} Stack */

/** @returns {Stack} */
function readStack() {
  const file = process.env.TETHER_READY_FILE;
  assert.ok(file && existsSync(file), "TETHER_READY_FILE must name the ready file of a running stack (cargo dev --ready-file F)");
  return JSON.parse(readFileSync(file, "utf8"));
}

export const stack = readStack();

export const launch = () => {
  assert.ok(existsSync(CHROMIUM), `${CHROMIUM} is missing: install Debian's chromium or set CHROMIUM`);
  return chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
};

/**
 * Overrides of /config.json: what a deployment could set.
 * @param {BrowserPage} page
 * @param {Partial<PageConfig>} config
 */
export const configure = (page, config) =>
  page.route("**/config.json", async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, json: { ...(await response.json()), poll_seconds: 1, ...config } });
  });

/** An organization of the test's own: the local issuer has tokens for every `org_<name>`. */
export const newOrganization = () => `org_web_${randomUUID().slice(0, 8)}`;

/**
 * Opens the page and signs in.
 * @param {BrowserPage} page
 * @param {string} [organization]
 */
export async function signIn(page, organization = "org_acme") {
  await page.goto(stack.page);
  await page.locator("#sign-in").click();
  await chooseOrganization(page, organization);
  await page.locator("#connected-heading").waitFor();
}

/** What the local issuer's page offers. */
const OFFERED = ["org_acme", "org_globex"];

/**
 * On the issuer's page: presses the organization's button. For one that is not offered, the access token of the answer
 * is another genuine one of the same issuer; the page never looks into access tokens.
 * @param {BrowserPage} page
 * @param {string} organization
 */
export async function chooseOrganization(page, organization) {
  await page.waitForURL((url) => url.origin === new URL(stack.issuer).origin);
  const offered = OFFERED.includes(organization);
  if (!offered) {
    const token = await tokenOf(organization);
    await page.route(stack.token, async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, json: { ...(await response.json()), access_token: token } });
    }, { times: 1 });
  }
  await page.locator(`button[value="${offered ? organization : OFFERED[0]}"]`).click();
}

/** Waits until the focus is on an element. @param {BrowserPage} page @param {string} id */
export const focused = (page, id) => page.locator(`[id="${id}"]:focus`).waitFor({ state: "attached" });

/** The live region's sentence. @param {BrowserPage} page @param {RegExp} sentence */
export const announced = (page, sentence) => page.locator("[aria-live=polite]").filter({ hasText: sentence }).waitFor({ state: "attached" });

/** @param {string} organization */
export async function tokenOf(organization) {
  const answer = await fetch(stack.token, {
    method: "POST",
    body: new URLSearchParams({ grant_type: "client_credentials", client_id: organization, client_secret: "dev" }),
  });
  assert.equal(answer.status, 200, "client credentials of the local issuer");
  return (await answer.json()).access_token;
}

/**
 * The organization's own API, as its services call it.
 * @param {string} organization
 * @param {string} method
 * @param {string} path
 * @param {unknown} [sent]
 * @returns {Promise<{status: number, body: any}>}
 */
export async function api(organization, method, path, sent) {
  const headers = { authorization: `Bearer ${await tokenOf(organization)}`, "content-type": "application/json" };
  const answer = await fetch(stack.api + path, { method, headers, body: sent === undefined ? undefined : JSON.stringify(sent) });
  const text = await answer.text();
  return { status: answer.status, body: text ? JSON.parse(text) : null };
}

/** @param {string} organization @returns {Promise<LinkedAccount[]>} connected ones */
export async function accountsOf(organization) {
  const { status, body } = await api(organization, "GET", "/v1/linked-accounts");
  assert.equal(status, 200);
  return body.results.filter((/** @type {LinkedAccount} */ a) => a.status !== "INCOMPLETE");
}

/**
 * Polls with a bound.
 * @param {() => Promise<boolean>} condition
 * @param {string} what
 * @param {number} [patience] milliseconds
 */
export async function until(condition, what, patience = PATIENCE_MS) {
  const deadline = Date.now() + patience;
  while (!(await condition())) {
    assert.ok(Date.now() < deadline, `not in ${patience} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** The sandbox's control API. @param {string} path @param {unknown} [body] @returns {Promise<any>} */
export async function sandbox(path, body) {
  const answer = await fetch(stack.sandbox + path, body === undefined ? {} : { method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json" } });
  assert.ok(answer.ok, `${path}: ${answer.status} ${await answer.clone().text()}`);
  const text = await answer.text();
  return text ? JSON.parse(text) : null;
}
