import assert from "node:assert/strict";
import { test } from "node:test";
import { EMPLOYEES, accountsOf, announced, api, chooseOrganization, focused, newOrganization, person, signIn, until } from "./harness.js";
import { choose, close, connect, dialogOf, enter, finish, newCredential } from "./provider.js";
import { hold, scriptProblem } from "./states.js";

/** A dialog script that does nothing by itself: the test calls what it was given. */
const STUB = `window.calls = []; window.MergeLink = {
  initialize(config) { calls.push("initialize"); window.given = config; },
  openLink() { calls.push("openLink"); },
  closeLink() { calls.push("closeLink"); given.onExit(); },
};`;

/** Bound of a whole first sync of a small account. */
const FIRST_SYNC_MS = 90_000;

test("connect, watch the first sync, read its counts", async (t) => {
  const organization = newOrganization();
  const { page } = await person(t);
  await signIn(page, organization);
  await page.locator(".empty").waitFor();
  const tokens = page.waitForResponse((response) => response.url().endsWith("/v1/link-tokens"));
  const release = await hold(page, /\/v1\/link-tokens$/);
  await page.getByRole("button", { name: "Connect HRIS integration" }).click();
  await page.locator("#connect-hris").getByText("Initializing…").waitFor();
  release();
  assert.equal((await tokens).status(), 201);
  await choose(page, "bamboohr");
  assert.equal(await page.locator("#connect-hris").textContent(), "Connect HRIS integration");
  await enter(page, newCredential());
  await page.locator(".account").waitFor();
  await finish(page);

  const row = page.locator(".account");
  assert.equal(await row.locator("h3").textContent(), "BambooHR");
  await until(() => page.evaluate(() => document.activeElement?.id.startsWith("account-") ?? false), "focus is on the new row");
  await announced(page, /BambooHR is connected/);
  await row.getByText("First sync running").waitFor();
  await row.locator(".kind").first().waitFor();
  await row.locator(".state-healthy").waitFor({ timeout: FIRST_SYNC_MS });
  await row.getByText(/Up to date as of/).waitFor();

  await row.getByRole("button", { name: "Details" }).click();
  const employees = row.locator(".kind").filter({ hasText: /^Employees/ });
  await employees.locator(".kind-count").filter({ hasText: new RegExp(`^${EMPLOYEES}\\b`) }).waitFor();
  const [{ id, records }] = await accountsOf(organization);
  const { body } = await api(organization, "GET", `/v1/linked-accounts/${id}/sync-status`);
  const shown = await row.locator(".kind-count").allTextContents();
  assert.equal(shown.length, body.results.length);
  assert.ok((await row.locator(".facts").textContent())?.includes(`${records.toLocaleString("en")} record`));
});

test("the dialog opens by itself as soon as it is ready, and not before", async (t) => {
  const { page } = await person(t);
  await page.route("**/initialize.js", (route) => route.fulfill({ contentType: "text/javascript", body: STUB }));
  await signIn(page, newOrganization());
  await page.locator("#connect-hris").click();
  const calls = () => page.evaluate(() => /** @type {any} */ (window).calls);
  await until(async () => (await calls())?.length === 1, "the dialog is being prepared");
  assert.deepEqual(await calls(), ["initialize"]);
  await page.locator("#connect-hris[aria-busy=true]").waitFor();
  await page.evaluate(() => /** @type {any} */ (window).given.onReady());
  assert.deepEqual(await calls(), ["initialize", "openLink"]);
  await page.locator("#connect-hris:not([aria-busy])").waitFor();
});

test("what was connected stands in the list, and is still there when the person comes back", async (t) => {
  const organization = newOrganization();
  const { page } = await person(t);
  await signIn(page, organization);
  await connect(page);
  await page.locator(".account h3").getByText("BambooHR").waitFor();
  await page.reload();
  await chooseOrganization(page, organization);
  await page.locator(".account h3").getByText("BambooHR").waitFor();
  assert.equal(await page.locator(".account").count(), 1);
});

