/**
 * Forbidden words: what nobody may perceive on the connect page in any state or language (promise P9). Whole words,
 * any case, with the plurals and compounds that would give the same away.
 */
const WORDS = [
  "merge\\w*",
  "(access|account|public|link)?[-\\s_]?tokens?",
  "(account|zugangs)?-?token\\w*",
  "apis?",
  "webhooks?",
  "linked[-\\s_]accounts?",
  "verkn(ü|ue)pfte[sn]? konto",
  "verkn(ü|ue)pften? konten",
  "oauth\\d*",
  "json",
  "endpoints?",
  "end[-_]user",
  "undefined",
  "null",
  "nan",
  "\\[object object\\]",
];

const PATTERN = new RegExp(`(?<![\\p{L}\\p{N}_])(${WORDS.join("|")})(?![\\p{L}\\p{N}_])`, "giu");

/**
 * @param {string} text
 * @returns {string[]} the forbidden words in it
 */
export const forbiddenWords = (text) => text.match(PATTERN) ?? [];
