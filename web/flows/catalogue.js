/**
 * The catalogue: the systems that can be connected, per category, for the app centre. Read once per category and page
 * load; a failure is kept beside it and tried again when its tab is opened again.
 */
import { asProblem, explain } from "../problems.js";

/**
 * @param {{api: import("../api.js").Api, store: import("../store.js").Store, config: PageConfig}} context
 */
export function createCatalogueFlow({ api, store, config }) {
  /** @type {Set<string>} */
  const loading = new Set();

  /** @param {string} category */
  async function load(category) {
    const known = store.get().catalogues[category];
    if (loading.has(category) || (known && "entries" in known)) return;
    loading.add(category);
    store.put("catalogues", category, undefined);
    try {
      const { results, source } = await api.integrations(category);
      const entries = results.filter((entry) => entry.categories.includes(category));
      store.put("catalogues", category, { entries, source });
    } catch (thrown) {
      const problem = asProblem(thrown, "catalogue");
      if (!problem.isLeaving) store.put("catalogues", category, { problem: explain(problem) });
    } finally {
      loading.delete(category);
    }
  }

  return {
    load,
    /** @param {string} category */
    async openTab(category) {
      if (!config.categories.includes(category)) return;
      store.set({ tab: category });
      await load(category);
    },
    /** @param {string} text */
    search: (text) => store.set({ search: text }),
  };
}
