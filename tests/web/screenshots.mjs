/**
 * Screenshots of the page's states (all, or those named) into the directory given as argument: light, dark, phone,
 * at 200 % zoom and in German, against the stack of TETHER_READY_FILE. With `--readme` the pictures of the README.
 */
import { mkdirSync } from "node:fs";
import path from "node:path";
import { GALLERY } from "./browser/gallery.js";
import { configure, launch } from "./browser/live.js";

/** @typedef {{colorScheme: "light" | "dark", viewport: {width: number, height: number}, deviceScaleFactor?: number, locale?: string}} View */

const WINDOW = { width: 1200, height: 900 };
const PHONE = { width: 360, height: 760 };

/** @type {Record<string, View>} */
const VIEWS = {
  light: { colorScheme: "light", viewport: WINDOW },
  dark: { colorScheme: "dark", viewport: WINDOW },
  phone: { colorScheme: "light", viewport: PHONE, deviceScaleFactor: 2 },
  zoom: { colorScheme: "light", viewport: { width: 600, height: 450 }, deviceScaleFactor: 2 },
  german: { colorScheme: "light", viewport: WINDOW, locale: "de" },
};

/** @type {{file: string, state: string, view: View}[]} */
const README = [
  { file: "manage", state: "page", view: VIEWS.light },
  { file: "app-centre", state: "app centre", view: VIEWS.dark },
  { file: "phone", state: "page", view: { ...VIEWS.phone, deviceScaleFactor: 1.5 } },
];

const forReadme = process.argv.includes("--readme");
const [directory, ...wanted] = process.argv.slice(2).filter((argument) => argument !== "--readme");
if (!directory || wanted.some((state) => !(state in GALLERY))) {
  console.error(`usage: node screenshots.mjs [--readme] DIRECTORY [STATE...]\nstates: ${Object.keys(GALLERY).join(", ")}`);
  process.exit(1);
}
mkdirSync(directory, { recursive: true });
const browser = await launch();

/** @param {string} state @param {View} view @param {string} file */
async function take(state, { locale = "en", ...view }, file) {
  const context = await browser.newContext({ ...view, locale: "en-US", timezoneId: "UTC", reducedMotion: "reduce" });
  const page = await context.newPage();
  const { config, reach } = GALLERY[state];
  await configure(page, { ...config, locale });
  await reach(page);
  // The logos, where there are any; they are lazy, and a picture without them is one too.
  await page.waitForLoadState("networkidle", { timeout: 1_500 }).catch(() => null);
  await page.screenshot({ path: path.join(directory, `${file}.png`), fullPage: !forReadme });
  console.log(`${file}.png`);
  await context.close();
}

if (forReadme) {
  for (const { file, state, view } of README) await take(state, view, file);
} else {
  for (const state of wanted.length > 0 ? wanted : Object.keys(GALLERY)) {
    for (const [name, view] of Object.entries(VIEWS)) await take(state, view, `${state.replace(/\W+/g, "-")}-${name}`);
  }
}
await browser.close();
