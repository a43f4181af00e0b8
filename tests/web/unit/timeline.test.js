import assert from "node:assert/strict";
import { test } from "node:test";
import { timeline } from "../../../web/timeline.js";
import { dictionary } from "./files.js";

const words = dictionary("en");
const has = (/** @type {string} */ key) => key in words;
/** @param {string} type @param {number} minute @param {Partial<HistoryEvent>} [facts] @returns {HistoryEvent} */
const event = (type, minute, facts) => ({
  id: `${type}-${minute}`,
  at: new Date(Date.UTC(2026, 10, 22, 9, minute)).toISOString(),
  type,
  actor: "system",
  ...facts,
});
const keys = (/** @type {HistoryEvent[]} */ events) => timeline(events, has).map((line) => line.key);

test("one update of many kinds of data is one line with the sums; updates apart are lines of their own", () => {
  const finished = (/** @type {number} */ minute, /** @type {number} */ added) =>
    event("sync_finished", minute, { model_id: "hris.Employee", detail: { added, updated: 1, deleted: 0 } });
  const lines = timeline([finished(50, 2), finished(49, 3), finished(20, 4)], has);
  assert.deepEqual(lines.map((line) => line.params), [{ added: 5, updated: 2, deleted: 0 }, { added: 4, updated: 1, deleted: 0 }]);
});

test("an update that changed nothing, and an event of tomorrow, are not told", () => {
  assert.deepEqual(keys([event("sync_finished", 2, { detail: { added: 0, updated: 0, deleted: 0 } }), event("an_event_of_tomorrow", 1)]), []);
});

test("a problem is told by its cause where that has a sentence, and as a problem otherwise", () => {
  const kinds = ["expired_mfa", "third_party_offline", "api_error", "something_new"];
  assert.deepEqual(
    keys(kinds.map((kind, index) => event("issue_opened", index, { detail: { kind } }))),
    ["reason.mfa_expired", "reason.provider_offline", "event.issue_opened", "event.issue_opened"],
  );
});

test("a change of status is told by what it came to", () => {
  const changes = ["RELINK_NEEDED", "COMPLETE", "IDLE", "INCOMPLETE"];
  assert.deepEqual(
    keys(changes.map((to, index) => event("status_changed", index, { detail: { to } }))),
    ["reason.relink_needed", "event.status.works", "event.status.paused"],
  );
});

test("what could not be read is named", () => {
  const [line] = timeline([event("sync_failed", 1, { model_id: "hris.TimeOff" })], has);
  assert.deepEqual([line.key, line.model], ["event.sync_failed_for", "hris.TimeOff"]);
});

test("every line has its words", () => {
  const types = ["connected", "relink_started", "relinked", "first_sync_completed", "sync_requested", "sync_failed", "deletions_held", "renamed", "duplicate_ignored", "issue_resolved", "disconnected"];
  const told = keys(types.map((type, index) => event(type, index)));
  assert.equal(told.length, types.length);
  assert.ok(told.every(has));
});
