/**
 * The store: the page's whole state in one place. Views read it, flows change it through `set`, nobody else keeps any.
 */

/** @returns {PageState} */
export function initialState() {
  return {
    session: "starting",
    person: { name: null, organization: null },
    accounts: null,
    listProblem: null,
    progress: {},
    history: {},
    catalogues: {},
    attempts: {},
    notices: {},
    open: {},
    renaming: null,
    busy: {},
    confirming: null,
    replacing: {},
    duplicates: {},
    filter: { text: "", attention: false },
    offline: false,
    announcement: "",
    tab: "",
    search: "",
    now: Date.now(),
  };
}

/** @typedef {ReturnType<typeof createStore>} Store */

/** @param {PageState} [state] */
export function createStore(state = initialState()) {
  /** @type {Set<() => void>} */
  const listeners = new Set();

  /** @param {Partial<PageState>} patch */
  function set(patch) {
    state = { ...state, ...patch };
    listeners.forEach((listener) => listener());
  }

  return {
    get: () => state,
    set,
    /** @param {() => void} listener */
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    /**
     * Changes one entry of a map in the state; `undefined` removes it.
     * @template {"progress" | "history" | "catalogues" | "attempts" | "notices" | "open" | "busy" | "replacing" | "duplicates"} Name
     * @param {Name} name
     * @param {string} key
     * @param {PageState[Name][string] | undefined} value
     */
    put(name, key, value) {
      const map = { ...state[name] };
      if (value === undefined) delete map[key];
      else map[key] = value;
      set(/** @type {Partial<PageState>} */ ({ [name]: map }));
    },
    /**
     * One polite sentence for assistive technology. The same sentence twice is spoken twice.
     * @param {string} sentence
     */
    announce(sentence) {
      set({ announcement: "" });
      setTimeout(() => set({ announcement: sentence }), 50);
    },
  };
}
