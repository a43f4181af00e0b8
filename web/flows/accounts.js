/**
 * The linked accounts of the person's organization: reading them again and again at a decent pace, and everything a
 * person does to one of them except linking.
 */
import { asProblem, explain } from "../problems.js";
import { pollInterval } from "../config.js";

/** The pace while something is moving, kept for this long; afterwards a quarter of it, at rest a twentieth. */
const BRISK_MS = 180_000;
/** A sentence that something was started is taken back after this long. */
const NEWS_MS = 30_000;
/** How often "5 minutes ago" is brought up to date. */
const CLOCK_MS = 30_000;

/**
 * @typedef {object} AccountsContext
 * @property {PageConfig} config
 * @property {import("../api.js").Api} api
 * @property {import("../store.js").Store} store
 * @property {import("../i18n.js").Language} language
 * @property {(elementId: string) => void} focus after the next render
 * @property {(accounts: LinkedAccount[]) => void} listed after each reading of the list
 * @property {(account: LinkedAccount) => void} disconnected tells the host
 */

/**
 * Pending attempts are no connection, and one that is being deleted is gone for the person who deleted it.
 * @param {LinkedAccount} account
 */
const isListed = (account) => account.status !== "INCOMPLETE" && account.status !== "DELETING";

/** @param {LinkedAccount} account */
const isMoving = (account) => account.health.state === "first_sync" || account.health.state === "connecting";

