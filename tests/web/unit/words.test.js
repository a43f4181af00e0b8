import assert from "node:assert/strict";
import { test } from "node:test";
import { forbiddenWords } from "../words.js";

for (const text of ["Powered by Merge", "Your API key", "linked account", "Linked_Accounts", "a webhook", "access token", "Zugangstoken", "undefined records", "your JSON"]) {
  test(`"${text}" is forbidden`, () => assert.equal(forbiddenWords(text).length, 1));
}

for (const text of ["Emergency contacts", "capital", "botokenic", "connected account", "nullify", "Nantes"]) {
  test(`"${text}" is allowed`, () => assert.deepEqual(forbiddenWords(text), []));
}
