/**
 * The linked accounts of the person's organization: reading them again and again at a decent pace, and everything a
 * person does to one of them except linking.
 */
import { asProblem, explain } from "../problems.js";
import { pollInterval } from "../config.js";

/** The pace while something is moving, kept for this long; afterwards a quarter of it, at rest a twentieth. */
const BRISK_MS = 180_000;
/** How often "5 minutes ago" is brought up to date. */
const CLOCK_MS = 30_000;

/**
 * @typedef {object} AccountsContext
 * @property {PageConfig} config
 * @property {import("../api.js").Api} api
 * @property {import("../store.js").Store} store
 * @property {import("../i18n.js").Language} language
 * @property {import("./notices.js").Notices} notices
 * @property {(elementId: string) => void} focus after the next render
 * @property {(accounts: LinkedAccount[]) => void} listed after each reading of the list
 * @property {(account: LinkedAccount, name: string) => void} disconnected once the server has taken a deletion
 * @property {() => void} kept when a deletion was not wanted after all, or refused
 */

/**
 * Pending attempts are no connection, and one that is being deleted is gone for the person who deleted it.
 * @param {LinkedAccount} account
 */
const isListed = (account) => account.status !== "INCOMPLETE" && account.status !== "DELETING";

/** @param {LinkedAccount} account */
const isMoving = (account) => account.health.state === "first_sync" || account.health.state === "connecting";

