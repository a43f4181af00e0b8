/**
 * The gallery: every state of the page by name, each reached in a real browser. The tests for access, language and
 * forbidden words walk it, and so does the script that takes the screenshots.
 */
import { account, everyHealth, everyKind, fiftyAccounts, LONG_NAME, scriptProblem, scriptReads, threeAccounts } from "./states.js";
import { signIn, stack } from "./live.js";

/** @typedef {import("playwright-core").Page} BrowserPage */

/** @type {[string, Partial<HistoryEvent>?][]} newest first */
const HAPPENED = [
  ["sync_finished", { model_id: "hris.Employee", detail: { added: 3, updated: 12, deleted: 1 } }],
  ["sync_failed", { model_id: "hris.TimeOff" }],
  ["issue_resolved"],
  ["relinked"],
  ["relink_started"],
  ["issue_opened", { detail: { kind: "expired_mfa" } }],
  ["status_changed", { detail: { to: "RELINK_NEEDED" } }],
  ["deletions_held"],
  ["deletions_released"],
  ["relinked_elsewhere"],
  ["issue_acknowledged"],
  ["duplicate_found"],
  ["duplicate_ignored", { detail: { ignored: true } }],
  ["renamed"],
  ["an_event_of_tomorrow"],
  ["first_sync_completed"],
  ["connected"],
];

const HISTORY = HAPPENED.map(([type, facts], index) => ({
  id: String(index),
  at: new Date(Date.UTC(2026, 10, 20, 9, -47 * index)).toISOString(),
  type,
  actor: "system",
  ...facts,
}));

/** @type {LinkedAccount["open_issues"]} */
const ISSUES = ["missing_permissions", "third_party_offline"].map((type, index) => ({
  id: `issue-${index}`,
  type,
  message: "",
  first_seen: new Date(Date.UTC(2026, 10, 20, 9, index)).toISOString(),
  last_seen: new Date(Date.UTC(2026, 10, 21)).toISOString(),
}));

/** The second connection of one system. */
const TWIN = account({ id: "00000000-0000-4000-8000-000000000002", display_name: "BambooHR, Berlin office", is_duplicate: true });

/** Nothing of the lists is scripted but what it says. @param {BrowserPage} page @param {unknown} answer */
const scriptCatalogue = (page, answer) => page.route(/\/v1\/integrations/, (route) => route.fulfill({ json: answer }));

/** A dialog that succeeds by itself and closes. */
export const SUCCEEDS = `window.MergeLink = {
  initialize(config) { this.given = config; setTimeout(config.onReady); },
  openLink() { this.given.onSuccess("public-of-another"); this.given.onExit(); },
};`;

/**
 * The one system is replaced; whether it is erased yet, the caller says.
 * @param {BrowserPage} page
 * @param {() => boolean} isErased
 */
export async function scriptReplacement(page, isErased) {
  let accounts = [account()];
  await scriptReads(page, { accounts: () => accounts });
  await page.route(/\/v1\/linked-accounts\/[^/]+$/, (route) => {
    if (route.request().method() === "GET") {
      return isErased() ? route.fulfill({ status: 404, json: { code: "not_found" } }) : route.fulfill({ json: account({ status: "DELETING" }) });
    }
    accounts = [];
    return route.fulfill({ status: 202, json: {} });
  });
  await signIn(page);
  await page.locator(".account").waitFor();
  await page.locator("#connect-hris").click();
  await page.locator("dialog .button-danger-solid").click();
  await page.locator(".account").waitFor({ state: "detached" });
}

/** The sign-in button, whatever the language. @param {BrowserPage} page */
const signedOut = (page) => page.locator("#sign-in").waitFor();

