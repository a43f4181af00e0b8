import assert from "node:assert/strict";
import { test } from "node:test";
import { newOrganization, person, signIn, stack } from "./harness.js";
import { GALLERY } from "./gallery.js";
import { connect, newCredential } from "./provider.js";
import { perceive } from "./perceive.js";
import { HOSTILE, hostileAccount, scriptProblem, scriptReads } from "./states.js";

test("checklist 44: the policy names no inline script or style, no eval, and no frame that is not allowed", async () => {
  const answer = await fetch(stack.page);
  const policy = answer.headers.get("content-security-policy") ?? "";
  assert.doesNotMatch(policy, /unsafe-inline|unsafe-eval|unsafe-hashes/);
  for (const directive of ["default-src 'none'", "base-uri 'none'", "frame-ancestors", "script-src 'self'", "style-src 'self'"]) {
    assert.ok(policy.includes(directive), directive);
  }
  assert.equal(answer.headers.get("x-content-type-options"), "nosniff");
});

test("checklist 44: an injected inline script, handler or style does not take effect", async (t) => {
  const { page } = await person(t);
  await signIn(page, newOrganization());
  const effects = await page.evaluate(async () => {
    // Each attempt is reported as blocked; only then is it certain that it would have had its effect by now.
    const blocked = new Promise((resolve) => {
      const wanted = new Set(["script-src-elem", "script-src-attr", "style-src-attr"]);
      document.addEventListener("securitypolicyviolation", (event) => {
        wanted.delete(event.effectiveDirective);
        if (wanted.size === 0) resolve(null);
      });
    });
    const script = document.createElement("script");
    script.textContent = "window.injected = 'script'";
    document.body.append(script);
    const markup = document.createElement("div");
    markup.innerHTML = `<img src="data:," onerror="window.injected = 'handler'"><p id="styled" style="color: rgb(1, 2, 3)">x</p>`;
    document.body.append(markup);
    await blocked;
    return { injected: /** @type {any} */ (window).injected ?? null, colour: getComputedStyle(/** @type {Element} */ (document.getElementById("styled"))).color };
  });
  assert.equal(effects.injected, null);
  assert.notEqual(effects.colour, "rgb(1, 2, 3)");
});

test("what providers and customers name is text on the page: no markup, script or turned direction of theirs", async (t) => {
  const { page } = await person(t, { config: { mode: "app_centre", categories: ["hris"] } });
  const twin = { ...hostileAccount(), id: "00000000-0000-4000-8000-000000000002" };
  const happened = [{ id: HOSTILE, at: twin.created_at, type: "issue_opened", actor: HOSTILE, model_id: HOSTILE, detail: { kind: HOSTILE, to: HOSTILE } }];
  const kind = { model_id: HOSTILE, model_name: HOSTILE, status: HOSTILE, last_synced_at: null, next_sync_start: null, records: 1 };
  await scriptReads(page, {
    accounts: () => [hostileAccount(), twin],
    progress: () => ({ results: [kind], sync_complete: false }),
    events: () => /** @type {HistoryEvent[]} */ (happened),
    duplicates: () => [twin],
  });
  const system = { name: HOSTILE, slug: HOSTILE, categories: ["hris"], image: "javascript:0", square_image: null, color: "red;}*{" };
  await page.route(/\/v1\/integrations/, (route) => route.fulfill({ json: { results: [system] } }));
  await signIn(page);
  const row = page.locator(".account").first();
  await row.locator(".details-toggle").click();
  await row.locator("[id^=history-]").click();
  await row.locator(".history li").first().waitFor();
  await row.getByRole("button", { name: "Review" }).click();
  await row.locator(".set-member").first().waitFor();
  await page.locator(".system-name").first().waitFor();
  await row.locator(".button-danger").click();
  await page.locator("#confirm-title").waitFor();

  const perceived = (await perceive(page)).map(({ text }) => text);
  const shown = HOSTILE.replace(/[\u202e\u2066]/g, "");
  assert.ok(perceived.filter((text) => text.includes(shown)).length >= 5, "it is shown as it is written");
  assert.deepEqual(perceived.filter((text) => /[\u202a-\u202e\u2066-\u2069]/.test(text)), []);
  const found = await page.evaluate(() => ({
    injected: /** @type {any} */ (window).injected ?? null,
    elements: document.querySelectorAll("#app script, #app [onerror], #app [onclick], #app iframe, #app img[src=x]").length,
    hidden: getComputedStyle(document.body).display,
  }));
  assert.deepEqual(found, { injected: null, elements: 0, hidden: "block" });
});