/** @param {AccountsContext} context */
export function createAccountsFlow({ config, api, store, language, notices, focus, listed, disconnected, kept }) {
  /** Accounts deleted here whose row an older answer may still carry. @type {Set<string>} */
  const removed = new Set();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let clock;
  let briskUntil = Date.now() + BRISK_MS;
  /** Only the newest reading of the list is shown. */
  let reading = 0;

  const unfiltered = () => store.set({ filter: { text: "", attention: false } });

  /** Shows an account: one that the list does not have yet, or that a search hides. @param {LinkedAccount} account */
  function show(account) {
    const accounts = store.get().accounts ?? [];
    if (!accounts.some((a) => a.id === account.id)) store.set({ accounts: [...accounts, account] });
    unfiltered();
  }

  /** @param {string} id @param {string} opener the control that asked */
  const askToDelete = (id, opener) => store.set({ confirming: { id, opener } });

  /** In no reviewed set is one that was deleted. @param {string} id */
  function forgetDuplicate(id) {
    for (const [of, others] of Object.entries(store.get().duplicates)) {
      store.put("duplicates", of, others.filter((other) => other.id !== id));
    }
  }

  /** @param {string} id */
  const find = (id) => store.get().accounts?.find((account) => account.id === id);

  /** Shows an account as the server has just answered it. @param {LinkedAccount} changed */
  const replaced = (changed) =>
    store.set({ accounts: (store.get().accounts ?? []).map((a) => (a.id === changed.id ? changed : a)) });

  /** @param {LinkedAccount} account */
  const nameOf = (account) =>
    account.display_name ?? account.integration?.name ?? language.category(account.category);

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

  /** Reads the list, and the progress of what is moving or open. Never rejects. */
  async function reload() {
    const mine = (reading += 1);
    try {
      const accounts = (await api.listAccounts()).filter((a) => isListed(a) && !removed.has(a.id));
      if (mine !== reading) return;
      announceFinished(store.get().accounts ?? [], accounts);
      notices.takeBackNews();
      store.set({ accounts, listProblem: null, now: Date.now() });
      listed(accounts);
      const watched = accounts.filter((a) => isMoving(a) || store.get().open[a.id]);
      await Promise.all(watched.map((a) => readProgress(a.id)));
    } catch (thrown) {
      const problem = asProblem(thrown, "list");
      if (mine !== reading || problem.isLeaving) return;
      const why = explain(problem);
      store.set({ listProblem: problem.status >= 500 ? { ...why, key: "connected.unavailable" } : why });
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

  function onNetwork() {
    store.set({ offline: !navigator.onLine });
    if (navigator.onLine) void reload();
  }

  /** Something was started: look often for a while. */
  function hurry() {
    briskUntil = Date.now() + BRISK_MS;
    schedule();
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
    notices.clear(`account-${id}`);
    try {
      await action();
    } catch (thrown) {
      const problem = asProblem(thrown, control);
      if (!problem.isLeaving) notices.tell(`account-${id}`, explain(problem));
    } finally {
      store.put("busy", control, undefined);
    }
  }

  return {
    reload,
    hurry,
    stored: show,
    start() {
      document.addEventListener("visibilitychange", onVisible);
      window.addEventListener("online", onNetwork);
      window.addEventListener("offline", onNetwork);
      clock = setInterval(() => store.set({ now: Date.now() }), CLOCK_MS);
      hurry();
      return reload();
    },
    stop() {
      document.removeEventListener("visibilitychange", onVisible);
      window.removeEventListener("online", onNetwork);
      window.removeEventListener("offline", onNetwork);
      notices.stop();
      clearInterval(clock);
      clearTimeout(timer);
    },

    /** @param {string} id */
    refreshNow: (id) =>
      during(`refresh-${id}`, id, async () => {
        await api.refresh(id);
        notices.tell(`account-${id}`, { key: "notice.refreshing", tone: "info", icon: "moving", toldAt: Date.now() });
        hurry();
        await reload();
      }),

    askToDelete,

    cancelDelete() {
      const opener = store.get().confirming?.opener;
      store.set({ confirming: null });
      kept();
      if (opener) focus(opener);
    },

    /** The row goes at once; it comes back, with a sentence, if the server refuses. */
    async confirmDelete() {
      const { id, opener } = store.get().confirming ?? { id: "", opener: "" };
      const account = find(id);
      store.set({ confirming: null });
      if (!account) return;
      removed.add(id);
      store.set({ accounts: (store.get().accounts ?? []).filter((a) => a.id !== id) });
      forgetDuplicate(id);
      focus(opener === `delete-${id}` ? "connected-heading" : opener);
      try {
        await api.remove(id);
        store.announce(language.t("announce.deleted", { name: nameOf(account) }));
        disconnected(account, nameOf(account));
      } catch (thrown) {
        const problem = asProblem(thrown, "delete");
        if (problem.status === 404) {
          kept();
          return;
        }
        removed.delete(id);
        kept();
        await reload();
        show(account);
        if (!problem.isLeaving) notices.tell(`account-${id}`, explain(problem));
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
        store.put("history", id, { events: (await api.events(id)).results, pages: 1 });
        focus(`history-title-${id}`);
      }),

    /** @param {string} id */
    showEarlier(id) {
      const history = store.get().history[id];
      if (history) store.put("history", id, { ...history, pages: history.pages + 1 });
    },

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
        replaced(changed);
        store.announce(language.t("announce.renamed", { name: nameOf(changed) }));
      }),

    /** The others of its set, among this organization's. @param {string} id */
    reviewDuplicates: (id) =>
      during(`duplicate-${id}`, id, async () => {
        store.put("duplicates", id, (await api.duplicatesOf(id)).filter((other) => other.id !== id && isListed(other)));
        focus(`duplicates-${id}`);
      }),

    /** @param {string} id */
    ignoreDuplicate: (id) =>
      during(`duplicate-${id}`, id, async () => {
        await api.change(id, { duplicate_ignored: true });
        await reload();
        store.put("duplicates", id, undefined);
        store.announce(language.t("announce.duplicates_kept"));
        focus(`account-${id}`);
      }),

    /** Somebody knows of a problem: it is shown again when it comes back. @param {string} id @param {string} issue */
    hideIssue: (id, issue) =>
      during(`issue-${issue}`, id, async () => {
        replaced(await api.change(id, { acknowledge_issues: [issue] }));
        store.announce(language.t("announce.issue_hidden"));
        focus(find(id)?.open_issues.length ? `issues-${id}` : `account-${id}`);
      }),

    /** A fresh login led to a different account, and that is meant so. @param {LinkedAccount} account as it was shown */
    confirmElsewhere: ({ id, deletions_held_for }) =>
      during(`elsewhere-${id}`, id, async () => {
        // Refused, too, when a login has led elsewhere since: the next look shows where.
        hurry();
        replaced(await api.change(id, { deletions_held: false, deletions_held_for }));
        store.announce(language.t("announce.elsewhere_confirmed"));
        focus(`account-${id}`);
      }),

    /** Takes a person to an account's row. @param {string} id */
    goTo(id) {
      unfiltered();
      focus(`account-${id}`);
    },

    /** @param {Partial<PageState["filter"]>} change */
    filter: (change) => store.set({ filter: { ...store.get().filter, ...change } }),
  };
}
