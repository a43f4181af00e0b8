import assert from "node:assert/strict";
import { test } from "node:test";
import { SUCCEEDS } from "./gallery.js";
import { announced, focused, person, signIn } from "./harness.js";
import { account, fiftyAccounts, scriptReads } from "./states.js";

test("fifty integrations are found by name, by system and by category", async (t) => {
  const { page } = await person(t);
  await scriptReads(page, { accounts: fiftyAccounts });
  await signIn(page);
  await page.locator(".account").nth(49).waitFor();
  const find = page.getByRole("searchbox", { name: "Find an integration" });
  for (const [text, count] of /** @type {[string, number][]} */ ([["office 12", 1], ["RECRUITING", 10], ["bamboo", 50]])) {
    await find.fill(text);
    await page.locator(".toolbar [role=status]").getByText(new RegExp(`^${count} `)).waitFor();
    assert.equal(await page.locator(".account").count(), count, text);
  }
  await find.fill("zzzz");
  await page.getByText("No integration fits this search.").waitFor();
});

test("those that need attention are counted, and can be seen alone", async (t) => {
  const { page } = await person(t);
  await scriptReads(page, { accounts: fiftyAccounts });
  await signIn(page);
  const only = page.getByRole("button", { name: "3 need attention" });
  await only.click();
  assert.equal(await only.getAttribute("aria-pressed"), "true");
  await page.locator(".account").nth(3).waitFor({ state: "detached" });
  assert.equal(await page.locator(".account-action_needed").count(), 3);
  await only.click();
  await page.locator(".account").nth(49).waitFor();
});

test("the order stays the same while states change", async (t) => {
  const { page } = await person(t);
  const health = account().health;
  let broken = "";
  const accounts = () => fiftyAccounts().map((a) => (a.id === broken ? { ...a, health: { ...health, state: /** @type {HealthState} */ ("action_needed"), reason: "bad_api_key" } } : a)).reverse();
  await scriptReads(page, { accounts });
  await signIn(page);
  const names = () => page.locator(".account h3").allTextContents();
  await page.locator(".account").nth(49).waitFor();
  const before = await names();
  broken = fiftyAccounts()[30].id;
  await page.getByRole("button", { name: "4 need attention" }).waitFor();
  assert.deepEqual(await names(), before);
});

test("what is newly connected is seen, whatever was searched for", async (t) => {
  const { page } = await person(t);
  await scriptReads(page, { accounts: fiftyAccounts });
  await page.route(/\/v1\/linked-accounts$/, (route) => {
    const fresh = account({ id: "00000000-0000-4000-8000-0000000000ff", display_name: "New office" });
    return route.request().method() === "POST" ? route.fulfill({ status: 201, json: fresh }) : route.fallback();
  });
  await page.route("**/initialize.js", (route) => route.fulfill({ contentType: "text/javascript", body: SUCCEEDS }));
  await signIn(page);
  await page.getByRole("searchbox", { name: "Find an integration" }).fill("office 12");
  await page.locator(".account").nth(1).waitFor({ state: "detached" });
  await page.locator("#connect-hris").click();
  await page.getByRole("heading", { name: "New office" }).waitFor();
});

test("duplicates are reviewed: the others of the set are shown, and one can be gone to", async (t) => {
  const { page } = await person(t);
  const twin = account({ id: "00000000-0000-4000-8000-000000000002", display_name: "Berlin office", is_duplicate: true });
  await scriptReads(page, { accounts: () => [account({ is_duplicate: true }), twin], duplicates: () => [twin] });
  await signIn(page);
  const row = page.locator(".account").filter({ has: page.getByRole("heading", { name: "BambooHR", exact: true }) });
  await row.getByRole("button", { name: "Review" }).click();
  await focused(page, `duplicates-${account().id}`);
  await row.locator(".set-member").filter({ hasText: "this one" }).waitFor();
  await row.locator(".set-member").filter({ hasText: "Berlin office" }).getByRole("button", { name: "Show" }).click();
  await focused(page, `account-${twin.id}`);
});

test("a duplicate that is kept is no longer pointed at, and that is said", async (t) => {
  const { page } = await person(t);
  let ignored = false;
  const accounts = () => [account({ is_duplicate: !ignored, duplicate_ignored: ignored })];
  await scriptReads(page, { accounts });
  await page.route(/\/v1\/linked-accounts\/[^/]+$/, (route) => {
    assert.deepEqual(route.request().postDataJSON(), { duplicate_ignored: true });
    ignored = true;
    return route.fulfill({ json: accounts()[0] });
  });
  await signIn(page);
  await page.getByRole("button", { name: "Keep them all" }).click();
  await page.locator(".account .notice").waitFor({ state: "detached" });
  await announced(page, /hint is settled/);
  await focused(page, `account-${account().id}`);
});

test("a duplicate whose other half is not this company's says nothing of whose it is", async (t) => {
  const { page } = await person(t);
  await scriptReads(page, { accounts: () => [account({ is_duplicate: true })] });
  await signIn(page);
  await page.getByRole("button", { name: "Review" }).click();
  await page.getByText("None of your other integrations uses the same login").waitFor();
  await page.getByRole("button", { name: "Hide this hint" }).waitFor();
});
