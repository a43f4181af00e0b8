import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { createLinkFlow } from "../../../web/flows/link.js";
import { createLanguage } from "../../../web/i18n.js";
import { Problem } from "../../../web/problems.js";
import { createNotices } from "../../../web/flows/notices.js";
import { createStore } from "../../../web/store.js";
import { dictionary } from "./files.js";

/** Lets every promise that can settle without time passing do so. */
const settle = async () => {
  for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
};

/** @param {Partial<LinkedAccount>} [facts] @returns {any} */
const account = (facts) => ({
  id: "a1",
  category: "hris",
  status: "COMPLETE",
  integration: { name: "BambooHR" },
  display_name: null,
  updated_at: "t1",
  health: { state: "first_sync" },
  ...facts,
});

/**
 * A flow with a dialog whose callbacks the test calls, and a server that the test scripts.
 * @param {{exchange?: (attempt: number) => unknown, listed?: () => any[]}} [server]
 */
function setUp({ exchange = () => account(), listed = () => [] } = {}) {
  const store = createStore();
  const language = createLanguage("en", dictionary("en"));
  /** @type {{token: string, events: any}[]} */
  const dialogs = [];
  /** @type {any[]} */
  const wishes = [];
  const calls = { exchange: 0, connected: 0, focus: /** @type {string[]} */ ([]) };
  /** @type {Record<string, () => void>} */
  const gates = {};
  const api = {
    async createLinkToken(/** @type {any} */ wish) {
      wishes.push(wish);
      if (gates[wish.category] === undefined && wish.category === "ats") await new Promise((r) => (gates.ats = () => r(null)));
      return { link_token: `link-${wishes.length}`, id: "a1" };
    },
    relink: async () => ({ link_token: "relink" }),
    async exchange() {
      calls.exchange += 1;
      const answer = exchange(calls.exchange);
      if (answer instanceof Error) throw answer;
      return answer;
    },
  };
  const flow = createLinkFlow({
    api: /** @type {any} */ (api),
    store,
    dialog: /** @type {any} */ ({
      load: async () => {},
      open: (/** @type {string} */ token, /** @type {any} */ events) => dialogs.push({ token, events }),
    }),
    language,
    notices: createNotices({ store, language }),
    stored() {},
    async reload() {
      store.set({ accounts: listed() });
    },
    focus: (id, from) => calls.focus.push(from ? `${id} from ${from}` : id),
    connected: () => (calls.connected += 1),
  });
  return { flow, store, dialogs, wishes, calls, gates };
}

const network = () => new Problem({ code: "network" });

test("a press asks for a fresh link token, and the button comes back when the dialog is closed", async () => {
  const { flow, store, dialogs, wishes, calls } = setUp();
  for (const round of [1, 2]) {
    const pressed = flow.connect("hris");
    assert.equal(store.get().attempts["connect-hris"].phase, "starting");
    await pressed;
    dialogs[round - 1].events.opened();
    assert.equal(store.get().attempts["connect-hris"].phase, "open");
    dialogs[round - 1].events.closed();
    assert.deepEqual(store.get().attempts, {});
  }
  assert.deepEqual(dialogs.map((d) => d.token), ["link-1", "link-2"]);
  assert.deepEqual(wishes[0], { category: "hris", language: "en" });
  assert.deepEqual(calls.focus, ["connect-hris", "connect-hris"]);
});

test("a chosen system goes along as the integration", async () => {
  const { flow, wishes } = setUp();
  await flow.connect("hris", /** @type {any} */ ({ slug: "bamboohr", name: "BambooHR" }));
  assert.deepEqual(wishes, [{ category: "hris", language: "en", integration: "bamboohr" }]);
});

test("success is told only when the exchange is stored, and focus moves when the dialog has closed", async () => {
  const { flow, store, dialogs, calls } = setUp();
  await flow.connect("hris");
  dialogs[0].events.opened();
  dialogs[0].events.succeeded("public-token");
  assert.equal(store.get().attempts["connect-hris"].phase, "finishing");
  assert.equal(calls.connected, 0);
  await settle();
  assert.deepEqual(store.get().attempts, {});
  assert.equal(calls.connected, 1);
  assert.deepEqual(calls.focus, []);
  dialogs[0].events.closed();
  assert.deepEqual(calls.focus, ["account-a1"]);
});

test("a dialog closed before the exchange is stored: focus goes to the button, and on to the row only from there", async () => {
  const { flow, dialogs, calls } = setUp();
  await flow.connect("hris");
  dialogs[0].events.opened();
  dialogs[0].events.succeeded("public-token");
  dialogs[0].events.closed();
  assert.deepEqual(calls.focus, ["connect-hris"]);
  await settle();
  assert.deepEqual(calls.focus, ["connect-hris", "account-a1 from connect-hris"]);
});

