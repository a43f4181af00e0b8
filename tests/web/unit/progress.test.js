import assert from "node:assert/strict";
import { test } from "node:test";
import { kindState, nextUpdate, summarize } from "../../../web/progress.js";

/** @param {Partial<ModelProgress>} facts @returns {ModelProgress} */
const model = (facts) => ({ model_id: "hris.Employee", model_name: "Employee", status: null, last_synced_at: null, records: 0, ...facts });

const CASES = /** @type {[Partial<ModelProgress>, string][]} */ ([
  [{ status: null }, "waiting"],
  [{ status: "PAUSED" }, "waiting"],
  [{ status: "SYNCING" }, "running"],
  [{ status: "DONE" }, "running"],
  [{ status: "DONE", last_synced_at: "2026-11-22T05:00:00Z" }, "ready"],
  [{ status: "SYNCING", last_synced_at: "2026-11-22T05:00:00Z" }, "ready"],
  [{ status: "PARTIALLY_SYNCED", last_synced_at: "2026-11-22T05:00:00Z" }, "partial"],
  [{ status: "FAILED" }, "failed"],
  [{ status: "FAILED", last_synced_at: "2026-11-22T05:00:00Z" }, "ready"],
  [{ status: "DISABLED" }, "off"],
]);

for (const [facts, expected] of CASES) {
  test(`${facts.status ?? "no status"}${facts.last_synced_at ? ", data here" : ""} is ${expected}`, () => {
    assert.equal(kindState(model(facts), facts.status !== null), expected);
  });
}

test("a kind that the other side does not mention, once it speaks, is not offered", () => {
  const results = [model({ status: "SYNCING" }), model({ status: null })];
  assert.equal(summarize({ results, sync_complete: false }).total, 1);
  assert.equal(summarize({ results: [model({})], sync_complete: false }).total, 1);
});

test("a reading under way shows what it has stored so far", () => {
  const running = model({ status: "DONE", records: 0, window: { added: 700 } });
  assert.equal(summarize({ results: [running], sync_complete: false }).records, 700);
});

test("kinds that the system does not offer are not counted", () => {
  const here = { status: "DONE", last_synced_at: "2026-11-22T05:00:00Z" };
  const results = [model({ ...here, records: 3 }), model({ status: "SYNCING", records: 2 }), model({ status: "DISABLED" })];
  const { here: done, total, records } = summarize({ results, sync_complete: false });
  assert.deepEqual({ done, total, records }, { done: 1, total: 2, records: 5 });
});

test("the next update is the first that is still to come; without one nothing is promised", () => {
  const now = Date.parse("2026-11-22T05:00:00Z");
  const at = (/** @type {string | null} */ time) => model({ next_sync_start: time });
  const results = [at("2026-11-22T04:00:00Z"), at("2026-11-22T07:00:00Z"), at("2026-11-22T06:00:00Z"), at(null)];
  assert.equal(nextUpdate({ results, sync_complete: true }, now), "2026-11-22T06:00:00Z");
  assert.equal(nextUpdate({ results: [at(null), at("2026-11-22T04:00:00Z")], sync_complete: true }, now), null);
});
