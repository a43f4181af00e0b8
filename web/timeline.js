/**
 * Timeline: what happened to one linked account, as lines that a person can read. Events that mean nothing to a person
 * are left out; what many kinds of data brought in one update is one line. Pure.
 */

/** Updates that follow each other sooner than this are one. */
const ONE_UPDATE_MS = 10 * 60_000;

/** Issues whose cause has a sentence among the reasons. @type {Record<string, string>} */
const CAUSES = {
  bad_api_key: "reason.bad_api_key",
  invalid_login_credentials: "reason.invalid_credentials",
  expired_mfa: "reason.mfa_expired",
  missing_permissions: "reason.missing_permissions",
  third_party_offline: "reason.provider_offline",
  issue_type_pending: "reason.checking",
};

/** The sentence for the cause of an issue, as a dictionary key. @param {string} kind */
export const causeOf = (kind) => CAUSES[kind] ?? null;

/** Statuses that a change to tells of. @type {Record<string, string>} */
const STATUSES = {
  COMPLETE: "event.status.works",
  RELINK_NEEDED: "reason.relink_needed",
  IDLE: "event.status.paused",
};

/** @typedef {{id: string, at: string, key: string, params: Record<string, string | number>, model?: string}} Line */

/** A fact of an event as a number. @param {HistoryEvent} event @param {string} name */
const count = (event, name) => Number(event.detail?.[name] ?? 0);

/**
 * The dictionary key for one event; null where nobody needs to read of it.
 * @param {HistoryEvent} event
 * @param {(key: string) => boolean} has
 */
function keyOf(event, has) {
  const { type, detail = {} } = event;
  if (type === "issue_opened") return causeOf(String(detail.kind)) ?? "event.issue_opened";
  if (type === "status_changed") return STATUSES[String(detail.to)] ?? null;
  if (type === "duplicate_ignored" && detail.ignored === false) return null;
  if (type === "sync_failed" && event.model_id) return "event.sync_failed_for";
  return has(`event.${type}`) ? `event.${type}` : null;
}

/**
 * The lines, newest first as the events are.
 * @param {HistoryEvent[]} events
 * @param {(key: string) => boolean} has whether the dictionary has a key
 * @returns {Line[]}
 */
export function timeline(events, has) {
  /** @type {Line[]} */
  const lines = [];
  /** The update that a further finished sync may belong to. @type {Line | null} */
  let update = null;
  for (const event of events) {
    if (event.type !== "sync_finished") {
      const key = keyOf(event, has);
      if (!key) continue;
      update = null;
      lines.push({ id: event.id, at: event.at, key, params: {}, ...(event.model_id ? { model: event.model_id } : {}) });
      continue;
    }
    const facts = { added: count(event, "added"), updated: count(event, "updated"), deleted: count(event, "deleted") };
    if (facts.added + facts.updated + facts.deleted === 0) continue;
    if (update && Date.parse(update.at) - Date.parse(event.at) <= ONE_UPDATE_MS) {
      for (const [name, value] of Object.entries(facts)) update.params[name] = Number(update.params[name]) + value;
    } else {
      update = { id: event.id, at: event.at, key: "event.sync_finished", params: facts };
      lines.push(update);
    }
  }
  return lines;
}
