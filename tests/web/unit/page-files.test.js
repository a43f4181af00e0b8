import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { FILES, MODULES, read, readBytes } from "./files.js";

const WEIGHT_LIMIT = 60_000;
const html = read("index.html");

test("our own files weigh at most 60 kB compressed as the page serves them, with the larger dictionary", () => {
  const visitors = FILES.filter((file) => /\.(js|css|html|svg)$/.test(file) && !file.startsWith("vendor/"));
  const weight = (/** @type {string} */ file) => gzipSync(readBytes(file), { level: 9 }).length;
  const dictionaries = FILES.filter((file) => file.startsWith("locales/")).map(weight);
  const total = visitors.map(weight).reduce((a, b) => a + b, 0) + Math.max(...dictionaries);
  assert.ok(total <= WEIGHT_LIMIT, `${total} bytes`);
});

test("index.html has no inline script, style or handler", () => {
  for (const [tag] of html.matchAll(/<script\b[^>]*>/g)) assert.match(tag, /\ssrc="\/assets\//);
  assert.doesNotMatch(html, /<style\b|\sstyle=|\son[a-z]+=|javascript:/i);
});

test("everything that index.html refers to exists and is served under /assets/", () => {
  const references = [...html.matchAll(/\s(?:src|href)="([^"]+)"/g)].map(([, reference]) => reference);
  assert.ok(references.length > 5);
  for (const reference of references.filter((r) => r !== "/config.json")) {
    assert.match(reference, /^\/assets\//);
    assert.ok(FILES.includes(reference.slice("/assets/".length)), reference);
  }
});

test("every module is fetched at once, not level by level", () => {
  const preloaded = [...html.matchAll(/modulepreload" href="\/assets\/([^"]+)"/g)].map(([, file]) => file);
  const modules = FILES.filter((file) => file.endsWith(".js") && file !== "app.js");
  assert.deepEqual(preloaded.sort(), modules.sort());
});

test("modules import only modules of the page, by relative path", () => {
  for (const file of MODULES) {
    for (const [, target] of read(file).matchAll(/\bfrom "([^"]+)"|\bimport\("([^"]+)"\)\s*;/g)) {
      const resolved = new URL(target, `file:///${file}`).pathname.slice(1);
      assert.ok(target.startsWith(".") && FILES.includes(resolved), `${file}: ${target}`);
    }
  }
});

test("no module evaluates text, writes HTML or keeps tokens in storage", () => {
  for (const file of MODULES) {
    assert.doesNotMatch(read(file), /\beval\(|new Function|innerHTML|outerHTML|insertAdjacentHTML|document\.write|dangerously/, file);
    assert.doesNotMatch(read(file), /localStorage|document\.cookie|indexedDB/, file);
  }
});

test("no source file is longer than 400 lines", () => {
  for (const file of FILES.filter((f) => /\.(js|css|html|ts)$/.test(f) && !f.startsWith("vendor/"))) {
    assert.ok(read(file).split("\n").length <= 401, file);
  }
});

test("vendored modules equal the packages of package.json, byte for byte", () => {
  const pinned = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")).devDependencies;
  const rows = read("vendor/VENDORED.txt").split("\n").filter((line) => /[0-9a-f]{64}$/.test(line)).map((line) => line.split(/\s+/));
  const vendored = FILES.filter((file) => /^vendor\/.*\.js$/.test(file)).map((file) => file.slice("vendor/".length));
  assert.deepEqual(rows.map(([file]) => file).sort(), vendored.sort());
  for (const [file, name, version, , inPackage, sha256] of rows) {
    const ours = readBytes(`vendor/${file}`);
    assert.equal(createHash("sha256").update(ours).digest("hex"), sha256, file);
    assert.equal(pinned[name], version, name);
    assert.ok(ours.equals(readFileSync(new URL(`../node_modules/${name}/${inPackage}`, import.meta.url))), file);
  }
});

test("no registry host stands in the lock file", () => {
  const lock = readFileSync(new URL("../package-lock.json", import.meta.url), "utf8");
  assert.doesNotMatch(lock, /"resolved":/);
});
