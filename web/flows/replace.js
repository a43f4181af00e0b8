/**
 * Replacing: where only one system fits into a category, the next one can be connected once the former is gone. One
 * guided way: the question, the wait until everything of the former is erased, and the Connect button again.
 */
import { asProblem } from "../problems.js";
import { pollInterval } from "../config.js";

/** Erasing takes minutes. After this long the page stops asking; pressing Connect still says how things stand. */
const PATIENCE_MS = 1_800_000;

/**
 * @typedef {object} ReplaceContext
 * @property {PageConfig} config
 * @property {import("../api.js").Api} api
 * @property {import("../store.js").Store} store
 * @property {import("./notices.js").Notices} notices
 * @property {(id: string, opener: string) => void} askToDelete
 */

/** @param {ReplaceContext} context */
export function createReplaceFlow({ config, api, store, notices, askToDelete }) {
  /** @param {string} category @param {Replacement | undefined} replacement */
  const put = (category, replacement) => store.put("replacing", category, replacement);

  /** Whether the server knows nothing of the account any more. @param {string} id */
  async function isErased(id) {
    try {
      await api.getAccount(id);
      return false;
    } catch (thrown) {
      return asProblem(thrown, "replace").status === 404;
    }
  }

  /** @param {LinkedAccount} account @param {string} name */
  async function waitFor({ id, category }, name) {
    const deadline = Date.now() + PATIENCE_MS;
    const current = () => store.get().replacing[category];
    while (current()?.id === id && Date.now() < deadline) {
      if (await isErased(id)) {
        const button = current()?.button;
        put(category, undefined);
        if (button) notices.tell(button, { key: "replace.ready", params: { name }, tone: "info" });
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, pollInterval(config)));
    }
    if (current()?.id === id) put(category, undefined);
  }

  return {
    /**
     * Asks whether the category's system is to give way.
     * @param {string} category
     * @param {string} button the Connect button that waits for it
     */
    replace(category, button) {
      const account = store.get().accounts?.find((a) => a.category === category);
      if (!account) return;
      notices.clear(button);
      put(category, { id: account.id, button, phase: "asking", name: "" });
      askToDelete(account.id, button);
    },
    /** The question was answered with no, or the server refused. */
    keep() {
      for (const [category, { phase }] of Object.entries(store.get().replacing)) {
        if (phase === "asking") put(category, undefined);
      }
    },
    /**
     * An account is on its way out: its place is free when it is gone.
     * @param {LinkedAccount} account
     * @param {string} name
     */
    left(account, name) {
      const asked = store.get().replacing[account.category];
      const wanted = asked?.id === account.id ? asked : null;
      if (!wanted && !config.one_per_category) return;
      put(account.category, { id: account.id, button: wanted?.button ?? null, phase: "removing", name });
      void waitFor(account, name);
    },
  };
}
