import assert from "node:assert/strict";
import { test } from "node:test";
import { accountsOf, announced, api, focused, newOrganization, person, sandbox, signIn, until } from "./harness.js";
import { close, connect, dialogOf, enter, finish, newCredential } from "./provider.js";
import { hold, scriptProblem } from "./states.js";

/** A person with one connected HR system. @param {import("node:test").TestContext} t */
async function connected(t) {
  const organization = newOrganization();
  const { page } = await person(t);
  await signIn(page, organization);
  await connect(page);
  const row = page.locator(".account");
  await row.waitFor();
  const [{ id }] = await accountsOf(organization);
  return { organization, page, row, id };
}

/** The sandbox's id of the only account of an organization. @param {string} organization */
async function atProvider(organization) {
  const { accounts } = await sandbox("/state");
  const mine = accounts.filter((/** @type {any} */ a) => a.end_user_origin_id?.startsWith(organization));
  assert.equal(mine.length, 1);
  return mine[0];
}

test("relinking", async (t) => {
  const { organization, page, row, id } = await connected(t);
  const before = await atProvider(organization);
  await sandbox(`/accounts/${before.id}/relink-needed`, {});
  await api(organization, "POST", `/v1/linked-accounts/${id}/sync`);
  await row.locator(".state-action_needed").waitFor({ timeout: 60_000 });
  await row.getByText(/Relink integration”/).waitFor();

  await t.test("the dialog opens with the same system's own form, without a choice", async () => {
    await row.getByRole("button", { name: "Relink integration" }).click();
    await page.getByTestId("merge-link-heading").getByText("BambooHR").waitFor();
    assert.equal(await page.getByTestId("merge-link-search").count(), 0);
  });

  await t.test("the row keeps its name and its place, and becomes well again", async () => {
    await enter(page, newCredential());
    await finish(page);
    await row.locator(".state-action_needed").waitFor({ state: "detached", timeout: 60_000 });
    assert.equal(await row.locator("h3").textContent(), "BambooHR");
    await focused(page, `account-${id}`);
  });

  await t.test("there is no second account, neither here nor at the provider", async () => {
    assert.deepEqual((await accountsOf(organization)).map((a) => a.id), [id]);
    const after = await atProvider(organization);
    assert.deepEqual([after.id, after.end_user_origin_id], [before.id, before.end_user_origin_id]);
  });
});

test("a relink that is closed changes nothing and gives the button back", async (t) => {
  const { organization, page, row, id } = await connected(t);
  const [before] = await accountsOf(organization);
  await row.getByRole("button", { name: "Relink integration" }).click();
  await dialogOf(page).waitFor();
  await close(page);
  await focused(page, `relink-${id}`);
  assert.equal(await page.locator(`#relink-${id}`).textContent(), "Relink integration");
  const [after] = await accountsOf(organization);
  assert.deepEqual([after.id, after.status], [before.id, before.status]);
});

test("a problem that somebody knows of is hidden until it comes back", async (t) => {
  const { organization, page, row, id } = await connected(t);
  const { id: mergeId } = await atProvider(organization);
  await row.locator(".state-healthy").waitFor({ timeout: 60_000 });
  const issue = async (/** @type {string} */ action, /** @type {object} */ body) => {
    await sandbox(`/accounts/${mergeId}/${action}`, body);
    await api(organization, "POST", `/v1/linked-accounts/${id}/sync`);
  };
  await issue("issue", { kind: "missing_permissions" });
  await row.locator(".state-action_needed").waitFor({ timeout: 60_000 });
  await row.getByRole("button", { name: "Details" }).click();
  await row.getByRole("button", { name: "Hide until it comes back" }).click();
  await row.locator(".state-healthy").waitFor();
  await announced(page, /hidden until it comes back/);
  await focused(page, `account-${id}`);
  assert.equal((await accountsOf(organization))[0].health.state, "healthy");

  await issue("resolve-issue", {});
  await issue("issue", { kind: "missing_permissions" });
  await row.locator(".state-action_needed").waitFor({ timeout: 60_000 });
});

test("a fresh login that led to a different account is confirmed", async (t) => {
  const { organization, page, row, id } = await connected(t);
  const { id: mergeId } = await atProvider(organization);
  await sandbox(`/accounts/${mergeId}/relink-needed`, {});
  await sandbox(`/accounts/${mergeId}/replace-system`, { integration_slug: "hibob" });
  await api(organization, "POST", `/v1/linked-accounts/${id}/sync`);
  await row.getByText(/led to a different account/).waitFor({ timeout: 60_000 });
  assert.equal((await accountsOf(organization))[0].deletions_held, true);
  await row.getByRole("button", { name: "Yes, this account is meant" }).click();
  await row.getByText(/led to a different account/).waitFor({ state: "detached" });
  await announced(page, /Confirmed/);
  await focused(page, `account-${id}`);
  assert.equal((await accountsOf(organization))[0].deletions_held, false);
});

