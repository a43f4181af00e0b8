import assert from "node:assert/strict";
import { test } from "node:test";
import { focused, newOrganization, person, signIn, until } from "./harness.js";
import { connect, dialogOf, newCredential } from "./provider.js";
import { account, scriptReads } from "./states.js";

/**
 * Presses Tab until the focus is on the wanted element; never more than a page has stops.
 * @param {import("playwright-core").Page} page
 * @param {string} selector
 */
async function tabTo(page, selector) {
  for (let stops = 0; stops < 80; stops += 1) {
    if (await page.evaluate((wanted) => document.activeElement?.matches(wanted) ?? false, selector)) {
      const outline = await page.evaluate(() => getComputedStyle(/** @type {Element} */ (document.activeElement)).outlineStyle);
      assert.notEqual(outline, "none", `${selector} shows its focus`);
      return;
    }
    await page.keyboard.press("Tab");
  }
  assert.fail(`${selector} cannot be reached by Tab`);
}

test("sign in, connect, look at details, delete: by keyboard alone", async (t) => {
  const { page } = await person(t);
  await signIn(page, newOrganization());
  await tabTo(page, "#connect-hris");
  await page.keyboard.press("Enter");
  await dialogOf(page).waitFor();
  await page.getByTestId("merge-link-search").waitFor();
  await page.keyboard.type("bamboo");
  await page.getByTestId("merge-link-integration-workday").waitFor({ state: "detached" });
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await page.getByTestId("merge-link-credential").waitFor();
  await page.keyboard.type(newCredential());
  await page.keyboard.press("Enter");
  await page.getByTestId("merge-link-finish").waitFor();
  await page.keyboard.press("Escape");
  await page.locator(".account").waitFor();
  await until(() => page.evaluate(() => document.activeElement?.id.startsWith("account-") ?? false), "focus is on the new row");

  await tabTo(page, ".details-toggle");
  await page.keyboard.press("Space");
  await page.locator(".details").waitFor();
  await page.keyboard.press("Space");
  await page.locator(".details").waitFor({ state: "detached" });

  await page.locator("#connected-heading").focus();
  await tabTo(page, "[id^=delete-]");
  await page.keyboard.press("Enter");
  const question = page.getByRole("dialog");
  await question.waitFor();
  for (let stops = 0; stops < 6; stops += 1) {
    const inside = await page.evaluate(() => document.activeElement === document.body || Boolean(document.activeElement?.closest("dialog")));
    assert.ok(inside, "focus stays in the question");
    await page.keyboard.press("Tab");
  }
  await question.getByRole("button", { name: "Delete integration" }).focus();
  await page.keyboard.press("Enter");
  await page.locator(".account").waitFor({ state: "detached" });
  await focused(page, "connected-heading");
});

test("relink, refresh, rename, history: by keyboard alone", async (t) => {
  const { page } = await person(t);
  await signIn(page, newOrganization());
  await connect(page);
  await page.locator(".account").waitFor();
  const press = async (/** @type {string} */ selector) => {
    await page.locator("#connected-heading").focus();
    await tabTo(page, selector);
    await page.keyboard.press("Enter");
  };
  await press("[id^=relink-]");
  await page.getByTestId("merge-link-credential").waitFor();
  await page.keyboard.type(newCredential());
  await page.keyboard.press("Enter");
  await page.getByTestId("merge-link-finish").waitFor();
  await page.keyboard.press("Escape");
  await until(() => page.evaluate(() => document.activeElement?.id.startsWith("account-") ?? false), "focus is on the row");
  await press("[id^=refresh-]");
  await page.locator(".account .notice").getByText("The newest data is being fetched.").waitFor();
  await press(".details-toggle");
  await press("[id^=rename-]");
  await page.locator(".rename input:focus").waitFor();
  await page.keyboard.press("Escape");
  await page.locator("[id^=rename-]:focus").waitFor();
  await press("[id^=history-]");
  await page.locator("[id^=history-title-]:focus").waitFor();
});

test("a system is replaced by keyboard alone", async (t) => {
  const { page } = await person(t, { config: { one_per_category: true } });
  await scriptReads(page, { accounts: () => [account()] });
  await signIn(page);
  await page.locator(".account").waitFor();
  await tabTo(page, "#connect-hris");
  await page.keyboard.press("Enter");
  await page.getByRole("dialog", { name: "Replace BambooHR?" }).waitFor();
  await page.keyboard.press("Escape");
  await focused(page, "connect-hris");
});

test("the tabs of the app centre move by arrow keys, Home and End", async (t) => {
  const { page } = await person(t, { config: { mode: "app_centre", categories: ["hris", "ats", "crm"] } });
  await signIn(page, newOrganization());
  await tabTo(page, "[role=tab]");
  const selected = () => page.locator("[role=tab][aria-selected=true]").getAttribute("id");
  const steps = /** @type {const} */ ([["ArrowRight", "tab-ats"], ["End", "tab-crm"], ["ArrowRight", "tab-hris"], ["ArrowLeft", "tab-crm"], ["Home", "tab-hris"]]);
  for (const [key, expected] of steps) {
    await page.keyboard.press(key);
    assert.equal(await selected(), expected);
    await focused(page, expected);
  }
});
