import assert from "node:assert/strict";
import { test } from "node:test";
import { chooseOrganization, newOrganization, person, signIn, until } from "./harness.js";
import { account, hold, scriptProblem, scriptReads } from "./states.js";

const CASES = [
  { status: 409, code: "already_connected", sentence: /already connected\. Delete it first/ },
  { status: 409, code: "disconnecting", sentence: /still being removed/ },
  { status: 429, code: "rate_limited", headers: { "retry-after": "30" }, sentence: /wait 30 seconds/ },
  { status: 429, sentence: /wait a moment/ },
  { status: 403, sentence: /not allowed to do this/ },
  { status: 400, code: "end_user_required", sentence: /no e-mail address or company name/ },
  { status: 503, code: "merge_unavailable", sentence: /not available right now.*Reference: req-7f3a/ },
  { status: 500, code: "internal", sentence: /Something went wrong on our side.*Reference: req-7f3a/ },
];

test("whatever goes wrong, a sentence stands beside the button, which comes back", async (t) => {
  const { page } = await person(t);
  await scriptReads(page, { accounts: () => [] });
  await signIn(page);
  const button = page.locator("#connect-hris");
  for (const { status, code, headers, sentence } of CASES) {
    await t.test(`${status} ${code ?? "of the edge"}`, async () => {
      await scriptProblem(page, /\/v1\/link-tokens$/, "POST", { status, code, headers, times: 1 });
      await button.click();
      await page.locator("#notice-connect-hris").filter({ hasText: sentence }).waitFor();
      assert.equal(await button.textContent(), "Connect HRIS integration");
      assert.equal(await button.getAttribute("aria-disabled"), null);
    });
  }
});

test("the console has a failure's code and reference; the page shows the reference alone", async (t) => {
  const { page, console } = await person(t);
  await scriptReads(page, { accounts: () => [] });
  await scriptProblem(page, /\/v1\/link-tokens$/, "POST", { status: 503, code: "merge_unavailable" });
  await signIn(page);
  await page.locator("#connect-hris").click();
  await page.locator("#notice-connect-hris").getByText("Reference: req-7f3a").waitFor();
  assert.ok(console.some((line) => line.includes("merge_unavailable") && line.includes("req-7f3a")), console.join("\n"));
  assert.ok(!(await page.locator("body").innerText()).includes("merge_unavailable"));
});

test("a wait is counted down, and its end is told", async (t) => {
  const { page } = await person(t);
  await page.clock.install();
  await scriptReads(page, { accounts: () => [] });
  await scriptProblem(page, /\/v1\/link-tokens$/, "POST", { status: 429, code: "rate_limited", headers: { "retry-after": "30" } });
  await signIn(page);
  await page.locator("#connect-hris").click();
  const notice = page.locator("#notice-connect-hris");
  await notice.getByText(/wait 30 seconds/).waitFor();
  await page.clock.runFor(10_000);
  await notice.getByText(/wait (19|20) seconds/).waitFor();
  await page.clock.runFor(21_000);
  await notice.getByText("You can try again now.").waitFor();
});

test("no network: a sentence, and the button is restored", async (t) => {
  const { page } = await person(t);
  await scriptReads(page, { accounts: () => [] });
  await page.route(/\/v1\/link-tokens$/, (route) => route.abort());
  await signIn(page);
  await page.locator("#connect-hris").click();
  await page.locator("#notice-connect-hris").getByText(/cannot be reached/).waitFor();
  assert.equal(await page.locator("#connect-hris").textContent(), "Connect HRIS integration");
});

test("without a network the page says so, keeps what it has, and reads again when there is one", async (t) => {
  const { page, context } = await person(t);
  let name = "BambooHR";
  await scriptReads(page, { accounts: () => [account({ display_name: name })] });
  await signIn(page);
  await page.locator(".account").waitFor();
  await context.setOffline(true);
  await page.getByText("You are offline.").waitFor();
  assert.equal(await page.locator(".account").count(), 1);
  name = "Renamed meanwhile";
  await context.setOffline(false);
  await page.locator(".offline").waitFor({ state: "detached" });
  await page.getByRole("heading", { name }).waitFor();
});

