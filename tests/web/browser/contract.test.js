import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { accountsOf, api, newOrganization, person, stack, until } from "./harness.js";
import { choose, close, dialogOf, enter, finish, newCredential } from "./provider.js";

const packaged = (/** @type {string} */ path) => new URL(`../node_modules/${path}`, import.meta.url);
const CDN = "https://cdn.merge.dev/initialize.js";

/** Where the test page finds its modules, served beside the page itself. @type {Record<string, URL>} */
const FILES = {
  "/contract/react.js": packaged("react/umd/react.production.min.js"),
  "/contract/react-dom.js": packaged("react-dom/umd/react-dom.production.min.js"),
  "/contract/react-merge-link.js": packaged("@mergeapi/react-merge-link/dist/index.esm.js"),
};

/** The hook in its usual form. The inert tag makes the package find its script already there. */
const PAGE = `<!doctype html><title>Contract</title><div id="root"></div>
<script src="${new URL("/initialize.js", stack.merge).href}"></script>
<script type="text/plain" src="${CDN}"></script>
<script src="/contract/react.js"></script><script src="/contract/react-dom.js"></script>
<script type="importmap">{"imports": {"react": "data:text/javascript,export const {useState, useEffect, useCallback} = window.React"}}</script>
<script type="module">
  import { useMergeLink } from "/contract/react-merge-link.js";
  const { createElement, useState, useCallback } = window.React;
  window.seen = [];
  function App() {
    const [linkToken, setLinkToken] = useState(undefined);
    window.give = setLinkToken;
    const onSuccess = useCallback((token) => window.seen.push(token), []);
    const onExit = useCallback((...given) => window.seen.push("exit " + given.length), []);
    const tenantConfig = { apiBaseURL: "${new URL(stack.merge).origin}" };
    const { open, isReady } = useMergeLink({ linkToken, onSuccess, onExit, tenantConfig });
    return createElement("button", { disabled: !isReady, onClick: () => open() }, "Open");
  }
  window.ReactDOM.createRoot(document.getElementById("root")).render(createElement(App));
</script>`;

test("Merge's own React package, unmodified, drives the dialog that our page was tested with", async (t) => {
  const organization = newOrganization();
  const { page } = await person(t);
  /** @type {string[]} */
  const outside = [];
  page.on("request", (request) => {
    if (request.url().startsWith(CDN)) outside.push(request.url());
  });
  await page.route("**/contract/", (route) => route.fulfill({ contentType: "text/html", body: PAGE }));
  await page.route(/\/contract\/[^/]+\.js$/, (route) =>
    route.fulfill({ contentType: "text/javascript", body: readFileSync(FILES[new URL(route.request().url()).pathname], "utf8") }),
  );
  await page.goto(`${stack.page}contract/`);
  const open = page.getByRole("button", { name: "Open" });
  await open.waitFor();
  assert.equal(await open.isDisabled(), true);
  const { status, body } = await api(organization, "POST", "/v1/link-tokens", { category: "hris" });
  assert.equal(status, 201);
  await page.evaluate((token) => /** @type {any} */ (window).give(token), body.link_token);

  await open.click();
  await dialogOf(page).waitFor();
  await close(page);
  const seen = () => page.evaluate(() => /** @type {any} */ (window).seen);
  assert.deepEqual(await seen(), ["exit 0"]);

  await open.click();
  await choose(page, "bamboohr");
  await enter(page, newCredential());
  await until(async () => (await seen()).length === 2, "onSuccess came while the dialog is open");
  await dialogOf(page).waitFor();
  await finish(page);
  const [, publicToken, exit] = await seen();
  assert.equal(exit, "exit 0");
  const exchanged = await api(organization, "POST", "/v1/linked-accounts", { public_token: publicToken, category: "hris" });
  // 200 when the provider's own message was faster than this call.
  assert.ok([200, 201].includes(exchanged.status), `${exchanged.status}`);
  assert.deepEqual((await accountsOf(organization)).map((a) => a.id), [body.id]);
  assert.deepEqual(outside, []);
});