test("no token rests in storage, in the address or in the console, after connecting as well", async (t) => {
  const { page, console } = await person(t);
  /** @type {string[]} */
  const secrets = [];
  page.on("response", async (response) => {
    const path = new URL(response.url()).pathname;
    if (path === "/token") {
      const { access_token: access, refresh_token: refresh, id_token: id } = await response.json();
      secrets.push(...[access, refresh, id].filter(Boolean));
    }
    if (path === "/v1/link-tokens") secrets.push((await response.json()).link_token);
  });
  page.on("request", (request) => {
    const body = request.method() === "POST" && request.url().endsWith("/v1/linked-accounts") ? request.postDataJSON() : null;
    if (body) secrets.push(body.public_token);
  });
  const credential = newCredential();
  await signIn(page, newOrganization());
  await connect(page, { credential });
  await page.locator(".account").waitFor();
  secrets.push(credential);
  assert.ok(secrets.length >= 4, "the test saw the tokens");
  const kept = await page.evaluate(() => JSON.stringify([{ ...sessionStorage }, { ...localStorage }, document.cookie, location.href, history.state, document.body.innerHTML]));
  for (const secret of secrets) {
    assert.ok(!kept.includes(secret), "a token rests on the page");
    assert.ok(!console.some((line) => line.includes(secret)), "a token stands in the console");
  }
});

test("checklist 44: the page works under its own policy: nothing is reported as blocked", async (t) => {
  const { page } = await person(t);
  await page.addInitScript(() => {
    /** @type {any} */ (window).blocked = [];
    document.addEventListener("securitypolicyviolation", (event) => /** @type {any} */ (window).blocked.push(`${event.violatedDirective} ${event.blockedURI}`));
  });
  await signIn(page, newOrganization());
  await connect(page);
  await page.locator(".account").waitFor();
  assert.deepEqual(await page.evaluate(() => /** @type {any} */ (window).blocked), []);
});

test("the first paint waits for no third party: with all of them silent, the page is there", async (t) => {
  const { page } = await person(t);
  /** @type {string[]} */
  const asked = [];
  await page.route((url) => url.origin !== new URL(stack.page).origin, (route) => {
    asked.push(route.request().url());
  });
  await page.goto(stack.page, { waitUntil: "commit" });
  await page.locator("#sign-in").waitFor();
  assert.deepEqual(asked, [], "nobody else was even asked");
});

test("the dialog's script is asked for when somebody connects, not before", async (t) => {
  const { page } = await person(t);
  /** @type {string[]} */
  const scripts = [];
  page.on("request", (request) => {
    if (request.url().endsWith("/initialize.js")) scripts.push(request.url());
  });
  await signIn(page, newOrganization());
  await page.locator(".empty").waitFor();
  assert.deepEqual(scripts, []);
  await page.locator("#connect-hris").click();
  await page.getByTestId("merge-link-dialog").waitFor();
  assert.equal(scripts.length, 1);
});

test("on paper there is no person, no reference, no history and nothing to press", async (t) => {
  const { page } = await person(t);
  await GALLERY.details.reach(page);
  await scriptProblem(page, /\/v1\/link-tokens$/, "POST", { status: 500, code: "internal" });
  await page.locator("#connect-hris").click();
  await page.locator("#notice-connect-hris").getByText("Reference: req-7f3a").waitFor();
  await page.emulateMedia({ media: "print" });
  const paper = await page.locator("body").innerText();
  assert.match(paper, /BambooHR/);
  assert.doesNotMatch(paper, /Acme|Sign out|req-7f3a|Reference|History|Delete integration|Connect HRIS/);
  assert.equal(await page.locator("button:visible, input:visible").count(), 0);
});

test("our own files reach the browser compressed, 60 kB at most", async (t) => {
  const { page } = await person(t);
  /** @type {Promise<number>[]} */
  const sizes = [];
  page.on("requestfinished", (request) => {
    const { pathname, origin } = new URL(request.url());
    if (origin === new URL(stack.page).origin && !pathname.includes("/vendor/") && !pathname.startsWith("/v1/")) {
      sizes.push(request.sizes().then(({ responseBodySize }) => responseBodySize));
    }
  });
  await page.goto(stack.page);
  await page.locator("#sign-in").waitFor();
  const total = (await Promise.all(sizes)).reduce((a, b) => a + b, 0);
  assert.ok(total > 10_000 && total <= 60_000, `${total} bytes`);
});
