/**
 * Files: what the page consists of, as the tests see it.
 */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import path from "node:path";

export const WEB = fileURLToPath(new URL("../../../web/", import.meta.url));

/** Paths of all files of the page, relative to web/, `/`-separated. */
export const FILES = readdirSync(WEB, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => path.relative(WEB, path.join(entry.parentPath ?? entry.path, entry.name)).split(path.sep).join("/"))
  .sort();

/** Our own modules. */
export const MODULES = FILES.filter((file) => file.endsWith(".js") && !file.startsWith("vendor/"));

/** @param {string} file relative to web/ */
export const read = (file) => readFileSync(path.join(WEB, file), "utf8");

/** @param {string} file relative to web/ */
export const readBytes = (file) => readFileSync(path.join(WEB, file));

/** @param {string} locale @returns {Record<string, string>} */
export const dictionary = (locale) => JSON.parse(read(`locales/${locale}.json`));
