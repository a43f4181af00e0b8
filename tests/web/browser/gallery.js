/**
 * The gallery: every state of the page by name, each reached in a real browser. The tests for access, language and
 * forbidden words walk it, and so does the script that takes the screenshots.
 */
import { account, everyHealth, everyKind, scriptProblem, scriptReads, threeAccounts } from "./states.js";
import { signIn, stack } from "./live.js";

/** @typedef {import("playwright-core").Page} BrowserPage */

const HISTORY = ["connected", "relinked", "first_sync_completed", "renamed", "issue_opened", "an_event_of_tomorrow"].map((type, index) => ({
  id: String(index),
  at: new Date(Date.UTC(2026, 10, 20, 9, index)).toISOString(),
  type,
  actor: "system",
}));

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
      await scriptReads(page, { accounts: () => [account({ is_duplicate: true })], progress: everyKind, events: () => HISTORY });
      await signIn(page);
      await page.locator(".details-toggle").click();
      await page.locator(".details .kinds").waitFor();
      await page.locator(".details [id^=history-]").click();
      await page.locator(".history li").first().waitFor();
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
