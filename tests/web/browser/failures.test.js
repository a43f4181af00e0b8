import assert from "node:assert/strict";
import { test } from "node:test";
import { chooseOrganization, newOrganization, person, signIn, until } from "./harness.js";
import { account, scriptProblem, scriptReads } from "./states.js";

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

for (const { status, code, headers, sentence } of CASES) {
  test(`${status} ${code ?? "of the edge"}: a sentence beside the button, which is restored`, async (t) => {
    const { page, console } = await person(t);
    await scriptReads(page, { accounts: () => [] });
    await scriptProblem(page, /\/v1\/link-tokens$/, "POST", { status, code, headers });
    await signIn(page);
    await page.locator("#connect-hris").click();
    await page.locator("#notice-connect-hris").filter({ hasText: sentence }).waitFor();
    assert.equal(await page.locator("#connect-hris").textContent(), "Connect HRIS integration");
    assert.equal(await page.locator("#connect-hris").getAttribute("aria-disabled"), null);
    assert.ok(console.some((line) => line.includes(code ?? `http_${status}`)), "the console has the code");
  });
}

test("where only one system fits, the one in the way can be replaced from the sentence", async (t) => {
  const { page } = await person(t);
  let accounts = [account()];
  await scriptReads(page, { accounts: () => accounts });
  await scriptProblem(page, /\/v1\/link-tokens$/, "POST", { status: 409, code: "already_connected" });
  await page.route(/\/v1\/linked-accounts\/[^/]+$/, (route) => {
    accounts = [];
    return route.fulfill({ status: 202, json: {} });
  });
  await signIn(page);
  await page.locator("#connect-hris").click();
  await page.getByRole("button", { name: "Replace it" }).click();
  const question = page.getByRole("dialog");
  await question.getByText("This action is permanent. Do you want to proceed?").waitFor();
  await question.getByRole("button", { name: "Delete integration" }).click();
  await page.locator(".account").waitFor({ state: "detached" });
  await page.locator("#notice-connect-hris").getByText(/connect the next one here in a few minutes/).waitFor();
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
