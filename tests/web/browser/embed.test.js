import assert from "node:assert/strict";
import { test } from "node:test";
import { api, newOrganization, person, stack, tokenOf, until } from "./harness.js";
import { connect } from "./provider.js";

const HOST = "http://127.0.0.1:8098";

/**
 * A page of the host product that shows ours in a frame and keeps what it is told.
 * @param {import("node:test").TestContext} t
 * @param {string} origin
 */
async function host(t, origin) {
  const { page } = await person(t, { config: { host_origins: [HOST] } });
  await page.route(stack.page, async (route) => {
    const response = await route.fetch();
    const { "content-security-policy": policy, "x-frame-options": _, ...headers } = response.headers();
    await route.fulfill({ response, headers: { ...headers, "content-security-policy": policy.replace(/frame-ancestors [^;]+/, `frame-ancestors ${origin}`) } });
  });
  const body = `<!doctype html><title>Host</title><iframe src="${stack.page}" width="1000" height="800"></iframe>
    <script>window.told = []; addEventListener("message", (e) => told.push({ origin: e.origin, ...e.data }));</script>`;
  await page.route(`${origin}/`, (route) => route.fulfill({ contentType: "text/html", body }));
  await page.goto(`${origin}/`);
  const frame = page.frameLocator("iframe");
  /** @param {string} token */
  const give = (token) =>
    page.evaluate(([token, target]) => document.querySelector("iframe")?.contentWindow?.postMessage({ type: "tether:access-token", access_token: token }, target), [token, new URL(stack.page).origin]);
  /** @returns {Promise<any[]>} */
  const told = () => page.evaluate(() => /** @type {any} */ (window).told);
  return { page, frame, give, told };
}

test("the host hands over a token and is told what was connected and disconnected", async (t) => {
  const organization = newOrganization();
  const { page, frame, give, told } = await host(t, HOST);
  await until(async () => (await told()).some((m) => m.type === "tether:ready"), "the page is ready");
  await give(await tokenOf(organization));
  await frame.locator(".empty").waitFor();
  assert.equal(await frame.locator("#sign-out").count(), 0);
  const inside = /** @type {any} */ (page.frames()[1]);
  await connect(inside);
  await until(async () => (await told()).some((m) => m.type === "tether:connected" && m.category === "hris"), "the host was told");
  const { body } = await api(organization, "GET", "/v1/linked-accounts");
  const connected = (await told()).find((m) => m.type === "tether:connected");
  assert.equal(connected.id, body.results[0].id);
  assert.equal(connected.origin, new URL(stack.page).origin);
  await frame.getByRole("button", { name: "Delete integration" }).click();
  await frame.getByRole("dialog").getByRole("button", { name: "Delete integration" }).click();
  await until(async () => (await told()).some((m) => m.type === "tether:disconnected" && m.id === connected.id), "the host was told");
});

test("a host that hands over nothing is a sentence, and its token still counts when it comes", async (t) => {
  const { page, frame, give, told } = await host(t, HOST);
  await page.clock.install();
  await page.reload();
  await until(async () => (await told()).some((m) => m.type === "tether:ready"), "the page is ready");
  await page.clock.runFor(16_000);
  await frame.getByText("Your sign-in has not arrived here yet.").waitFor();
  await give(await tokenOf(newOrganization()));
  await frame.locator(".empty").waitFor();
});

test("a refused token is asked for again", async (t) => {
  const { give, told, frame } = await host(t, HOST);
  await until(async () => (await told()).some((m) => m.type === "tether:ready"), "the page is ready");
  await give("stale");
  await until(async () => (await told()).some((m) => m.type === "tether:access-token-wanted"), "the page asks");
  await give(await tokenOf(newOrganization()));
  await frame.locator(".empty").waitFor();
});

test("a page that is not among the host origins is told nothing and heard by nobody", async (t) => {
  const { page, give, told, frame } = await host(t, "http://127.0.0.1:8099");
  await frame.locator(".skeleton").waitFor();
  /** @type {string[]} */
  const calls = [];
  page.on("request", (request) => calls.push(new URL(request.url()).pathname));
  const inside = /** @type {any} */ (page.frames()[1]);
  await inside.evaluate(() => window.addEventListener("message", (event) => document.body.setAttribute("data-heard", event.data.type)));
  await give(await tokenOf(newOrganization()));
  // The page's own listener came first: what it would do with the token, it has begun.
  await inside.locator("body[data-heard='tether:access-token']").waitFor();
  assert.deepEqual(calls.filter((path) => path.startsWith("/v1/")), []);
  assert.deepEqual(await told(), []);
});
