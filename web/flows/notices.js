/**
 * Notices: sentences beside the control they are about. This module puts them up, says them aloud once, counts a wait
 * down, and takes back what is no news any more.
 */

/** A sentence that something was started or is possible again is taken back after this long. */
const NEWS_MS = 30_000;

/** @typedef {ReturnType<typeof createNotices>} Notices */

/** @param {{store: import("../store.js").Store, language: import("../i18n.js").Language}} context */
export function createNotices({ store, language }) {
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let ticking;

  const all = () => Object.entries(store.get().notices);

  /** @param {Message} message */
  const say = (message) => store.announce(language.t(message.key, message.params));

  /** One second of every wait has passed; the last one ends in "you can try again now". */
  function tick() {
    const now = Date.now();
    for (const [key, { until }] of all()) {
      if (until === undefined || until > now) continue;
      const over = /** @type {Message} */ ({ key: "problem.wait_over", tone: "info", toldAt: now });
      store.put("notices", key, over);
      say(over);
    }
    store.set({ now });
    if (all().some(([, { until }]) => until !== undefined)) return;
    clearInterval(ticking);
    ticking = undefined;
  }

  return {
    /** Puts up a sentence at a control, and says it. @param {string} key the control's @param {Message} message */
    tell(key, message) {
      const { wait } = message;
      const now = Date.now();
      store.put("notices", key, wait ? { ...message, until: now + wait * 1000 } : message);
      if (wait) {
        store.set({ now });
        ticking ??= setInterval(tick, 1000);
      }
      say(message);
    },
    /** @param {string} key */
    clear: (key) => store.put("notices", key, undefined),
    /** What was told as news goes once it is none. */
    takeBackNews() {
      for (const [key, { toldAt }] of all()) {
        if (toldAt !== undefined && toldAt + NEWS_MS < Date.now()) store.put("notices", key, undefined);
      }
    },
    stop() {
      clearInterval(ticking);
      ticking = undefined;
    },
  };
}
