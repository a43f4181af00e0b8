import assert from "node:assert/strict";
import { test } from "node:test";
import { accountsOf, newOrganization, person, signIn, until } from "./harness.js";
import { close, dialogOf, enter, finish, newCredential } from "./provider.js";
import { hold, scriptProblem } from "./states.js";

/** @type {Partial<PageConfig>} */
const CENTRE = { mode: "app_centre" };

test("a chosen system goes straight to its own configuration and is stored under its name", async (t) => {
  const organization = newOrganization();
  const { page } = await person(t, { config: CENTRE });
  await signIn(page, organization);
  const asked = page.waitForRequest((request) => request.url().endsWith("/v1/link-tokens"));
  const release = await hold(page, /\/v1\/link-tokens$/);
  await page.locator("#connect-hris-workday").click();
  await page.locator("#connect-hris-workday").getByText("Connecting…").waitFor();
  release();
  assert.deepEqual((await asked).postDataJSON(), { category: "hris", language: "en", integration: "workday" });
  await page.getByTestId("merge-link-credential").waitFor();
  assert.equal(await page.getByTestId("merge-link-search").count(), 0);
  await enter(page, newCredential());
  await finish(page);
  await page.locator(".account h3").getByText("Workday").waitFor();
  await page.locator("#connect-hris-workday").getByText("Connected", { exact: true }).waitFor();
  const [account] = await accountsOf(organization);
  assert.deepEqual([account.category, account.integration?.slug], ["hris", "workday"]);
});

test("connected systems come first", async (t) => {
  const { page } = await person(t, { config: CENTRE });
  await signIn(page, newOrganization());
  const first = page.locator(".system-button").first();
  await first.waitFor();
  const last = page.locator(".system-button").last();
  const id = await last.getAttribute("id");
  assert.notEqual(await first.getAttribute("id"), id);
  await last.click();
  await page.getByTestId("merge-link-credential").waitFor();
  await enter(page, newCredential());
  await finish(page);
  await until(async () => (await first.getAttribute("id")) === id, "the connected system leads");
});

test("a tab shows its category's systems; changing it during an attempt breaks nothing", async (t) => {
  const { page } = await person(t, { config: CENTRE });
  await signIn(page, newOrganization());
  await page.locator("#connect-hris-bamboohr").waitFor();
  const release = await hold(page, /\/v1\/link-tokens$/);
  await page.locator("#connect-hris-bamboohr").click();
  await page.locator("#tab-crm").click();
  await page.locator("[id^=connect-crm-]").first().waitFor();
  assert.equal(await page.locator("#connect-hris-bamboohr").count(), 0);
  release();
  await page.getByTestId("merge-link-credential").waitFor();
  await close(page);
  await page.locator("#tab-hris").click();
  const card = page.locator("#connect-hris-bamboohr");
  await card.getByText("Connect", { exact: true }).waitFor();
  assert.equal(await card.getAttribute("aria-disabled"), null);
});

test("pressing several systems in turn gives each its place back", async (t) => {
  const { page } = await person(t, { config: CENTRE });
  await signIn(page, newOrganization());
  const release = await hold(page, /\/v1\/link-tokens$/, (request) => request.postDataJSON().integration !== "hibob");
  for (const slug of ["bamboohr", "workday", "hibob"]) await page.locator(`#connect-hris-${slug}`).click();
  await page.getByTestId("merge-link-heading").getByText("HiBob").waitFor();
  release();
  await close(page);
  for (const slug of ["bamboohr", "workday", "hibob"]) {
    await page.locator(`#connect-hris-${slug}`).getByText("Connect", { exact: true }).waitFor();
  }
  assert.equal(await dialogOf(page).count(), 0);
});

test("search narrows the open tab and says how many are left", async (t) => {
  const { page } = await person(t, { config: CENTRE });
  await signIn(page, newOrganization());
  await page.locator("#connect-hris-bamboohr").waitFor();
  await page.getByRole("searchbox", { name: "Search systems" }).fill("BAMBOO");
  await page.getByText("1 system found").waitFor();
  assert.equal(await page.locator(".system").count(), 1);
});

test("a system without a logo has the first letter of its name", async (t) => {
  const { page } = await person(t, { config: CENTRE });
  await page.route(/logos/, (route) => route.abort());
  await signIn(page, newOrganization());
  const card = page.locator("#connect-hris-bamboohr");
  await card.waitFor();
  await until(async () => (await card.locator("img").count()) === 0, "the broken logo has gone");
  assert.equal(await card.locator(".logo-letter").textContent(), "B");
});

test("an unreachable catalogue is a sentence, and opening the tab again tries again", async (t) => {
  const { page } = await person(t, { config: CENTRE });
  await scriptProblem(page, /\/v1\/integrations/, "GET", { status: 503, code: "merge_unavailable", times: 1 });
  await signIn(page, newOrganization());
  await page.locator("#catalogue .notice").waitFor();
  await page.locator("#tab-hris").click();
  await page.locator("#connect-hris-bamboohr").waitFor();
});