test("a button pressed before another dialog opened gives its place, and neither is left disabled", async () => {
  const { flow, store, dialogs, gates } = setUp();
  const slow = flow.connect("ats");
  await flow.connect("hris");
  assert.deepEqual(Object.keys(store.get().attempts), ["connect-hris"]);
  gates.ats();
  await slow;
  assert.equal(dialogs.length, 1);
  dialogs[0].events.opened();
  dialogs[0].events.closed();
  assert.deepEqual(store.get().attempts, {});
});

test("a success from an older dialog is stored all the same", async () => {
  const { flow, dialogs, calls } = setUp();
  await flow.connect("hris");
  dialogs[0].events.opened();
  await flow.connect("crm");
  dialogs[0].events.succeeded("public-token");
  await settle();
  assert.equal(calls.exchange, 1);
  assert.equal(calls.connected, 1);
});

test("a lost answer is not an error while the list shows the account", async () => {
  const { flow, store, dialogs, calls } = setUp({ exchange: network, listed: () => [account()] });
  await flow.connect("hris");
  dialogs[0].events.succeeded("public-token");
  await settle();
  assert.equal(calls.connected, 1);
  assert.deepEqual(store.get().notices, {});
});

test("a lost answer is asked again for 60 s, then told", async (t) => {
  t.after(() => mock.timers.reset());
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  const { flow, store, dialogs, calls } = setUp({ exchange: network });
  await flow.connect("hris");
  dialogs[0].events.succeeded("public-token");
  for (let second = 0; second < 57; second += 3) {
    await settle();
    assert.deepEqual(store.get().notices, {}, `after ${second} s`);
    mock.timers.tick(3_000);
  }
  for (let round = 0; round < 3; round += 1) {
    await settle();
    mock.timers.tick(3_000);
  }
  await settle();
  assert.equal(store.get().notices["connect-hris"].key, "problem.network");
  assert.deepEqual(store.get().attempts, {});
  assert.ok(calls.exchange >= 20);
});

test("an exchange that is already running is waited for", async (t) => {
  t.after(() => mock.timers.reset());
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  const running = new Problem({ code: "exchange_in_progress", status: 409 });
  const { flow, store, dialogs, calls } = setUp({ exchange: (n) => (n < 3 ? running : account()) });
  await flow.connect("hris");
  dialogs[0].events.succeeded("public-token");
  for (let round = 0; round < 3; round += 1) {
    await settle();
    mock.timers.tick(3_000);
  }
  await settle();
  assert.equal(calls.connected, 1);
  assert.deepEqual(store.get().notices, {});
});

test("somebody else's system is refused with a reference and no hint of whose it is", async () => {
  const refusal = new Problem({ code: "not_found", status: 404, requestId: "req-9" });
  const { flow, store, dialogs } = setUp({ exchange: () => refusal });
  await flow.connect("hris");
  dialogs[0].events.succeeded("public-token");
  await settle();
  const notice = store.get().notices["connect-hris"];
  assert.equal(notice.key, "problem.not_here");
  assert.equal(notice.reference, "req-9");
  assert.deepEqual(store.get().attempts, {});
});

test("an expired link token is renewed silently, once", async () => {
  const { flow, store, dialogs, wishes } = setUp();
  const expired = () => new Problem({ code: "link_expired" });
  await flow.connect("hris");
  dialogs[0].events.failed(expired());
  await settle();
  assert.equal(wishes.length, 2);
  assert.deepEqual(store.get().notices, {});
  dialogs[1].events.failed(expired());
  await settle();
  assert.equal(wishes.length, 2);
  assert.equal(store.get().notices["connect-hris"].key, "problem.link_expired");
  assert.deepEqual(store.get().attempts, {});
});

test("what was not accepted is told when the dialog closes without a success, and only then", async () => {
  const { flow, store, dialogs } = setUp();
  await flow.connect("hris");
  dialogs[0].events.opened();
  dialogs[0].events.objected();
  assert.deepEqual(store.get().notices, {});
  dialogs[0].events.closed();
  assert.equal(store.get().notices["connect-hris"].key, "problem.not_accepted");
  await flow.connect("hris");
  assert.deepEqual(store.get().notices, {});
  dialogs[1].events.opened();
  dialogs[1].events.objected();
  dialogs[1].events.succeeded("public-token");
  await settle();
  dialogs[1].events.closed();
  assert.deepEqual(store.get().notices, {});
});

test("a relink keeps the account and says so; a lost answer counts only once the server has changed it", async (t) => {
  t.after(() => mock.timers.reset());
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  let listed = [account({ updated_at: "t1" })];
  const { flow, store, dialogs, calls } = setUp({ exchange: network, listed: () => listed });
  await flow.relink(account({ updated_at: "t1" }));
  dialogs[0].events.succeeded("public-token");
  await settle();
  assert.equal(store.get().attempts["relink-a1"].phase, "finishing");
  listed = [account({ updated_at: "t2" })];
  mock.timers.tick(3_000);
  await settle();
  assert.deepEqual(store.get().attempts, {});
  assert.equal(calls.connected, 0);
  dialogs[0].events.closed();
  assert.deepEqual(calls.focus, ["account-a1"]);
});