test("closing the dialog gives the button back, and the next press asks for a fresh link token", async (t) => {
  const organization = newOrganization();
  const { page } = await person(t);
  await signIn(page, organization);
  /** @type {string[]} */
  const tokens = [];
  for (let round = 0; round < 2; round += 1) {
    const answered = page.waitForResponse((response) => response.url().endsWith("/v1/link-tokens"));
    await page.locator("#connect-hris").click();
    tokens.push((await (await answered).json()).link_token);
    await dialogOf(page).waitFor();
    await close(page);
    await until(async () => (await page.locator("#connect-hris").getAttribute("aria-disabled")) === null, "the button is back");
    await focused(page, "connect-hris");
  }
  assert.notEqual(tokens[0], tokens[1]);
  await page.locator(".empty").waitFor();
  assert.deepEqual(await accountsOf(organization), []);
});

test("a failed or abandoned attempt is no row under Connected integrations", async (t) => {
  const organization = newOrganization();
  const { page } = await person(t);
  await signIn(page, organization);
  await page.locator("#connect-hris").click();
  await choose(page, "bamboohr");
  await enter(page, "invalid");
  await page.getByTestId("merge-link-error").waitFor();
  await close(page);
  await page.locator("#connect-hris").click();
  await dialogOf(page).waitFor();
  await close(page);
  const { body } = await api(organization, "GET", "/v1/linked-accounts");
  assert.deepEqual(body.results.map((/** @type {LinkedAccount} */ a) => a.status), ["INCOMPLETE"]);
  await page.reload();
  await chooseOrganization(page, organization);
  await page.locator(".empty").waitFor();
});

test("what is not accepted can be corrected, or is told after closing", async (t) => {
  const { page } = await person(t);
  await signIn(page, newOrganization());
  await page.locator("#connect-hris").click();
  await choose(page, "bamboohr");
  await enter(page, "invalid");
  await page.getByTestId("merge-link-error").waitFor();
  await close(page);
  await page.locator("#notice-connect-hris").getByText("not accepted").waitFor();
  assert.equal(await page.locator("#connect-hris").textContent(), "Connect HRIS integration");

  await page.locator("#connect-hris").click();
  await page.locator("#notice-connect-hris").waitFor({ state: "detached" });
  await choose(page, "bamboohr");
  await enter(page, "invalid");
  await page.getByTestId("merge-link-error").waitFor();
  await enter(page, newCredential());
  await finish(page);
  await page.locator(".account").waitFor();
  assert.equal(await page.locator("#notice-connect-hris").count(), 0);
});

test("two systems connect side by side without disturbing each other", async (t) => {
  const { page } = await person(t);
  await signIn(page, newOrganization());
  const release = await hold(page, /\/v1\/link-tokens$/, (request) => request.postDataJSON().category === "ats");
  await page.locator("#connect-ats").click();
  await connect(page);
  release();
  await page.locator(".account").waitFor();
  assert.equal(await page.locator("#connect-ats").textContent(), "Connect ATS integration");
  await page.locator("#connect-ats").click();
  await dialogOf(page).waitFor();
  await close(page);
  assert.equal(await page.locator(".account").count(), 1);
});

test("an answer to the exchange that is lost on the way is found in the list", async (t) => {
  const { page } = await person(t);
  await signIn(page, newOrganization());
  let lost = 0;
  await page.route(/\/v1\/linked-accounts$/, async (route) => {
    if (route.request().method() !== "POST") return route.fallback();
    if (lost === 0) await route.fetch();
    lost += 1;
    return route.abort();
  });
  await connect(page);
  await page.locator(".account").waitFor();
  await until(async () => (await page.locator("#connect-hris").getAttribute("aria-busy")) === null, "the button is back");
  assert.ok(lost >= 1);
  assert.equal(await page.locator("#notice-connect-hris").count(), 0);
});

