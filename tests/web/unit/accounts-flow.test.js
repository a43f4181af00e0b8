import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { createAccountsFlow } from "../../../web/flows/accounts.js";
import { createLanguage } from "../../../web/i18n.js";
import { Problem } from "../../../web/problems.js";
import { createNotices } from "../../../web/flows/notices.js";
import { createStore } from "../../../web/store.js";
import { dictionary } from "./files.js";

const settle = async () => {
  for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
};

/** @param {any} [facts] @returns {any} */
const account = (facts) => ({
  id: "a1",
  category: "hris",
  status: "COMPLETE",
  integration: { name: "BambooHR" },
  display_name: null,
  health: { state: "healthy" },
  initial_sync_completed: true,
  ...facts,
});

/** @param {import("node:test").TestContext} t @param {{list?: () => any[] | Promise<any[]>, remove?: () => Promise<void>}} [server] */
function setUp(t, { list = () => [account()], remove = async () => {} } = {}) {
  mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  const page = { hidden: false, addEventListener() {}, removeEventListener() {} };
  /** @type {any} */ (globalThis).document = page;
  /** @type {any} */ (globalThis).window = { addEventListener() {}, removeEventListener() {} };
  const store = createStore();
  const language = createLanguage("en", dictionary("en"));
  const calls = { list: 0, progress: /** @type {string[]} */ ([]), focus: /** @type {string[]} */ ([]), gone: 0 };
  const flow = createAccountsFlow({
    config: /** @type {any} */ ({ poll_seconds: 15 }),
    api: /** @type {any} */ ({
      async listAccounts() {
        calls.list += 1;
        return list();
      },
      async syncStatus(/** @type {string} */ id) {
        calls.progress.push(id);
        return { results: [], sync_complete: false };
      },
      remove,
      refresh: async () => {},
    }),
    store,
    language,
    notices: createNotices({ store, language }),
    focus: (id) => calls.focus.push(id),
    listed() {},
    disconnected: () => (calls.gone += 1),
    kept() {},
  });
  t.after(() => {
    flow.stop();
    mock.timers.reset();
    delete (/** @type {any} */ (globalThis).document);
    delete (/** @type {any} */ (globalThis).window);
  });
  return { flow, store, calls, page };
}

/** Lets time pass in steps short enough for every timer to be set again. @param {number} seconds */
async function pass(seconds) {
  for (let second = 0; second < seconds; second += 1) {
    mock.timers.tick(1_000);
    await settle();
  }
}

test("pending and deleting accounts are no connections", async (t) => {
  const { flow, store } = setUp(t, {
    list: () => [account(), account({ id: "a2", status: "INCOMPLETE" }), account({ id: "a3", status: "DELETING" }), account({ id: "a4", status: "DELETED" })],
  });
  await flow.reload();
  assert.deepEqual(store.get().accounts?.map((a) => a.id), ["a1", "a4"]);
});

test("polling is brisk for three minutes, then slower while something moves, then slow at rest", async (t) => {
  let moving = true;
  const { flow, calls } = setUp(t, { list: () => [account(moving ? { health: { state: "first_sync" }, initial_sync_completed: false } : {})] });
  await flow.start();
  calls.list = 0;
  await pass(180);
  assert.equal(calls.list, 12);
  calls.list = 0;
  await pass(240);
  assert.equal(calls.list, 4);
  moving = false;
  await pass(60);
  calls.list = 0;
  await pass(600);
  assert.equal(calls.list, 2);
});

test("nothing is asked while nobody looks", async (t) => {
  const { flow, calls, page } = setUp(t);
  await flow.start();
  page.hidden = true;
  calls.list = 0;
  await pass(60);
  assert.equal(calls.list, 0);
});

test("the progress is read for what moves and for what is open, nothing else", async (t) => {
  const { flow, store, calls } = setUp(t, {
    list: () => [account(), account({ id: "a2", health: { state: "first_sync" } }), account({ id: "a3" })],
  });
  store.put("open", "a3", true);
  await flow.reload();
  assert.deepEqual(calls.progress, ["a2", "a3"]);
});

test("an older answer never replaces a newer one", async (t) => {
  /** @type {((accounts: any[]) => void)[]} */
  const answers = [];
  const { flow, store } = setUp(t, { list: () => new Promise((resolve) => answers.push(resolve)) });
  const first = flow.reload();
  const second = flow.reload();
  answers[1]([account({ id: "new" })]);
  await second;
  answers[0]([account({ id: "old" })]);
  await first;
  assert.deepEqual(store.get().accounts?.map((a) => a.id), ["new"]);
});

test("a deleted row does not come back with a list that was read before", async (t) => {
  const { flow, store, calls } = setUp(t);
  await flow.reload();
  flow.askToDelete("a1", "delete-a1");
  await flow.confirmDelete();
  await flow.reload();
  assert.deepEqual(store.get().accounts, []);
  assert.equal(calls.gone, 1);
  assert.deepEqual(calls.focus, ["connected-heading"]);
});

test("a delete that is refused brings the row back with its sentence", async (t) => {
  const { flow, store } = setUp(t, {
    remove: async () => {
      throw new Problem({ code: "internal", status: 500, requestId: "r" });
    },
  });
  await flow.reload();
  flow.askToDelete("a1", "delete-a1");
  await flow.confirmDelete();
  assert.deepEqual(store.get().accounts?.map((a) => a.id), ["a1"]);
  assert.equal(store.get().notices["account-a1"].key, "problem.server");
});

test("a finished first sync is said aloud, once", async (t) => {
  let done = false;
  const { flow, store } = setUp(t, { list: () => [account({ initial_sync_completed: done })] });
  await flow.reload();
  done = true;
  await flow.reload();
  await pass(1);
  assert.equal(store.get().announcement, "The first sync of BambooHR is complete.");
  store.set({ announcement: "" });
  await flow.reload();
  await pass(1);
  assert.equal(store.get().announcement, "");
});

test("news of a refresh is taken back after a while", async (t) => {
  const { flow, store } = setUp(t);
  await flow.start();
  await flow.refreshNow("a1");
  assert.equal(store.get().notices["account-a1"].key, "notice.refreshing");
  await pass(60);
  assert.deepEqual(store.get().notices, {});
});
