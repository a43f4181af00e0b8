/**
 * States that a healthy stack does not reach on demand, as answers of /v1: one account per health state and reason.
 */

/** @typedef {import("playwright-core").Page} BrowserPage */

const NOW = Date.now();
const at = (/** @type {number} */ minutesAgo) => new Date(NOW - minutesAgo * 60_000).toISOString();

/** @type {[HealthState, string | null, Health["actor"]][]} */
export const HEALTH = [
  ["first_sync", null, "nobody"],
  ["healthy", null, "nobody"],
  ["action_needed", "relink_needed", "end_user"],
  ["action_needed", "bad_api_key", "end_user"],
  ["action_needed", "invalid_credentials", "end_user"],
  ["action_needed", "mfa_expired", "end_user"],
  ["action_needed", "missing_permissions", "provider_admin"],
  ["action_needed", "relink_ineffective", "operator"],
  ["action_needed", "first_sync_failed", "end_user"],
  ["degraded", "api_error", "operator"],
  ["degraded", "provider_offline", "nobody"],
  ["degraded", "checking", "nobody"],
  ["degraded", "partial", "nobody"],
  ["degraded", "sync_timeout", "nobody"],
  ["degraded", "continued_failures", "operator"],
  ["degraded", "duplicate", "end_user"],
  ["degraded", "merge_unavailable", "operator"],
  ["degraded", "internal_error", "operator"],
  ["degraded", "a_reason_of_tomorrow", "nobody"],
  ["paused", "idle", "end_user"],
  ["paused", "integration_unavailable", "operator"],
  ["disconnected", null, "end_user"],
];

/**
 * @param {Partial<LinkedAccount>} [facts]
 * @returns {LinkedAccount}
 */
export const account = (facts = {}) => ({
  id: "00000000-0000-4000-8000-000000000001",
  category: "hris",
  status: "COMPLETE",
  health: { state: "healthy", reason: null, actor: "nobody", can_refresh: true, can_reconnect: true, since: at(190) },
  open_issues: [],
  integration: { name: "BambooHR", slug: "bamboohr", image: null, color: "#73c41d" },
  display_name: null,
  is_duplicate: false,
  duplicate_ignored: false,
  deletions_held: false,
  deletions_held_for: null,
  initial_sync_completed: true,
  records: 160_412,
  data_fresh_as_of: at(12),
  last_successful_sync_at: at(12),
  created_at: at(60 * 24 * 40),
  updated_at: at(12),
  ...facts,
});

/** One account per line of HEALTH, with names and logos of several systems. @returns {LinkedAccount[]} */
export function everyHealth() {
  const names = ["BambooHR", "Workday", "HiBob", "Personio", "Gusto", "Rippling"];
  return HEALTH.map(([state, reason, actor], index) =>
    account({
      id: `00000000-0000-4000-8000-${String(index).padStart(12, "0")}`,
      integration: { name: names[index % names.length], slug: null, image: null, color: index % 2 ? "#005cb9" : null },
      initial_sync_completed: state !== "first_sync",
      is_duplicate: reason === "duplicate",
      display_name: index === 3 ? "People of the Berlin office" : null,
      health: {
        state,
        reason,
        actor,
        can_refresh: state !== "disconnected",
        can_reconnect: state !== "disconnected",
        since: at(index * index * 7),
      },
    }),
  );
}

/** What a company's page may look like on an ordinary day. @returns {LinkedAccount[]} */
export function threeAccounts() {
  const health = account().health;
  return [
    account({
      id: "00000000-0000-4000-8000-00000000000a",
      initial_sync_completed: false,
      integration: { name: "BambooHR", slug: "bamboohr", image: null, color: "#73c41d" },
      health: { ...health, state: "first_sync", since: at(1) },
    }),
    account({
      id: "00000000-0000-4000-8000-00000000000b",
      category: "crm",
      integration: { name: "HubSpot", slug: "hubspot", image: null, color: "#ff7a59" },
      health: { ...health, state: "action_needed", reason: "relink_needed", actor: "end_user", since: at(26) },
      records: 24_310,
      data_fresh_as_of: at(31),
    }),
    account({
      id: "00000000-0000-4000-8000-00000000000c",
      category: "accounting",
      integration: { name: "Xero", slug: "xero", image: null, color: "#13b5ea" },
      display_name: "Xero, European companies",
      records: 81_902,
    }),
  ];
}

