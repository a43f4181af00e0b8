/**
 * The client of our own server's `/v1`: one method per route the page uses, every failure a Problem. It holds no
 * token; it asks the session for the current one and, after a 401, for a renewed one, once.
 */
import { Problem } from "./problems.js";

/** A request without an answer is given up after this time; the server's own limit is 30 s. */
const TIMEOUT_MS = 32_000;
/** Pages of a list that are read before giving up: a bound, not an expectation. */
const MAX_PAGES = 50;
/** Characters that turn the direction of what follows: a name with one would reorder our own sentence around it. */
const TURNING = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** Names are of providers and customers. @param {string} _key @param {unknown} value */
const straight = (_key, value) => (typeof value === "string" ? value.replace(TURNING, "") : value);

/**
 * @typedef {object} Session
 * @property {() => Promise<string>} accessToken waits for one where it is still on its way
 * @property {(refused: string) => Promise<string>} renew a token other than the refused one; rejects with `signing_in`
 */

/**
 * The Problem that an answer describes: our `application/problem+json`, or the edge's own `{"message"}`.
 * @param {Response} answer
 */
async function readProblem(answer) {
  /** @type {{code?: unknown, request_id?: unknown}} */
  let body = {};
  try {
    body = await answer.json();
  } catch {
    // The edge may answer without a body; the status says enough.
  }
  const seconds = Number.parseInt(answer.headers.get("retry-after") ?? "", 10);
  return new Problem({
    code: typeof body.code === "string" ? body.code : `http_${answer.status}`,
    status: answer.status,
    requestId:
      typeof body.request_id === "string" ? body.request_id : answer.headers.get("apigw-requestid"),
    retryAfter: Number.isFinite(seconds) && seconds > 0 ? seconds : null,
  });
}

/** @typedef {ReturnType<typeof createApi>} Api */

/**
 * @param {string} base prefix of every path
 * @param {Session} session
 */
export function createApi(base, session) {
  /**
   * @param {string} method
   * @param {string} path
   * @param {string} token
   * @param {unknown} body
   */
  async function send(method, path, token, body) {
    /** @type {Record<string, string>} */
    const headers = { authorization: `Bearer ${token}` };
    if (body !== undefined) headers["content-type"] = "application/json";
    try {
      return await fetch(base + path, {
        method,
        headers,
        body: body === undefined ? undefined : JSON.stringify(body),
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
    } catch (thrown) {
      const timedOut = thrown instanceof DOMException && thrown.name === "TimeoutError";
      throw new Problem({ code: timedOut ? "timeout" : "network" });
    }
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {unknown} [body]
   * @returns {Promise<any>} the parsed answer; null when it has no body
   */
  async function request(method, path, body) {
    const token = await session.accessToken();
    let answer = await send(method, path, token, body);
    if (answer.status === 401) answer = await send(method, path, await session.renew(token), body);
    if (!answer.ok) throw await readProblem(answer);
    try {
      const text = await answer.text();
      return text ? JSON.parse(text, straight) : null;
    } catch {
      throw new Problem({ code: "network" });
    }
  }

  /**
   * All pages of a list.
   * @param {string} path
   * @returns {Promise<any[]>}
   */
  async function all(path) {
    const results = [];
    let cursor = null;
    for (let page = 0; page < MAX_PAGES; page += 1) {
      const joint = path.includes("?") ? "&" : "?";
      const answer = await request("GET", cursor ? `${path}${joint}cursor=${encodeURIComponent(cursor)}` : path);
      results.push(...answer.results);
      cursor = answer.next_cursor;
      if (!cursor) break;
    }
    return results;
  }

  /** @param {string} id */
  const account = (id) => `/v1/linked-accounts/${encodeURIComponent(id)}`;

  return {
    /**
     * @param {{category: string, integration?: string, language?: string}} wish
     * @returns {Promise<{link_token: string, id: string}>}
     */
    createLinkToken: (wish) => request("POST", "/v1/link-tokens", wish),
    /**
     * @param {string} publicToken
     * @param {string} category
     * @returns {Promise<LinkedAccount>}
     */
    exchange: (publicToken, category) =>
      request("POST", "/v1/linked-accounts", { public_token: publicToken, category }),
    /** @returns {Promise<LinkedAccount[]>} */
    listAccounts: () => all("/v1/linked-accounts"),
    /**
     * @param {string} id
     * @returns {Promise<LinkedAccount>}
     */
    getAccount: (id) => request("GET", account(id)),
    /**
     * @param {string} id
     * @returns {Promise<SyncProgress>}
     */
    syncStatus: (id) => request("GET", `${account(id)}/sync-status`),
    /**
     * The other accounts of this organization that were connected with the same login.
     * @param {string} id
     * @returns {Promise<LinkedAccount[]>}
     */
    duplicatesOf: (id) => all(`/v1/linked-accounts?duplicates_of=${encodeURIComponent(id)}`),
    /** @param {string} id */
    refresh: (id) => request("POST", `${account(id)}/sync`, {}),
    /**
     * @param {string} id
     * @param {string} language of the dialog
     * @returns {Promise<{link_token: string}>}
     */
    relink: (id, language) => request("POST", `${account(id)}/relink`, { language }),
    /** @param {string} id */
    remove: (id) => request("DELETE", account(id)),
    /**
     * @param {string} id
     * @param {{display_name?: string | null, duplicate_ignored?: boolean, acknowledge_issues?: string[], deletions_held?: false, deletions_held_for?: string | null}} change
     * @returns {Promise<LinkedAccount>}
     */
    change: (id, change) => request("PATCH", account(id), change),
    /**
     * @param {string} id
     * @returns {Promise<{results: HistoryEvent[]}>} the newest events
     */
    events: (id) => request("GET", `${account(id)}/events?limit=200`),
    /**
     * @param {string} category
     * @returns {Promise<{results: CatalogueEntry[], source: Catalogue["source"]}>}
     */
    integrations: (category) => request("GET", `/v1/integrations?category=${encodeURIComponent(category)}`),
  };
}