test("a list that cannot be read offers to try again at once", async (t) => {
  const { page } = await person(t, { config: { poll_seconds: 3600 } });
  let down = true;
  await scriptReads(page, { accounts: () => [account()] });
  await page.route(/\/v1\/linked-accounts$/, (route) => (down ? route.abort() : route.fallback()));
  await signIn(page);
  await page.locator(".notice").getByText(/cannot be reached/).waitFor();
  down = false;
  await page.getByRole("button", { name: "Try again" }).click();
  await page.locator(".account").waitFor();
});

test("a slow network shows what is to come, and nothing jumps when it is there", async (t) => {
  const { page } = await person(t);
  await scriptReads(page, { accounts: () => [account()] });
  const release = await hold(page, /\/v1\/linked-accounts$/);
  await signIn(page);
  await page.locator(".skeleton").waitFor();
  const heading = page.locator("#connected-heading");
  const before = await heading.boundingBox();
  release();
  await page.locator(".account").waitFor();
  assert.deepEqual(await heading.boundingBox(), before);
});

test("the list heals by itself once the server answers again", async (t) => {
  const { page } = await person(t);
  let down = true;
  await scriptReads(page, { accounts: () => [account()] });
  await page.route(/\/v1\/linked-accounts$/, (route) => (down ? route.abort() : route.fallback()));
  await signIn(page);
  await page.locator(".notice").getByText(/cannot be reached/).waitFor();
  down = false;
  await page.locator(".account").waitFor();
  assert.equal(await page.locator(".notice").count(), 0);
});

test("an ended session leads through sign-in and back to the same place", async (t) => {
  const organization = newOrganization();
  const { page } = await person(t);
  let ended = false;
  await scriptReads(page, { accounts: () => [account()] });
  await page.route(/\/v1\/linked-accounts$/, (route) => (ended ? route.fulfill({ status: 401, json: { message: "Unauthorized" } }) : route.fallback()));
  await page.clock.install();
  await signIn(page, organization);
  await page.locator(".details-toggle").click();
  await page.locator(".details").waitFor();
  await page.clock.fastForward(11_000);
  ended = true;
  await page.waitForURL((url) => url.pathname === "/authorize", { timeout: 30_000 });
  ended = false;
  await chooseOrganization(page, organization);
  await page.locator(".details").waitFor();
  assert.equal(new URL(page.url()).search, "");
});

test("a token that is refused right after sign-in does not send anyone round in circles", async (t) => {
  const { page } = await person(t);
  await page.route(/\/v1\//, (route) => route.fulfill({ status: 401, json: { message: "Unauthorized" } }));
  await signIn(page);
  await page.locator(".notice").waitFor();
  assert.equal(new URL(page.url()).pathname, "/");
});

test("a sign-in that is refused, or is not ours, ends on the welcome page with a sentence", async (t) => {
  const { page } = await person(t);
  await page.goto("about:blank");
  const { stack } = await import("./harness.js");
  await page.goto(`${stack.page}?error=access_denied&state=forged`);
  await page.locator("#sign-in").waitFor();
  await page.locator("#sign-in").click();
  const state = new URL(page.url()).searchParams.get("state");
  await page.waitForURL((url) => url.searchParams.has("state") && url.pathname === "/authorize");
  await page.goto(`${stack.page}?error=access_denied&state=${new URL(page.url()).searchParams.get("state") ?? state}`);
  await page.locator("#notice-session").waitFor();
});

test("a first sync that ends while the person is away is told when they look again", async (t) => {
  const { page } = await person(t);
  let done = false;
  const health = /** @type {Health} */ ({ state: "first_sync", reason: null, actor: "nobody", can_refresh: true, can_reconnect: true, since: new Date().toISOString() });
  await scriptReads(page, { accounts: () => [done ? account() : account({ health, initial_sync_completed: false })] });
  await signIn(page);
  await page.locator(".first-sync").waitFor();
  done = true;
  await page.locator("[aria-live=polite]").getByText(/first sync of BambooHR is complete/).waitFor({ state: "attached" });
  await until(async () => (await page.locator(".first-sync").count()) === 0, "the progress has gone");
});
