/**
 * An attempt: one press of a Connect or Relink button, from the fresh link token through the dialog to the stored
 * account. Every path ends with the button restored. Attempts share nothing but the dialog: the newest press gets it,
 * and an older one whose dialog still delivers a success is stored all the same.
 */
import { asProblem, explain } from "../problems.js";

/** After a lost answer the server is asked for this long before a person sees an error. */
const RECOVERY_MS = 60_000;
const RECOVERY_PAUSE_MS = 3_000;

/**
 * @typedef {object} LinkContext
 * @property {import("../api.js").Api} api
 * @property {import("../store.js").Store} store
 * @property {import("../dialog.js").Dialog} dialog
 * @property {import("../i18n.js").Language} language
 * @property {import("./notices.js").Notices} notices
 * @property {() => Promise<void>} reload reads the list again; never rejects
 * @property {(account: LinkedAccount) => void} stored shows an account that the list may not have yet
 * @property {(id: string, from?: string) => void} focus after the next drawing; with `from` only if it is still there
 * @property {(account: LinkedAccount) => void} connected tells the host
 */

/**
 * @typedef {object} Wish
 * @property {string} key the button's
 * @property {string} category
 * @property {string} name what is being connected, in a person's words
 * @property {LinkedAccount} [relinking] the account as it stood when the button was pressed
 * @property {() => Promise<{link_token: string, id?: string}>} linkToken
 */

/** @param {number} ms */
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** @param {LinkContext} context */
export function createLinkFlow({ api, store, dialog, language, notices, reload, stored, focus, connected }) {
  /** The newest attempt: only it may open the dialog. */
  let newest = 0;

  /** @param {string} key @param {Attempt["phase"] | null} phase */
  const show = (key, phase) => store.put("attempts", key, phase ? { key, phase } : undefined);

  /** The button back, and a sentence beside it. @param {Wish} wish @param {Message} message */
  function tell(wish, message) {
    show(wish.key, null);
    notices.tell(wish.key, message);
  }

  /** @param {Wish} wish @param {import("../problems.js").Problem} problem */
  function fail(wish, problem) {
    show(wish.key, null);
    if (problem.isLeaving) return;
    tell(wish, { ...explain(problem), ...(problem.code === "already_connected" ? { replaces: wish.category } : {}) });
  }

  /**
   * The account that an exchange with a lost answer may have left: our reservation, or for a relink the account itself
   * once the server has changed it.
   * @param {Wish} wish
   * @param {string | undefined} id
   */
  async function recovered(wish, id) {
    await reload();
    const found = store.get().accounts?.find((a) => a.id === id && a.status === "COMPLETE");
    return found && found.updated_at !== wish.relinking?.updated_at ? found : null;
  }

  /**
   * @param {Wish} wish
   * @param {string} publicToken
   * @param {string | undefined} id
   */
  async function exchange(wish, publicToken, id) {
    const deadline = Date.now() + RECOVERY_MS;
    for (;;) {
      try {
        return await api.exchange(publicToken, wish.category);
      } catch (thrown) {
        const problem = asProblem(thrown, "exchange");
        if (!problem.isTransient) throw problem;
        const found = await recovered(wish, id);
        if (found) return found;
        if (Date.now() >= deadline) throw problem;
        await pause(Math.max(RECOVERY_PAUSE_MS, (problem.retryAfter ?? 0) * 1000));
      }
    }
  }

  /** @param {Wish} wish */
  async function run(wish, renewed = false) {
    const turn = (newest += 1);
    // The button pressed before this one, if its dialog has not opened yet, is given back.
    for (const other of Object.values(store.get().attempts)) {
      if (other.phase === "starting" && other.key !== wish.key) show(other.key, null);
    }
    notices.clear(wish.key);
    show(wish.key, "starting");
    store.announce(language.t("announce.starting"));

    let link;
    try {
      [link] = await Promise.all([wish.linkToken(), dialog.load()]);
    } catch (thrown) {
      if (turn === newest) fail(wish, asProblem(thrown, "link"));
      return;
    }
    if (turn !== newest) return;

    const { link_token: linkToken, id } = link;
    let closed = false;
    let objected = false;
    /** Where the person is taken once the dialog has gone. @type {string | null} */
    let destination = null;

    dialog.open(linkToken, {
      opened() {
        if (turn !== newest) return;
        show(wish.key, "open");
        store.announce("");
      },
      async succeeded(publicToken) {
        show(wish.key, "finishing");
        try {
          const account = await exchange(wish, publicToken, id ?? wish.relinking?.id);
          await reload();
          stored(account);
          show(wish.key, null);
          destination = `account-${account.id}`;
          const name = account.display_name ?? account.integration?.name ?? wish.name;
          if (wish.relinking) store.announce(language.t("announce.relinked", { name }));
          else if (account.initial_sync_completed) {
            notices.tell(destination, { key: "notice.already_here", params: { name }, tone: "info", icon: "degraded", toldAt: Date.now() });
          } else store.announce(language.t("announce.connected", { name }));
          if (!wish.relinking) connected(account);
        } catch (thrown) {
          const problem = asProblem(thrown, "exchange");
          destination = wish.key;
          // The dialog said success, the server says that it is not ours to add. Whose it may be stays unsaid.
          if (problem.status === 404) tell(wish, { key: "problem.not_here", reference: problem.requestId, tone: "warning" });
          else fail(wish, problem);
        }
        if (closed) focus(destination, wish.key);
      },
      async closed() {
        closed = true;
        focus(destination ?? wish.key);
        if (destination || store.get().attempts[wish.key]?.phase === "finishing") return;
        if (turn === newest) show(wish.key, null);
        if (objected) tell(wish, { key: "problem.not_accepted", tone: "warning" });
        // Whoever finished in another window is not told to start again: the server knows.
        await reload();
      },
      objected() {
        objected = true;
      },
      failed(problem) {
        if (turn !== newest) return;
        if (problem.code === "link_expired" && !renewed) {
          void run(wish, true);
          return;
        }
        fail(wish, asProblem(problem, "dialog"));
        focus(wish.key);
      },
    });
  }

  return {
    /**
     * @param {string} category
     * @param {CatalogueEntry} [entry] goes straight to this system
     */
    connect: (category, entry) =>
      run({
        key: entry ? `connect-${category}-${entry.slug}` : `connect-${category}`,
        category,
        name: entry?.name ?? language.category(category),
        linkToken: () =>
          api.createLinkToken({
            category,
            language: language.locale,
            ...(entry ? { integration: entry.slug } : {}),
          }),
      }),
    /** @param {LinkedAccount} account */
    relink: (account) =>
      run({
        key: `relink-${account.id}`,
        category: account.category,
        name: account.display_name ?? account.integration?.name ?? language.category(account.category),
        relinking: account,
        linkToken: () => api.relink(account.id, language.locale),
      }),
  };
}
