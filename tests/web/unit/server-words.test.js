import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { timeline } from "../../../web/timeline.js";
import { dictionary } from "./files.js";

const words = dictionary("en");
const has = (/** @type {string} */ key) => key in words;

/**
 * The variants of one of the server's enums as they travel.
 * @param {string} file relative to shared/src
 * @param {string} name
 */
function variants(file, name) {
  const source = readFileSync(new URL(`../../../shared/src/${file}`, import.meta.url), "utf8");
  const [, body] = new RegExp(`pub enum ${name} \\{([^}]+)\\}`).exec(source) ?? [];
  assert.ok(body, `${file} has no enum ${name}`);
  const found = [...body.replace(/\/\/.*$/gm, "").matchAll(/\b([A-Z]\w*)\b/g)];
  return found.map(([, variant]) => variant.replace(/(?<!^)([A-Z])/g, "_$1").toLowerCase());
}

test("every state, reason and actor that the server may name has words", () => {
  for (const state of variants("domain/health.rs", "HealthState")) {
    assert.ok(has(`state.${state}`), state);
    assert.ok(state === "healthy" || has(`explain.${state}`), state);
  }
  // Attempts that were not finished are no row of the page.
  const unseen = new Set(["not_finished", "abandoned"]);
  for (const reason of variants("domain/health.rs", "Reason").filter((r) => !unseen.has(r))) assert.ok(has(`reason.${reason}`), reason);
  for (const actor of variants("domain/health.rs", "Actor")) assert.ok(has(`actor.${actor}`), actor);
});

test("everything that may happen to an account is told in its history, or left out on purpose", () => {
  // Attempts, what a deletion waits for, and what the operator decides or looks into, are nothing that a person at the
  // page acts on.
  const leftOut = new Set([
    "link_started",
    "delete_requested",
    "delete_blocked",
    "deletions_approved",
    "deletions_discarded",
    "missing",
    "token_rotation_requested",
    "token_rotation_started",
    "token_rotated",
    "orphaned",
    "dead_letter",
  ]);
  const detail = { added: 1, to: "COMPLETE", kind: "other" };
  for (const type of variants("store/events.rs", "EventKind")) {
    const lines = timeline([{ id: "1", at: "2026-11-22T09:00:00Z", type, actor: "system", detail }], has);
    assert.equal(lines.length, leftOut.has(type) ? 0 : 1, type);
    assert.ok(lines.every(({ key }) => has(key)), type);
  }
});