test("deleting asks once, in the exact words; no means no", async (t) => {
  const { organization, page, row, id } = await connected(t);
  await row.getByRole("button", { name: "Delete integration" }).click();
  const question = page.getByRole("dialog");
  await question.getByText("This action is permanent. Do you want to proceed?", { exact: true }).waitFor();
  await question.getByRole("button", { name: "Cancel" }).click();
  await focused(page, `delete-${id}`);
  await row.getByRole("button", { name: "Delete integration" }).click();
  await page.keyboard.press("Escape");
  await question.waitFor({ state: "detached" });
  await focused(page, `delete-${id}`);
  assert.equal((await accountsOf(organization)).length, 1);
});

test("deleting", async (t) => {
  const { organization, page, row, id } = await connected(t);
  const { id: mergeId } = await atProvider(organization);

  await t.test("the row goes at once, and that is said", async () => {
    const release = await hold(page, /\/v1\/linked-accounts\/[^/]+$/);
    await row.getByRole("button", { name: "Delete integration" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete integration" }).click();
    await row.waitFor({ state: "detached" });
    release();
    await announced(page, /BambooHR was deleted/);
    await focused(page, "connected-heading");
  });

  await t.test("the account goes at the provider", async () => {
    await until(async () => !(await sandbox("/state")).accounts.some((/** @type {any} */ a) => a.id === mergeId && a.status !== "DELETED"), "gone at the provider");
  });

  await t.test("nothing of it is listed or can be read any more", async () => {
    assert.deepEqual(await accountsOf(organization), []);
    assert.equal((await api(organization, "GET", `/v1/linked-accounts/${id}/records/hris.Employee`)).body.code, "disconnecting");
  });
});

test("a delete that the server refuses brings the row back with a sentence", async (t) => {
  const { page, row } = await connected(t);
  await scriptProblem(page, /\/v1\/linked-accounts\/[^/]+$/, "DELETE", { status: 500, code: "internal" });
  await row.getByRole("button", { name: "Delete integration" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete integration" }).click();
  await row.getByText(/Something went wrong on our side/).waitFor();
  await row.getByText("Reference: req-7f3a").waitFor();
});

test("refresh now starts a sync and says so", async (t) => {
  const { page, row } = await connected(t);
  const asked = page.waitForResponse((response) => response.url().endsWith("/sync") && response.request().method() === "POST");
  await row.getByRole("button", { name: "Refresh now" }).click();
  assert.equal((await asked).status(), 202);
  await row.getByText("The newest data is being fetched.").waitFor();
});

test("a name of one's own is kept, and can be taken back", async (t) => {
  const { page, row, id } = await connected(t);
  await row.getByRole("button", { name: "Details" }).click();
  await row.getByRole("button", { name: "Rename" }).click();
  await focused(page, `name-${id}`);
  await page.keyboard.press("ControlOrMeta+A");
  await page.keyboard.type("Berlin office");
  await page.keyboard.press("Enter");
  await row.getByRole("heading", { name: "Berlin office" }).waitFor();
  await row.getByText("BambooHR · HR and people").waitFor();
  await row.getByRole("button", { name: "Rename" }).click();
  await row.getByRole("textbox").fill("");
  await page.keyboard.press("Enter");
  await row.getByRole("heading", { name: "BambooHR" }).waitFor();
});

test("the history tells in plain words what happened", async (t) => {
  const { row } = await connected(t);
  await row.getByRole("button", { name: "Details" }).click();
  await row.getByRole("button", { name: "Show history" }).click();
  await row.locator(".history").getByText("The system was connected.").waitFor();
});

test("two connections with one login are pointed out, reviewed, and one of them is deleted", async (t) => {
  const { page } = await person(t);
  await signIn(page, newOrganization());
  const credential = newCredential();
  for (const count of [1, 2]) {
    await connect(page, { credential });
    await until(async () => (await page.locator(".account").count()) === count, `${count} connected`);
  }
  const review = page.getByRole("button", { name: "Review" }).first();
  await review.waitFor();
  const id = ((await review.getAttribute("id")) ?? "").replace("review-", "");
  await review.click();
  const row = page.locator(".account").filter({ has: page.locator(`#account-${id}`) });
  await row.locator(".set-member").nth(1).waitFor();
  await row.locator(".set-member").getByRole("button", { name: "Show" }).click();
  const other = await page.evaluate(() => document.activeElement?.id.replace("account-", ""));
  assert.notEqual(other, id);
  await page.locator(`#delete-${other}`).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete integration" }).click();
  await until(async () => (await page.locator(".account").count()) === 1, "one is left");
  await row.getByText("None of your other integrations uses the same login").waitFor();
  await row.getByRole("button", { name: "Hide this hint" }).click();
  await row.locator(".set-heading").waitFor({ state: "detached" });
});
