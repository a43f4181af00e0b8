/**
 * The connect page's start: configuration, language, session, then one store that the flows change and the views draw.
 */
import { render } from "./vendor/preact.js";
import { createApi } from "./api.js";
import { isEmbedded, loadConfig } from "./config.js";
import { createDialog } from "./dialog.js";
import { createAccountsFlow } from "./flows/accounts.js";
import { createCatalogueFlow } from "./flows/catalogue.js";
import { createLinkFlow } from "./flows/link.js";
import { createNotices } from "./flows/notices.js";
import { createReplaceFlow } from "./flows/replace.js";
import { createHostSession, tellHost } from "./host.js";
import { chooseLocale, createLanguage, loadDictionary } from "./i18n.js";
import { asProblem } from "./problems.js";
import { createSession } from "./session.js";
import { createStore } from "./store.js";
import { applyTheme } from "./theme.js";
import { pageView } from "./views/page.js";

/** @typedef {Awaited<ReturnType<typeof assemble>>["actions"]} Actions */

/** @param {PageConfig} config */
async function assemble(config) {
  const locale = chooseLocale(config.locale, navigator.languages);
  const language = createLanguage(locale, await loadDictionary(locale), { brand: config.brand.name });
  const store = createStore();
  store.set({ tab: config.categories[0] ?? "" });

  /** @type {{id: string, from?: string} | null} */
  let wantedFocus = null;
  /**
   * Moves the focus after the next drawing.
   * @param {string} id
   * @param {string} [from] only if the person is still there, or nowhere: nobody is torn from what they have gone on to
   */
  function focus(id, from) {
    wantedFocus = { id, from };
    store.set({});
  }

  const embedded = isEmbedded(config);
  const place = () => ({ tab: store.get().tab, open: Object.keys(store.get().open), scroll: window.scrollY });
  const signIn = embedded ? null : createSession(config, place);
  const session = signIn ?? createHostSession(config, () => actions.retry());
  const api = createApi(config.api_base, session);
  const catalogue = createCatalogueFlow({ api, store, config, focus });
  const notices = createNotices({ store, language });
  const accounts = createAccountsFlow({
    config,
    api,
    store,
    language,
    notices,
    focus,
    listed: catalogue.illustrate,
    kept: () => replacement.keep(),
    disconnected(account, name) {
      replacement.left(account, name);
      tellHost(config, { type: "tether:disconnected", id: account.id, category: account.category });
    },
  });
  const replacement = createReplaceFlow({ config, api, store, notices, askToDelete: accounts.askToDelete });
  const link = createLinkFlow({
    api,
    store,
    language,
    notices,
    focus,
    dialog: createDialog(config),
    reload: accounts.reload,
    stored: accounts.stored,
    connected({ id, category }) {
      accounts.hurry();
      tellHost(config, { type: "tether:connected", id, category });
    },
  });

  const actions = {
    ...accounts,
    ...catalogue,
    connect: link.connect,
    relink: link.relink,
    replace: replacement.replace,
    /** What could not be read is read again. */
    retry() {
      void catalogue.retryCatalogue();
      return accounts.reload();
    },
    isEmbedded: embedded,
    async signIn() {
      store.put("busy", "session", true);
      store.put("notices", "session", undefined);
      try {
        await signIn?.start();
      } catch (thrown) {
        asProblem(thrown, "sign-in");
        store.put("busy", "session", undefined);
        store.put("notices", "session", { key: "session.unavailable", tone: "warning" });
      }
    },
    async signOut() {
      await signIn?.signOut();
      store.set({ session: "signed_out", accounts: null, open: {}, progress: {}, history: {}, notices: {}, attempts: {}, replacing: {}, duplicates: {} });
      accounts.stop();
    },
  };
  return { config, store, language, actions, accounts, catalogue, session: signIn, takeFocus };

  function takeFocus() {
    const wanted = wantedFocus;
    wantedFocus = null;
    if (!wanted) return;
    const at = document.activeElement;
    if (wanted.from && at && at !== document.body && at.id !== wanted.from) return;
    const target = document.getElementById(wanted.id);
    // Not drawn yet: a newer reading of the list, still on its way, will bring it.
    if (target) target.focus();
    else wantedFocus = { id: wanted.id, from: wanted.from ?? (at?.id || "nowhere") };
  }
}

/** Draws the state, once per turn however often it changed. @param {Awaited<ReturnType<typeof assemble>>} parts */
function draw({ config, store, language, actions, takeFocus }) {
  const root = /** @type {HTMLElement} */ (document.getElementById("app"));
  let queued = false;
  const paint = () => {
    queued = false;
    render(pageView({ state: store.get(), config, language, actions }), root);
    takeFocus();
  };
  store.subscribe(() => {
    if (!queued) queueMicrotask(paint);
    queued = true;
  });
  root.replaceChildren();
  paint();
}

/** @param {Awaited<ReturnType<typeof assemble>>} parts */
async function enter({ config, store, session, accounts, catalogue }) {
  try {
    if (session && (await session.resume()) === "signed_out") {
      store.set({ session: "signed_out" });
      return;
    }
  } catch (thrown) {
    asProblem(thrown, "sign-in");
    store.set({ session: "signed_out" });
    store.put("notices", "session", { key: "session.failed", tone: "warning" });
    return;
  }
  const place = session?.takePlace() ?? {};
  store.set({
    session: "signed_in",
    person: session?.person() ?? store.get().person,
    open: Object.fromEntries((place.open ?? []).map((/** @type {string} */ id) => [id, true])),
  });
  if (config.mode === "app_centre") void catalogue.openTab(place.tab || store.get().tab);
  await accounts.start();
  if (place.scroll) window.scrollTo(0, place.scroll);
}

async function main() {
  const config = await loadConfig();
  applyTheme(config.brand, document.documentElement);
  const parts = await assemble(config);
  document.documentElement.lang = parts.language.locale;
  document.title = parts.language.t("page.title");
  draw(parts);
  if (!parts.session) tellHost(config, { type: "tether:ready" });
  await enter(parts);
}

main().catch((thrown) => {
  asProblem(thrown, "start");
  document.getElementById("unavailable")?.removeAttribute("hidden");
  document.getElementById("app")?.setAttribute("hidden", "");
});
