import assert from "node:assert/strict";
import { test } from "node:test";
import { applyTheme, contrast, parseColour, readable } from "../../../web/theme.js";

/** @param {string} accent */
function variables(accent) {
  /** @type {Record<string, string>} */
  const set = {};
  const style = { setProperty: (/** @type {string} */ name, /** @type {string} */ value) => (set[name] = value) };
  applyTheme({ name: "x", accent }, /** @type {any} */ ({ style }));
  return set;
}

const rgb = (/** @type {string} */ css) => /** @type {[number, number, number]} */ ((css.match(/\d+/g) ?? []).map(Number));

test("colours are read in both short and long form, and nothing else is", () => {
  assert.deepEqual(parseColour("#fa0"), [255, 170, 0]);
  assert.deepEqual(parseColour("#0a141e"), [10, 20, 30]);
  assert.equal(parseColour("red; } body { display: none"), null);
});

test("contrast is WCAG's", () => {
  assert.equal(contrast([0, 0, 0], [255, 255, 255]), 21);
  assert.equal(Math.round(contrast([119, 119, 119], [255, 255, 255]) * 100) / 100, 4.48);
});

for (const accent of ["#ffd400", "#3457d5", "#0f766e", "#000000", "#ffffff", "#e6405c"]) {
  test(`${accent} is made readable on both grounds and under its own text`, () => {
    const set = variables(accent);
    assert.ok(contrast(rgb(set["--accent-light"]), [255, 255, 255]) >= 4.5);
    assert.ok(contrast(rgb(set["--accent-dark"]), [31, 34, 38]) >= 4.5);
    assert.ok(contrast(rgb(set["--accent-light"]), rgb(set["--on-accent-light"])) >= 4.5);
    assert.ok(contrast(rgb(set["--accent-dark"]), rgb(set["--on-accent-dark"])) >= 4.5);
  });
}

test("an accent that is readable already stays as the brand has it", () => {
  assert.deepEqual(readable([20, 60, 120], [255, 255, 255], [0, 0, 0], 4.5), [20, 60, 120]);
});

test("an unusable accent leaves the page's own", () => {
  assert.deepEqual(variables("url(x)"), {});
});