/** @type {Record<string, {config?: Partial<PageConfig>, reach: (page: BrowserPage) => Promise<unknown>}>} */
export const GALLERY = {
  welcome: {
    async reach(page) {
      await page.goto(stack.page);
      await signedOut(page);
    },
  },
  "sign-in unreachable": {
    async reach(page) {
      await page.route("**/.well-known/openid-configuration", (route) => route.abort());
      await page.goto(stack.page);
      await page.locator("#sign-in").click();
      await page.locator(".notice").waitFor();
    },
  },
  "nothing connected": {
    async reach(page) {
      await scriptReads(page, { accounts: () => [] });
      await signIn(page);
      await page.locator(".empty").waitFor();
    },
  },
  "loading the list": {
    async reach(page) {
      await page.route(/\/v1\/linked-accounts$/, () => {});
      await signIn(page);
      await page.locator(".skeleton").waitFor();
    },
  },
  "list unreachable": {
    async reach(page) {
      await scriptProblem(page, /\/v1\/linked-accounts$/, "GET", { status: 503, code: "merge_unavailable" });
      await signIn(page);
      await page.locator(".notice").waitFor();
    },
  },
  "first sync": {
    async reach(page) {
      const health = /** @type {Health} */ ({ state: "first_sync", reason: null, actor: "nobody", can_refresh: true, can_reconnect: true, since: new Date().toISOString() });
      await scriptReads(page, { accounts: () => [account({ health, initial_sync_completed: false, records: 0, data_fresh_as_of: null })] });
      await signIn(page);
      await page.locator(".kinds").waitFor();
    },
  },
  "every health": {
    async reach(page) {
      await scriptReads(page, { accounts: everyHealth });
      await signIn(page);
      await page.locator(".account-disconnected").waitFor();
    },
  },
  page: {
    async reach(page) {
      await scriptReads(page, { accounts: threeAccounts });
      await signIn(page);
      await page.locator(".account-action_needed").waitFor();
      await page.locator(".kinds").waitFor();
    },
  },
  details: {
    async reach(page) {
      await scriptReads(page, { accounts: () => [account({ is_duplicate: true, open_issues: ISSUES })], progress: everyKind, events: () => HISTORY });
      await signIn(page);
      await page.locator(".details-toggle").click();
      await page.locator(".details .kinds").waitFor();
      await page.locator(".details [id^=history-]").click();
      await page.locator(".history li").first().waitFor();
    },
  },
  "login led elsewhere": {
    async reach(page) {
      await scriptReads(page, { accounts: () => [account({ deletions_held: true, deletions_held_for: "5d4140" })] });
      await signIn(page);
      await page.locator("[id^=elsewhere-text-]").waitFor();
    },
  },
  "long name": {
    async reach(page) {
      await scriptReads(page, { accounts: () => [account({ display_name: LONG_NAME, is_duplicate: true })] });
      await signIn(page);
      await page.locator(".account").waitFor();
    },
  },
  "fifty integrations": {
    async reach(page) {
      await scriptReads(page, { accounts: fiftyAccounts });
      await signIn(page);
      await page.locator(".account").nth(49).waitFor();
    },
  },
  "fifty integrations, only those that need attention": {
    async reach(page) {
      await scriptReads(page, { accounts: fiftyAccounts });
      await signIn(page);
      await page.locator("#only-attention").click();
      await page.locator(".account").nth(3).waitFor({ state: "detached" });
    },
  },
  "fifty integrations, none found": {
    async reach(page) {
      await scriptReads(page, { accounts: fiftyAccounts });
      await signIn(page);
      await page.locator("#find-connected").fill("zzzz");
      await page.locator(".account").first().waitFor({ state: "detached" });
    },
  },
  "duplicates reviewed": {
    async reach(page) {
      const accounts = [account({ is_duplicate: true }), TWIN];
      await scriptReads(page, { accounts: () => accounts, duplicates: () => [TWIN] });
      await signIn(page);
      await page.locator(`#review-${accounts[0].id}`).click();
      await page.locator(".set").waitFor();
    },
  },
  "duplicate without another": {
    async reach(page) {
      await scriptReads(page, { accounts: () => [account({ is_duplicate: true })] });
      await signIn(page);
      await page.locator("[id^=review-]").click();
      await page.locator(".set-heading").waitFor();
    },
  },
  offline: {
    async reach(page) {
      await scriptReads(page, { accounts: () => [account()] });
      await signIn(page);
      await page.locator(".account").waitFor();
      await page.context().setOffline(true);
      await page.locator(".offline").waitFor();
    },
  },
  "sign-in not accepted": {
    async reach(page) {
      await page.route(/\/v1\//, (route) => route.fulfill({ status: 401, json: { message: "Unauthorized" } }));
      await signIn(page);
      await page.locator(".notice").first().waitFor();
    },
  },
  "somebody else's system": {
    async reach(page) {
      await scriptReads(page, { accounts: () => [] });
      await scriptProblem(page, /\/v1\/linked-accounts$/, "POST", { status: 404, code: "not_found" });
      await page.route("**/initialize.js", (route) => route.fulfill({ contentType: "text/javascript", body: SUCCEEDS }));
      await signIn(page);
      await page.locator("#connect-hris").click();
      await page.locator("#notice-connect-hris").waitFor();
    },
  },
  renaming: {
    async reach(page) {
      await scriptReads(page, { accounts: () => [account()] });
      await signIn(page);
      await page.locator(".details-toggle").click();
      await page.locator("[id^=rename-]").click();
      await page.locator(".rename input").waitFor();
    },
  },
  "delete question": {
    async reach(page) {
      await scriptReads(page, { accounts: () => [account()] });
      await signIn(page);
      await page.locator("[id^=delete-]").click();
      await page.locator("dialog[open]").waitFor();
    },
  },
  "button working": {
    async reach(page) {
      await scriptReads(page, { accounts: () => [] });
      await page.route(/\/v1\/link-tokens$/, () => {});
      await signIn(page);
      await page.locator("#connect-hris").click();
      await page.locator("#connect-hris[aria-busy=true]").waitFor();
    },
  },
  ...Object.fromEntries(
    /** @type {[string, number, string | undefined, Record<string, string>][]} */ ([
      ["already connected", 409, "already_connected", {}],
      ["still disconnecting", 409, "disconnecting", {}],
      ["wait", 429, "rate_limited", { "retry-after": "30" }],
      ["not allowed", 403, undefined, { "apigw-requestid": "edge-7f3a" }],
      ["server fault", 500, "internal", {}],
      ["unavailable", 503, "merge_unavailable", {}],
      ["person without e-mail", 400, "end_user_required", {}],
    ]).map(([name, status, code, headers]) => [
      name,
      {
        /** @param {BrowserPage} page */
        async reach(page) {
          await scriptReads(page, { accounts: () => [account()] });
          await scriptProblem(page, /\/v1\/link-tokens$/, "POST", { status, code, headers });
          await signIn(page);
          await page.locator("#connect-hris").click();
          await page.locator("#notice-connect-hris").waitFor();
        },
      },
    ]),
  ),
  "dialog blocked": {
    async reach(page) {
      await page.route("**/initialize.js", (route) => route.abort());
      await signIn(page);
      await page.locator("#connect-hris").click();
      await page.locator("#notice-connect-hris").waitFor();
    },
  },
  "app centre": {
    config: { mode: "app_centre" },
    async reach(page) {
      await scriptReads(page, { accounts: () => [account()] });
      await signIn(page);
      await page.locator(".system-state").waitFor();
    },
  },
  "one per category": {
    config: { one_per_category: true },
    async reach(page) {
      await scriptReads(page, { accounts: () => [account()] });
      await signIn(page);
      await page.locator("#connect-hris").getByText(/./).waitFor();
      await page.locator(".account").waitFor();
    },
  },
  "replace question": {
    config: { one_per_category: true },
    async reach(page) {
      await scriptReads(page, { accounts: () => [account()] });
      await signIn(page);
      await page.locator(".account").waitFor();
      await page.locator("#connect-hris").click();
      await page.locator("dialog[open]").waitFor();
    },
  },
  "being replaced": {
    config: { one_per_category: true },
    async reach(page) {
      await scriptReplacement(page, () => false);
      await page.locator("#connect-hris[aria-disabled=true]").waitFor();
      await page.locator(".offer .notice").waitFor();
    },
  },
  replaced: {
    config: { one_per_category: true },
    async reach(page) {
      await scriptReplacement(page, () => true);
      await page.locator("#notice-connect-hris").waitFor();
    },
  },
  "app centre, one per category": {
    config: { mode: "app_centre", one_per_category: true },
    async reach(page) {
      await scriptReads(page, { accounts: () => [account()] });
      await signIn(page);
      await page.locator(".system-state").waitFor();
    },
  },
  "app centre, empty": {
    config: { mode: "app_centre" },
    async reach(page) {
      await scriptCatalogue(page, { results: [], source: "live" });
      await signIn(page);
      await page.locator("#catalogue .empty").waitFor();
    },
  },
  "app centre, built-in list": {
    config: { mode: "app_centre" },
    async reach(page) {
      const results = ["BambooHR", "Workday", "HiBob"].map((name) => ({ name, slug: name.toLowerCase(), categories: ["hris"], image: null, square_image: null, color: null }));
      await scriptCatalogue(page, { results, source: "fallback" });
      await signIn(page);
      await page.locator("#catalogue .notice").waitFor();
    },
  },
  "app centre, nothing found": {
    config: { mode: "app_centre" },
    async reach(page) {
      await signIn(page);
      await page.locator(".systems").waitFor();
      await page.locator("#search").fill("zzzz");
      await page.locator(".system").first().waitFor({ state: "detached" });
    },
  },
  "app centre, catalogue unreachable": {
    config: { mode: "app_centre" },
    async reach(page) {
      await scriptProblem(page, /\/v1\/integrations/, "GET", { status: 503, code: "merge_unavailable" });
      await signIn(page);
      await page.locator(".notice").first().waitFor();
    },
  },
};
