/**
 * The catalogue: the systems that can be connected, per category. The app centre offers them, and connected ones take
 * their logo from here. Read once per category and page load; a failure is kept and tried again when the tab is opened.
 */
import { asProblem, explain } from "../problems.js";

/**
 * @param {{api: import("../api.js").Api, store: import("../store.js").Store, config: PageConfig, focus: (id: string) => void}} context
 */
export function createCatalogueFlow({ api, store, config, focus }) {
  /** @type {Set<string>} */
  const loading = new Set();

  /** @param {string} category */
  async function load(category) {
    if (loading.has(category)) return;
    loading.add(category);
    try {
      const { results, source } = await api.integrations(category);
      const entries = results.filter((entry) => entry.categories.includes(category));
      store.put("catalogues", category, { entries, source });
    } catch (thrown) {
      const problem = asProblem(thrown, "catalogue");
      if (problem.isLeaving) return;
      const why = explain(problem);
      store.put("catalogues", category, { problem: problem.status >= 500 ? { ...why, key: "centre.unavailable" } : why });
    } finally {
      loading.delete(category);
    }
  }

  return {
    /** Reads what connected systems look like, where it is not known yet. @param {LinkedAccount[]} accounts */
    illustrate(accounts) {
      for (const { category, integration } of accounts) {
        if (!integration?.image && !(category in store.get().catalogues)) void load(category);
      }
    },
    /** @param {string} category */
    async openTab(category) {
      if (!config.categories.includes(category)) return;
      const known = store.get().catalogues[category];
      store.set({ tab: category });
      if (known && "entries" in known) return;
      store.put("catalogues", category, undefined);
      await load(category);
    },
    /** Reads the open tab's systems again after a failure. */
    async retryCatalogue() {
      const { tab, catalogues } = store.get();
      if (!catalogues[tab] || !("problem" in catalogues[tab])) return;
      store.put("catalogues", tab, undefined);
      await load(tab);
    },
    /** @param {string} text */
    search: (text) => store.set({ search: text }),
    clearSearch() {
      store.set({ search: "" });
      focus("search");
    },
  };
}
