import assert from "node:assert/strict";
import { test } from "node:test";
import { explain, Problem } from "../../../web/problems.js";
import { dictionary } from "./files.js";

const CASES = [
  { code: "already_connected", status: 409, key: "problem.already_connected" },
  { code: "disconnecting", status: 409, key: "problem.disconnecting" },
  { code: "exchange_in_progress", status: 409, key: "problem.exchange_in_progress" },
  { code: "not_connected", status: 409, key: "problem.not_connected" },
  { code: "disconnected", status: 409, key: "problem.disconnected" },
  { code: "public_token_invalid", status: 400, key: "problem.public_token_invalid" },
  { code: "end_user_required", status: 400, key: "problem.end_user_required" },
  { code: "not_found", status: 404, key: "problem.gone" },
  { code: "http_403", status: 403, key: "problem.not_allowed" },
  { code: "http_429", status: 429, key: "problem.wait_a_moment" },
  { code: "merge_unavailable", status: 503, key: "problem.unavailable" },
  { code: "internal", status: 500, key: "problem.server" },
  { code: "http_504", status: 504, key: "problem.server" },
  { code: "network", status: 0, key: "problem.network" },
  { code: "timeout", status: 0, key: "problem.timeout" },
  { code: "a_code_of_tomorrow", status: 422, key: "problem.unexpected" },
];

for (const { code, status, key } of CASES) {
  test(`${status} ${code} reads as ${key}, which the dictionary has`, () => {
    const message = explain(new Problem({ code, status }));
    assert.equal(message.key, key);
    assert.ok(key in dictionary("en"));
  });
}

test("a wait says how long", () => {
  const message = explain(new Problem({ code: "rate_limited", status: 429, retryAfter: 12 }));
  assert.deepEqual([message.key, message.params], ["problem.wait", { count: 12 }]);
});

test("a reference is shown where only support can help", () => {
  assert.equal(explain(new Problem({ code: "x", status: 500, requestId: "r1" })).reference, "r1");
  assert.equal(explain(new Problem({ code: "already_connected", status: 409, requestId: "r1" })).reference, null);
});

test("only answers that may have taken effect are asked again", () => {
  const transient = [0, 429, 500, 502, 503].map((status) => new Problem({ code: "c", status }).isTransient);
  assert.deepEqual(transient, [true, true, true, true, true]);
  assert.equal(new Problem({ code: "exchange_in_progress", status: 409 }).isTransient, true);
  assert.equal(new Problem({ code: "conflict", status: 409 }).isTransient, true);
  const final = [400, 403, 404, 409].map((status) => new Problem({ code: "c", status }).isTransient);
  assert.deepEqual(final, [false, false, false, false]);
});