test("a system that belongs elsewhere could not be added here: a reference, and no hint of another customer", async (t) => {
  const { page } = await person(t);
  await signIn(page, newOrganization());
  await scriptProblem(page, /\/v1\/linked-accounts$/, "POST", { status: 404, code: "not_found" });
  await connect(page);
  const notice = page.locator("#notice-connect-hris");
  await notice.getByText("This system could not be added here.").waitFor();
  await notice.getByText("Reference: req-7f3a").waitFor();
  await focused(page, "connect-hris");
});

test("a link token that has expired is renewed silently, once", async (t) => {
  const { page } = await person(t);
  await page.route("**/initialize.js", (route) => route.fulfill({ contentType: "text/javascript", body: STUB }));
  await signIn(page, newOrganization());
  /** @type {string[]} */
  const tokens = [];
  page.on("response", async (response) => {
    if (response.url().endsWith("/v1/link-tokens")) tokens.push((await response.json()).link_token);
  });
  await page.locator("#connect-hris").click();
  const opened = async (/** @type {number} */ times) => {
    await until(() => page.evaluate((wanted) => /** @type {any} */ (window).calls?.filter((/** @type {string} */ c) => c === "initialize").length === wanted, times), "prepared");
    await page.evaluate(() => /** @type {any} */ (window).given.onReady());
  };
  const expire = () => page.evaluate(() => /** @type {any} */ (window).given.onValidationError([{ detail: "The link token has expired." }]));
  await opened(1);
  await expire();
  await opened(2);
  assert.equal(new Set(tokens).size, 2);
  assert.equal(await page.locator("#notice-connect-hris").count(), 0);
  await expire();
  await page.locator("#notice-connect-hris").getByText(/open for too long/).waitFor();
  assert.equal(tokens.length, 2);
  assert.equal(await page.locator("#connect-hris").textContent(), "Connect HRIS integration");
});

test("a script that breaks is told like one that is blocked, and the button comes back", async (t) => {
  const { page } = await person(t);
  const broken = `window.MergeLink = { initialize() { throw new Error("broken"); }, openLink() {} }`;
  await page.route("**/initialize.js", (route) => route.fulfill({ contentType: "text/javascript", body: broken }));
  await signIn(page, newOrganization());
  await page.locator("#connect-hris").click();
  await page.locator("#notice-connect-hris").getByText(/could not start/).waitFor();
  assert.equal(await page.locator("#connect-hris").getAttribute("aria-disabled"), null);
});

test("stored, but not in the list yet: the row is there all the same", async (t) => {
  const { page } = await person(t);
  await signIn(page, newOrganization());
  await page.route(/\/v1\/linked-accounts$/, (route) =>
    route.request().method() === "GET" ? route.fulfill({ json: { results: [], next_cursor: null } }) : route.fallback(),
  );
  await connect(page);
  await page.locator(".account h3").getByText("BambooHR").waitFor();
});

test("a blocked script is told, and the next press tries again", async (t) => {
  const { page } = await person(t);
  await page.route("**/initialize.js", (route) => route.abort(), { times: 1 });
  await signIn(page, newOrganization());
  await page.locator("#connect-hris").click();
  await page.locator("#notice-connect-hris").waitFor();
  await page.locator("#connect-hris").click();
  await dialogOf(page).waitFor();
  await close(page);
});

test("another organization sees nothing of it", async (t) => {
  const mine = await person(t);
  await signIn(mine.page, newOrganization());
  await connect(mine.page);
  await mine.page.locator(".account").waitFor();
  const theirs = await person(t);
  await signIn(theirs.page, newOrganization());
  await theirs.page.locator(".empty").waitFor();
  assert.equal(await theirs.page.locator(".account").count(), 0);
});

test("the language of the page goes to the dialog", async (t) => {
  const { page } = await person(t, { config: { locale: "de" } });
  await signIn(page, newOrganization());
  const asked = page.waitForRequest((request) => request.url().endsWith("/v1/link-tokens"));
  await page.getByRole("button", { name: "HRIS-Integration verbinden" }).click();
  assert.equal((await asked).postDataJSON().language, "de");
  await page.getByTestId("merge-link-heading").getByText("System auswählen").waitFor();
  await close(page);
});
