import assert from "node:assert/strict";
import { test } from "node:test";
import { scriptReplacement } from "./gallery.js";
import { announced, focused, person, signIn } from "./harness.js";
import { dialogOf } from "./provider.js";
import { account, scriptProblem, scriptReads } from "./states.js";

/** @type {Partial<PageConfig>} */
const ONE = { one_per_category: true };

test("where one system fits, replacing it is one way: the question, the wait, and Connect again", async (t) => {
  const { page } = await person(t, { config: ONE });
  let isErased = false;
  await scriptReplacement(page, () => isErased);
  const button = page.locator("#connect-hris");
  await focused(page, "connect-hris");
  await button.getByText("Being removed…").waitFor();
  await page.locator(".offer").getByText(/BambooHR is being removed/).waitFor();
  await page.locator("#connect-ats:not([aria-disabled])").waitFor();
  isErased = true;
  await page.locator("#notice-connect-hris").getByText("BambooHR has been removed. You can connect the next system now.").waitFor();
  await announced(page, /BambooHR has been removed/);
  assert.equal(await button.textContent(), "Connect HRIS integration");
  await button.click();
  await dialogOf(page).waitFor();
});

test("no to the question keeps the system, and the focus returns", async (t) => {
  const { page } = await person(t, { config: ONE });
  await scriptReads(page, { accounts: () => [account()] });
  await signIn(page);
  await page.locator(".account").waitFor();
  await page.locator("#connect-hris").getByText("Replace this system").click();
  const question = page.getByRole("dialog", { name: "Replace BambooHR?" });
  await question.getByText("This action is permanent. Do you want to proceed?", { exact: true }).waitFor();
  await page.keyboard.press("Escape");
  await focused(page, "connect-hris");
  assert.equal(await page.locator(".account").count(), 1);
  assert.equal(await page.locator("#connect-hris").textContent(), "Replace this system");
});

test("a replacement that the server refuses brings the row back, and the offer stands", async (t) => {
  const { page } = await person(t, { config: ONE });
  await scriptReads(page, { accounts: () => [account()] });
  await scriptProblem(page, /\/v1\/linked-accounts\/[^/]+$/, "DELETE", { status: 503, code: "merge_unavailable" });
  await signIn(page);
  await page.locator(".account").waitFor();
  await page.locator("#connect-hris").click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete integration" }).click();
  await page.locator(".account .notice").getByText(/not available right now/).waitFor();
  assert.equal(await page.locator("#connect-hris").textContent(), "Replace this system");
});

test("in the app centre the connected system is shown, and every other one can take its place", async (t) => {
  const { page } = await person(t, { config: { ...ONE, mode: "app_centre" } });
  await scriptReads(page, { accounts: () => [account()] });
  await signIn(page);
  const mine = page.locator("#connect-hris-bamboohr");
  await mine.getByText("Show").click();
  await focused(page, `account-${account().id}`);
  await page.locator("#connect-hris-workday").getByText("Switch to it").click();
  await page.getByRole("dialog", { name: "Replace BambooHR?" }).waitFor();
});

test("where only the server knows that one system fits, the sentence offers to replace it", async (t) => {
  const { page } = await person(t);
  await scriptReads(page, { accounts: () => [account()] });
  await scriptProblem(page, /\/v1\/link-tokens$/, "POST", { status: 409, code: "already_connected" });
  await signIn(page);
  await page.locator(".account").waitFor();
  await page.locator("#connect-hris").click();
  await page.getByRole("button", { name: "Replace it" }).click();
  await page.getByRole("dialog", { name: "Replace BambooHR?" }).waitFor();
});