/** A company that has connected much, some of it under long names. @returns {LinkedAccount[]} */
export function fiftyAccounts() {
  const categories = ["hris", "ats", "crm", "accounting", "ticketing"];
  const health = account().health;
  return Array.from({ length: 50 }, (_, index) =>
    account({
      id: `00000000-0000-4000-8000-${String(index + 1).padStart(12, "0")}`,
      category: categories[index % categories.length],
      display_name: index === 7 ? LONG_NAME : `Office ${index + 1}`,
      health: index % 20 === 3 ? { ...health, state: "action_needed", reason: "mfa_expired", actor: "end_user" } : health,
    }),
  );
}

export const LONG_NAME = "Donaudampfschifffahrtsgesellschaft Österreich, Personalverwaltung Niederlassungen Süd und West";

const STATUSES = ["DONE", "SYNCING", null, "PARTIALLY_SYNCED", "FAILED", "PAUSED", "DISABLED"];

/** A name that would be more than text, if anything made more of it. */
export const HOSTILE = `\u202e<img src=x onerror="window.injected='name'"><script>window.injected='name'</script>"'{name}\u2066`;

/** Whatever a provider or a customer may name is hostile. @returns {LinkedAccount} */
export const hostileAccount = () =>
  account({
    display_name: `${HOSTILE} own`,
    integration: { name: `${HOSTILE} system`, slug: HOSTILE, image: "javascript:window.injected='image'", color: "red;}*{display:none" },
    category: HOSTILE,
    is_duplicate: true,
    open_issues: [{ id: HOSTILE, type: HOSTILE, message: HOSTILE, first_seen: at(60), last_seen: at(30) }],
    health: { state: "action_needed", reason: HOSTILE, actor: "end_user", can_refresh: true, can_reconnect: true, since: at(60) },
  });

/** Every state of a kind of data. @returns {SyncProgress} */
export function everyKind() {
  const names = ["Employee", "Team", "Location", "TimeOff", "PayrollRun", "Company", "Dependent", "Benefit"];
  const results = names.map((name, index) => {
    const status = STATUSES[index % STATUSES.length];
    return {
      next_sync_start: new Date(NOW + 47 * 60_000).toISOString(),
      model_id: `hris.${name}`,
      model_name: name,
      status,
      last_synced_at: status === "DONE" || status === "PARTIALLY_SYNCED" ? at(3) : null,
      records: status === "DONE" ? 10_000 : status === "SYNCING" ? 1_200 : 0,
    };
  });
  return { results, sync_complete: false };
}

/**
 * Answers the reading routes from given facts; everything else still reaches the stack.
 * @param {BrowserPage} page
 * @param {{accounts: () => LinkedAccount[], progress?: () => SyncProgress, events?: () => HistoryEvent[], duplicates?: () => LinkedAccount[]}} facts
 */
export async function scriptReads(page, { accounts, progress = everyKind, events = () => [], duplicates = () => [] }) {
  const json = (/** @type {unknown} */ body) => ({ status: 200, contentType: "application/json", body: JSON.stringify(body) });
  await page.route(/\/v1\/linked-accounts(\/[^/]+\/(sync-status|events))?(\?.*)?$/, (route) => {
    if (route.request().method() !== "GET") return route.fallback();
    const { pathname, searchParams } = new URL(route.request().url());
    if (searchParams.has("duplicates_of")) return route.fulfill(json({ results: duplicates(), next_cursor: null }));
    if (pathname.endsWith("/sync-status")) return route.fulfill(json(progress()));
    if (pathname.endsWith("/events")) return route.fulfill(json({ results: events(), next_cursor: null }));
    return route.fulfill(json({ results: accounts(), next_cursor: null }));
  });
}

/**
 * Answers one route with a problem.
 * @param {BrowserPage} page
 * @param {RegExp} path
 * @param {string} method
 * @param {{status: number, code?: string, headers?: Record<string, string>, times?: number}} problem
 */
export async function scriptProblem(page, path, method, { status, code, headers = {}, times }) {
  await page.route(
    path,
    (route) =>
      route.request().method() === method
        ? route.fulfill({
            status,
            headers: { ...headers, "content-type": "application/problem+json" },
            body: JSON.stringify(code ? { type: "about:blank", status, code, request_id: "req-7f3a" } : { message: "edge" }),
          })
        : route.fallback(),
    { times },
  );
}

/**
 * Holds the requests of a path, so that a passing state can be looked at, until the returned function is called.
 * @param {BrowserPage} page
 * @param {RegExp} path
 * @param {(request: import("playwright-core").Request) => boolean} [which]
 */
export async function hold(page, path, which = () => true) {
  /** @type {() => void} */
  let release = () => {};
  const released = new Promise((resolve) => (release = () => resolve(null)));
  await page.route(path, async (route) => {
    if (which(route.request())) await released;
    await route.fallback();
  });
  return release;
}
