import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { createApi } from "../../../web/api.js";
import { Problem } from "../../../web/problems.js";

/** @type {(request: import("node:http").IncomingMessage, body: string) => {status?: number, headers?: Record<string, string>, body?: unknown}} */
let answer = () => ({});
/** @type {{method?: string, url?: string, authorization?: string, body: string}[]} */
let requests = [];
let base = "";

const server = createServer(async (request, response) => {
  let body = "";
  for await (const chunk of request) body += chunk;
  requests.push({ method: request.method, url: request.url, authorization: request.headers.authorization, body });
  const { status = 200, headers = {}, body: sent } = answer(request, body);
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(typeof sent === "string" ? sent : sent === undefined ? "" : JSON.stringify(sent));
});

before(() => new Promise((resolve) => server.listen(0, "127.0.0.1", () => {
  base = `http://127.0.0.1:${/** @type {import("node:net").AddressInfo} */ (server.address()).port}`;
  resolve(null);
})));
after(() => server.close());

/** @param {Partial<import("../../../web/api.js").Session>} [session] */
function client(session) {
  requests = [];
  return createApi(base, { accessToken: async () => "first", renew: async () => "second", ...session });
}

/** @param {Promise<unknown>} promise @returns {Promise<Problem>} */
async function problemOf(promise) {
  const thrown = await promise.then(() => assert.fail("no problem"), (error) => error);
  assert.ok(thrown instanceof Problem);
  return thrown;
}

test("a list is read to its last page", async () => {
  answer = (request) => ({
    body: request.url?.includes("cursor=a%2Fb") ? { results: [{ id: 2 }], next_cursor: null } : { results: [{ id: 1 }], next_cursor: "a/b" },
  });
  assert.deepEqual(await client().listAccounts(), [{ id: 1 }, { id: 2 }]);
});

test("no name turns the direction of the sentence around it", async () => {
  answer = () => ({ body: { id: "a", display_name: "Pay\u202eLLOR\u2066 \u05e9\u05db\u05e8", integration: { name: "\u200f<b>\u061c" } } });
  assert.deepEqual(await client().getAccount("a"), { id: "a", display_name: "PayLLOR \u05e9\u05db\u05e8", integration: { name: "<b>" } });
});

test("a 401 is asked again with a renewed token, once", async () => {
  answer = (request) => (request.headers.authorization === "Bearer second" ? { body: { id: "a" } } : { status: 401, body: { message: "Unauthorized" } });
  await client().getAccount("a");
  assert.deepEqual(requests.map((r) => r.authorization), ["Bearer first", "Bearer second"]);
  answer = () => ({ status: 401, body: { message: "Unauthorized" } });
  assert.equal((await problemOf(client().getAccount("a"))).code, "http_401");
  assert.equal(requests.length, 2);
});

test("a problem keeps code, status, reference and wait", async () => {
  answer = () => ({ status: 429, headers: { "retry-after": "7" }, body: { code: "rate_limited", request_id: "r-1", detail: "x" } });
  const { code, status, requestId, retryAfter } = await problemOf(client().refresh("a"));
  assert.deepEqual({ code, status, requestId, retryAfter }, { code: "rate_limited", status: 429, requestId: "r-1", retryAfter: 7 });
});

test("the edge's own answers are problems too", async () => {
  answer = () => ({ status: 503, headers: { "apigw-requestid": "edge-1" }, body: { message: "Service Unavailable" } });
  const { code, requestId } = await problemOf(client().listAccounts());
  assert.deepEqual({ code, requestId }, { code: "http_503", requestId: "edge-1" });
});

test("no answer at all is a network problem, and so is half an answer", async () => {
  const nowhere = createApi("http://127.0.0.1:9", { accessToken: async () => "t", renew: async () => "t" });
  assert.equal((await problemOf(nowhere.listAccounts())).code, "network");
  answer = () => ({ body: '{"results": [' });
  assert.equal((await problemOf(client().listAccounts())).code, "network");
});

test("ids cannot leave their place in a path", async () => {
  answer = () => ({ status: 202 });
  await client().remove("../../v1/x?y");
  assert.equal(requests[0].url, "/v1/linked-accounts/..%2F..%2Fv1%2Fx%3Fy");
});

test("the public token and its category are posted, nothing else", async () => {
  answer = () => ({ status: 201, body: { id: "a" } });
  await client().exchange("public", "hris");
  assert.deepEqual(JSON.parse(requests[0].body), { public_token: "public", category: "hris" });
});
