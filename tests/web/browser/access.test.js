import assert from "node:assert/strict";
import { test } from "node:test";
import { assertAccessible } from "./axe.js";
import { GALLERY } from "./gallery.js";
import { person, signIn } from "./harness.js";
import { account, everyHealth, scriptReads } from "./states.js";

/** 200 % zoom of a window of 1200 px, and the narrowest phone that WCAG asks for. */
const NARROW = [{ width: 600, height: 450 }, { width: 320, height: 640 }];

/** How much the page is wider than its window. @param {import("playwright-core").Page} page */
const overflow = (page) => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

for (const [name, { config, reach }] of Object.entries(GALLERY)) {
  test(`${name}: axe finds nothing, light and dark, and nothing is cut off at 200 % or on a phone`, async (t) => {
    const { page } = await person(t, { config, motion: "reduce" });
    await reach(page);
    await assertAccessible(page, `${name}, light`);
    await page.emulateMedia({ colorScheme: "dark" });
    await assertAccessible(page, `${name}, dark`);
    for (const viewport of NARROW) {
      await page.setViewportSize(viewport);
      assert.equal(await overflow(page), 0, `${name} is cut off at ${viewport.width} px`);
    }
  });
}

test("axe is awake: a faint, nameless button would be found", async (t) => {
  const { page } = await person(t);
  await GALLERY.welcome.reach(page);
  await page.evaluate(() => {
    const faint = document.createElement("button");
    document.querySelector("main")?.append(faint);
    const text = document.createElement("p");
    text.textContent = "faint";
    text.style.color = "#ddd";
    document.querySelector("main")?.append(text);
  });
  await assert.rejects(assertAccessible(page, "broken on purpose"), /button-name[^]*color-contrast/);
});

test("at 200 % zoom and on a phone nothing is cut off sideways", async (t) => {
  for (const viewport of NARROW) {
    const { page } = await person(t, { viewport });
    await scriptReads(page, { accounts: everyHealth });
    await signIn(page);
    await page.locator(".account-disconnected").waitFor();
    await page.locator(".details-toggle").nth(1).click();
    await page.locator(".details .kinds").waitFor();
    assert.equal(await overflow(page), 0, `${viewport.width} px`);
    await assertAccessible(page, `${viewport.width} px`);
  }
});

test("every target is at least 24 px high and wide", async (t) => {
  const { page } = await person(t, { viewport: { width: 390, height: 844 } });
  await scriptReads(page, { accounts: () => [account({ is_duplicate: true })] });
  await signIn(page);
  await page.locator(".details-toggle").click();
  await page.locator("[id^=rename-]").waitFor();
  const small = await page.evaluate(() =>
    [...document.querySelectorAll("button, input")]
      .map((element) => ({ text: element.textContent, box: element.getBoundingClientRect() }))
      .filter(({ box }) => box.width < 24 || box.height < 24)
      .map(({ text }) => text),
  );
  assert.deepEqual(small, []);
});

test("with reduced motion nothing moves", async (t) => {
  const { page } = await person(t, { motion: "reduce" });
  await page.route(/\/v1\/linked-accounts$/, () => {});
  await signIn(page);
  await page.locator(".skeleton .bone").first().waitFor();
  assert.equal(await page.evaluate(() => document.getAnimations().length), 0);
});

test("the state is told by icon, word and time, never by colour alone", async (t) => {
  const { page } = await person(t);
  await scriptReads(page, { accounts: everyHealth });
  await signIn(page);
  const badges = page.locator(".state");
  await badges.last().waitFor();
  for (const badge of await badges.all()) {
    assert.equal(await badge.locator("svg").count(), 1);
    assert.match((await badge.locator(".state-word").textContent()) ?? "", /\S/);
    assert.match((await badge.locator("time").textContent()) ?? "", /\S/);
  }
});
