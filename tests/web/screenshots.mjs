/**
 * Screenshots of the page's states (all, or those named) into the directory given as argument: light, dark and phone,
 * against the stack of TETHER_READY_FILE; whole pages, or with --window what fits a window. The README's pictures are
 * `node screenshots.mjs --window ../../docs page "app centre"`.
 */
import { mkdirSync } from "node:fs";
import path from "node:path";
import { GALLERY } from "./browser/gallery.js";
import { configure, launch } from "./browser/live.js";

const fullPage = !process.argv.includes("--window");
const [directory, ...wanted] = process.argv.slice(2).filter((argument) => argument !== "--window");
if (!directory || wanted.some((state) => !(state in GALLERY))) {
  console.error(`usage: node screenshots.mjs [--window] DIRECTORY [STATE...]\nstates: ${Object.keys(GALLERY).join(", ")}`);
  process.exit(1);
}
mkdirSync(directory, { recursive: true });

const VIEWS = /** @type {const} */ ({
  light: { colorScheme: "light", viewport: { width: 1200, height: 900 } },
  dark: { colorScheme: "dark", viewport: { width: 1200, height: 900 } },
  phone: { colorScheme: "light", viewport: { width: 390, height: 844 }, deviceScaleFactor: 2 },
});

const browser = await launch();
for (const [state, { config, reach }] of Object.entries(GALLERY)) {
  if (wanted.length > 0 && !wanted.includes(state)) continue;
  for (const [view, options] of Object.entries(VIEWS)) {
    const context = await browser.newContext({ ...options, locale: "en-US", timezoneId: "UTC", reducedMotion: "reduce" });
    const page = await context.newPage();
    await configure(page, config ?? {});
    await reach(page);
    const file = path.join(directory, `${state.replace(/\W+/g, "-")}-${view}.png`);
    await page.waitForLoadState("networkidle", { timeout: 1_500 }).catch(() => null);
    await page.screenshot({ path: file, fullPage });
    console.log(file);
    await context.close();
  }
}
await browser.close();
