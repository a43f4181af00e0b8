import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");

/** Rows of the table: part of the guide, box, file and name of its test. An empty part is that of the row above. */
const ROWS = [...readme.matchAll(/^\| ([a-z -]*) ?\| ([^|]+) \| (?:(unit)\/)?([a-z-]+): \*([^|]+)\* \|$/gm)].map(
  ([, part, box, folder, file, name]) => ({ part: part.trim(), box, file: `${folder ?? "browser"}/${file}.test.js`, name }),
);

test("the table has every box of the guide's seven lists, each with a test of its own", () => {
  /** @type {Record<string, number>} */
  const boxes = {};
  let current = "";
  for (const { part } of ROWS) {
    current = part || current;
    boxes[current] = (boxes[current] ?? 0) + 1;
  }
  assert.deepEqual(boxes, {
    "initial connection": 5,
    relinking: 4,
    deletion: 4,
    "error handling": 4,
    "single integration": 4,
    "multi-integration": 4,
    "category switching": 3,
  });
  assert.equal(new Set(ROWS.map(({ name }) => name)).size, 28);
});

test("every test that the table names exists, under exactly that name", () => {
  for (const { box, file, name } of ROWS) {
    const source = readFileSync(new URL(`../${file}`, import.meta.url), "utf8");
    assert.ok(source.includes(`test(${JSON.stringify(name)}, async`), `${box}: ${file} has no test "${name}"`);
  }
});
