import assert from "node:assert/strict";
import { test } from "node:test";
import { accountsOf, focused, newOrganization, person, signIn, until } from "./harness.js";
import { close, dialogOf, enter, finish, newCredential } from "./provider.js";
import { hold, scriptProblem } from "./states.js";

/** @type {Partial<PageConfig>} */
const CENTRE = { mode: "app_centre" };

test("one chosen system", async (t) => {
  const organization = newOrganization();
  const { page } = await person(t, { config: CENTRE });
  await signIn(page, organization);
  const card = page.locator("#connect-hris-workday");

  await t.test("its slug goes along with the request, and the card says that it is working", async () => {
    const asked = page.waitForRequest((request) => request.url().endsWith("/v1/link-tokens"));
    const release = await hold(page, /\/v1\/link-tokens$/);
    await card.click();
    await card.getByText("Connecting…").waitFor();
    release();
    assert.deepEqual((await asked).postDataJSON(), { category: "hris", language: "en", integration: "workday" });
  });

  await t.test("the dialog goes straight to its configuration", async () => {
    await page.getByTestId("merge-link-credential").waitFor();
    await page.getByTestId("merge-link-heading").getByText("Workday").waitFor();
    assert.equal(await page.getByTestId("merge-link-search").count(), 0);
  });

  await t.test("it is stored under its own name and category", async () => {
    await enter(page, newCredential());
    await finish(page);
    await page.locator(".account h3").getByText("Workday").waitFor();
    const [account] = await accountsOf(organization);
    assert.deepEqual([account.category, account.integration?.slug, account.status], ["hris", "workday", "COMPLETE"]);
  });

  await t.test("its card says that it is connected", async () => {
    await card.getByText("Connected", { exact: true }).waitFor();
    await card.getByText("Add another").waitFor();
  });
});

test("every card connects its own system", async (t) => {
  const organization = newOrganization();
  const { page } = await person(t, { config: CENTRE });
  await signIn(page, organization);
  for (const [slug, name] of [["hibob", "HiBob"], ["workday", "Workday"]]) {
    await page.locator(`#connect-hris-${slug}`).click();
    await page.getByTestId("merge-link-heading").getByText(name).waitFor();
    await enter(page, newCredential());
    await finish(page);
    await page.locator(".account h3").getByText(name).waitFor();
  }
  assert.deepEqual((await accountsOf(organization)).map((a) => a.integration?.slug).sort(), ["hibob", "workday"]);
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

test("categories", async (t) => {
  const { page } = await person(t, { config: CENTRE });
  await signIn(page, newOrganization());
  const card = page.locator("#connect-hris-bamboohr");
  await card.waitFor();

  await t.test("a tab shows its own category's systems and no others", async () => {
    for (const category of ["crm", "hris"]) {
      await page.locator(`#tab-${category}`).click();
      await page.locator(`[id^=connect-${category}-]`).first().waitFor();
      const ids = await page.locator(".system-button").evaluateAll((cards) => cards.map((one) => one.id));
      assert.ok(ids.length > 0 && ids.every((id) => id.startsWith(`connect-${category}-`)), ids.join(" "));
    }
  });

  await t.test("changing the tab during an attempt does not disturb it", async () => {
    const release = await hold(page, /\/v1\/link-tokens$/);
    await card.click();
    await card.getByText("Connecting…").waitFor();
    await page.locator("#tab-crm").click();
    await page.locator("[id^=connect-crm-]").first().waitFor();
    release();
    await page.getByTestId("merge-link-heading").getByText("BambooHR").waitFor();
    await close(page);
  });

  await t.test("back on the tab, its cards are at rest", async () => {
    await page.locator("#tab-hris").click();
    await card.getByText("Connect", { exact: true }).waitFor();
    assert.equal(await page.locator(".system-button[aria-disabled], .system-button[aria-busy]").count(), 0);
  });
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

test("nothing found is a sentence, and the search is cleared from there", async (t) => {
  const { page } = await person(t, { config: CENTRE });
  await signIn(page, newOrganization());
  await page.locator("#connect-hris-bamboohr").waitFor();
  await page.locator("#search").fill("zzzz");
  await page.getByText("There is no system called “zzzz” here.").waitFor();
  await page.getByRole("button", { name: "Clear search" }).click();
  await page.locator("#connect-hris-bamboohr").waitFor();
  await focused(page, "search");
});

test("an unreachable catalogue is a sentence that offers to try again", async (t) => {
  const { page } = await person(t, { config: { ...CENTRE, categories: ["hris"] } });
  await scriptProblem(page, /\/v1\/integrations/, "GET", { status: 503, code: "merge_unavailable", times: 1 });
  await signIn(page, newOrganization());
  await page.locator("#catalogue .notice").waitFor();
  await page.locator("#catalogue").getByRole("button", { name: "Try again" }).click();
  await page.locator("#connect-hris-bamboohr").waitFor();
});

test("with an unreachable catalogue, opening the tab again tries again", async (t) => {
  const { page } = await person(t, { config: CENTRE });
  await scriptProblem(page, /\/v1\/integrations/, "GET", { status: 503, code: "merge_unavailable", times: 1 });
  await signIn(page, newOrganization());
  await page.locator("#catalogue .notice").waitFor();
  await page.locator("#tab-hris").click();
  await page.locator("#connect-hris-bamboohr").waitFor();
});