/** @param {AccountsContext} context */
export function createAccountsFlow({ config, api, store, language, focus, listed, disconnected }) {
  /** Accounts deleted here whose row an older answer may still carry. @type {Set<string>} */
  const removed = new Set();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let clock;
  let briskUntil = Date.now() + BRISK_MS;
  /** Only the newest reading of the list is shown. */
  let reading = 0;

  /** @param {string} id */
  const find = (id) => store.get().accounts?.find((account) => account.id === id);

  /** @param {LinkedAccount} account */
  const nameOf = (account) =>
    account.display_name ?? account.integration?.name ?? language.category(account.category);

  /** @param {string} key @param {Message} notice */
  function notify(key, notice) {
    store.put("notices", key, notice);
    store.announce(language.t(notice.key, notice.params));
  }

  /** @param {string} id */
  async function readProgress(id) {
    try {
      store.put("progress", id, await api.syncStatus(id));
    } catch (thrown) {
      asProblem(thrown, "progress");
    }
  }

  /** Says aloud which first sync has just finished. @param {LinkedAccount[]} before @param {LinkedAccount[]} after */
  function announceFinished(before, after) {
    for (const account of after) {
      const earlier = before.find((a) => a.id === account.id);
      if (earlier && !earlier.initial_sync_completed && account.initial_sync_completed) {
        store.announce(language.t("announce.first_sync_done", { name: nameOf(account) }));
      }
    }
  }

  /** What was told as news is taken back once it is none. */
  function takeBackNews() {
    for (const [key, message] of Object.entries(store.get().notices)) {
      if (message.toldAt !== undefined && message.toldAt + NEWS_MS < Date.now()) store.put("notices", key, undefined);
    }
  }

  /** Reads the list, and the progress of what is moving or open. Never rejects. */
  async function reload() {
    const mine = (reading += 1);
    try {
      const accounts = (await api.listAccounts()).filter((a) => isListed(a) && !removed.has(a.id));
      if (mine !== reading) return;
      announceFinished(store.get().accounts ?? [], accounts);
      takeBackNews();
      store.set({ accounts, listProblem: null, now: Date.now() });
      listed(accounts);
      const watched = accounts.filter((a) => isMoving(a) || store.get().open[a.id]);
      await Promise.all(watched.map((a) => readProgress(a.id)));
    } catch (thrown) {
      const problem = asProblem(thrown, "list");
      if (mine === reading && !problem.isLeaving) store.set({ listProblem: explain(problem) });
    }
  }

  function nextPause() {
    const brisk = pollInterval(config);
    const moving = store.get().accounts?.some(isMoving);
    if (Date.now() < briskUntil) return brisk;
    return moving ? brisk * 4 : brisk * 20;
  }

  function schedule() {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      if (!document.hidden) await reload();
      schedule();
    }, nextPause());
  }

  function onVisible() {
    if (!document.hidden) void reload();
  }

  /** Something was started: look often for a while. */
  function hurry() {
    briskUntil = Date.now() + BRISK_MS;
    schedule();
  }

  /** Where a Connect button waits for this account to go, its sentence moves on. @param {string} id */
  function replaced(id) {
    for (const [key, message] of Object.entries(store.get().notices)) {
      if (message.replaces === id) store.put("notices", key, { key: "problem.disconnecting", tone: "info" });
    }
  }

  /**
   * Runs one action with its control marked busy; a failure becomes a notice at the account.
   * @param {string} control
   * @param {string} id
   * @param {() => Promise<void>} action
   */
  async function during(control, id, action) {
    if (store.get().busy[control]) return;
    store.put("busy", control, true);
    store.put("notices", `account-${id}`, undefined);
    try {
      await action();
    } catch (thrown) {
      const problem = asProblem(thrown, control);
      if (!problem.isLeaving) notify(`account-${id}`, explain(problem));
    } finally {
      store.put("busy", control, undefined);
    }
  }

  return {
    reload,
    hurry,
    start() {
      document.addEventListener("visibilitychange", onVisible);
      clock = setInterval(() => store.set({ now: Date.now() }), CLOCK_MS);
      hurry();
      return reload();
    },
    stop() {
      document.removeEventListener("visibilitychange", onVisible);
      clearInterval(clock);
      clearTimeout(timer);
    },

    /** @param {string} id */
    refreshNow: (id) =>
      during(`refresh-${id}`, id, async () => {
        await api.refresh(id);
        notify(`account-${id}`, { key: "notice.refreshing", tone: "info", toldAt: Date.now() });
        hurry();
        await reload();
      }),

    /** @param {string} id */
    askToDelete: (id) => store.set({ confirming: id }),

    cancelDelete() {
      const id = store.get().confirming;
      store.set({ confirming: null });
      if (id) focus(`delete-${id}`);
    },

    /** The row goes at once; it comes back, with a sentence, if the server refuses. */
    async confirmDelete() {
      const id = store.get().confirming;
      const account = id ? find(id) : undefined;
      store.set({ confirming: null });
      if (!id || !account) return;
      removed.add(id);
      store.set({ accounts: (store.get().accounts ?? []).filter((a) => a.id !== id) });
      focus("connected-heading");
      try {
        await api.remove(id);
        store.announce(language.t("announce.deleted", { name: nameOf(account) }));
        replaced(id);
        disconnected(account);
      } catch (thrown) {
        const problem = asProblem(thrown, "delete");
        if (problem.status === 404) return;
        removed.delete(id);
        await reload();
        if (!find(id)) store.set({ accounts: [...(store.get().accounts ?? []), account] });
        if (!problem.isLeaving) notify(`account-${id}`, explain(problem));
        focus(`account-${id}`);
      }
    },

    /** @param {string} id @param {boolean} open */
    async toggle(id, open) {
      store.put("open", id, open || undefined);
      store.put("history", id, undefined);
      if (!open) return;
      await readProgress(id);
    },

    /** The newest events, when the history is opened. @param {string} id */
    showHistory: (id) =>
      during(`history-${id}`, id, async () => {
        store.put("history", id, (await api.events(id)).results);
      }),

    /** @param {string} id */
    startRename(id) {
      store.set({ renaming: id });
      focus(`name-${id}`);
    },

    /** @param {string} id */
    cancelRename(id) {
      store.set({ renaming: null });
      focus(`rename-${id}`);
    },

    /** @param {string} id @param {string} name empty for the system's own name */
    rename: (id, name) =>
      during(`rename-${id}`, id, async () => {
        store.set({ renaming: null });
        focus(`rename-${id}`);
        const changed = await api.change(id, { display_name: name.trim() || null });
        const accounts = (store.get().accounts ?? []).map((a) => (a.id === id ? changed : a));
        store.set({ accounts });
        store.announce(language.t("announce.renamed", { name: nameOf(changed) }));
      }),

    /** @param {string} id */
    ignoreDuplicate: (id) =>
      during(`duplicate-${id}`, id, async () => {
        await api.change(id, { duplicate_ignored: true });
        await reload();
        focus(`account-${id}`);
      }),
  };
}
