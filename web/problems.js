/**
 * A Problem: why a request failed, as a stable `code` (RFC 9457 bodies of our server), the HTTP status and the
 * request's reference. This module decides which sentence of the dictionary a person reads for it, and what the
 * console may hold: code and reference, never a body.
 */

export class Problem extends Error {
  /**
   * @param {{code: string, status?: number, requestId?: string | null, retryAfter?: number | null}} facts
   *   `retryAfter` in seconds
   */
  constructor({ code, status = 0, requestId = null, retryAfter = null }) {
    super(code);
    this.name = "Problem";
    this.code = code;
    this.status = status;
    this.requestId = requestId;
    this.retryAfter = retryAfter;
  }

  /** No answer, or an answer after which the request may still have taken effect: asking again is safe and useful. */
  get isTransient() {
    const meanwhile = this.code === "exchange_in_progress" || this.code === "conflict";
    return meanwhile || this.status === 0 || this.status === 429 || this.status >= 500;
  }

  /** The page is on its way to the sign-in: nothing is to be shown. */
  get isLeaving() {
    return this.code === "signing_in";
  }
}

/** Codes with a sentence of their own (`problem.<code>` in every dictionary). */
export const KNOWN_CODES = [
  "already_connected",
  "disconnecting",
  "disconnected",
  "not_connected",
  "exchange_in_progress",
  "public_token_invalid",
  "end_user_required",
  "network",
  "timeout",
  "dialog_unavailable",
  "dialog_refused",
  "link_expired",
  "sign_in_refused",
  "host_silent",
];

/**
 * The sentence for a problem, as a dictionary key with its values.
 * @param {Problem} problem
 * @returns {Message}
 */
export function explain(problem) {
  const reference = problem.status >= 500 || problem.status === 403 ? problem.requestId : null;
  /** @param {string} key @param {Message["params"]} [params] @returns {Message} */
  const warning = (key, params) => ({ key, params, reference, tone: "warning" });
  if (KNOWN_CODES.includes(problem.code)) return warning(`problem.${problem.code}`);
  if (problem.status === 429) {
    return problem.retryAfter
      ? { ...warning("problem.wait", { count: problem.retryAfter }), wait: problem.retryAfter }
      : warning("problem.wait_a_moment");
  }
  if (problem.status === 403) return warning("problem.not_allowed");
  if (problem.status === 404) return warning("problem.gone");
  if (problem.status === 503) return warning("problem.unavailable");
  if (problem.status >= 500) return warning("problem.server");
  return warning("problem.unexpected");
}

/**
 * Turns anything thrown into a Problem and leaves a trace for engineers.
 * @param {unknown} thrown
 * @param {string} during what the page was doing
 */
export function asProblem(thrown, during) {
  const problem = thrown instanceof Problem ? thrown : new Problem({ code: "page_fault" });
  if (!problem.isLeaving) console.warn(`${during}: ${problem.code}`, problem.requestId ?? "");
  return problem;
}
