/**
 * Progress: how far the first copy of each kind of data is, read from the server's sync status. Pure.
 */

/** @typedef {"ready" | "running" | "waiting" | "partial" | "failed" | "off"} KindState */

/**
 * "ready" means that the data is here, not merely that the other side has read it. Once the other side has said
 * anything, a kind that it does not mention is not offered by the system.
 * @param {ModelProgress} model
 * @param {boolean} heard whether the other side has said anything yet
 * @returns {KindState}
 */
export function kindState(model, heard) {
  if (model.status === "DISABLED") return "off";
  if (model.last_synced_at) return model.status === "PARTIALLY_SYNCED" ? "partial" : "ready";
  if (model.status === null) return heard ? "off" : "waiting";
  if (model.status === "FAILED") return "failed";
  if (model.status === "SYNCING" || model.status === "DONE" || model.status === "PARTIALLY_SYNCED") return "running";
  return "waiting";
}

/**
 * The kinds that the system offers, how many of them are here, and the records so far.
 * @param {SyncProgress} progress
 */
export function summarize(progress) {
  const heard = progress.results.some((model) => model.status !== null);
  const kinds = progress.results
    .map((model) => ({ model, state: kindState(model, heard), records: model.records || (model.window?.added ?? 0) }))
    .filter(({ state }) => state !== "off");
  const here = kinds.filter(({ state }) => state === "ready" || state === "partial").length;
  const records = kinds.reduce((sum, kind) => sum + kind.records, 0);
  return { kinds, here, total: kinds.length, records };
}

/**
 * When the other side reads the system again: the first of its times that is still to come.
 * @param {SyncProgress} progress
 * @param {number} now milliseconds
 */
export function nextUpdate(progress, now) {
  const coming = progress.results
    .map((model) => model.next_sync_start)
    .filter((time) => typeof time === "string" && Date.parse(time) > now)
    .sort((a, b) => Date.parse(String(a)) - Date.parse(String(b)));
  return coming[0] ?? null;
}
