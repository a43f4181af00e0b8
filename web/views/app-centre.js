/**
 * App centre: all systems that can be connected, a tab per category, a search over the open tab, connected ones first.
 * A whole card is the button.
 */
import { h } from "../vendor/preact.js";
import { icon } from "./icons.js";
import { logo, messageView, notice, skeleton } from "./parts.js";

/** @typedef {import("./parts.js").Page} Page */

/** @param {Page} page */
export function appCentreView(page) {
  const { state, config, language } = page;
  return h(
    "section",
    { key: "connect", "aria-labelledby": "connect-heading" },
    h("h2", { id: "connect-heading" }, language.t("centre.heading")),
    config.categories.length > 1 ? tabs(page) : null,
    h(
      "div",
      config.categories.length > 1
        ? { id: "catalogue", role: "tabpanel", "aria-labelledby": `tab-${state.tab}` }
        : { id: "catalogue" },
      h("p", { class: "centre-benefit" }, language.t(`category.${state.tab}.benefit`, { brand: config.brand.name })),
      searchField(page),
      catalogue(page),
      h("p", { class: "muted small" }, language.t(`category.${state.tab}.help`)),
    ),
  );
}

/** @param {Page} page */
function tabs({ state, config, language, actions }) {
  const { categories } = config;
  /** @param {KeyboardEvent} event */
  const move = (event) => {
    const at = categories.indexOf(state.tab);
    /** @type {Record<string, number>} */
    const targets = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: categories.length - 1 };
    if (!(event.key in targets)) return;
    event.preventDefault();
    const next = categories[(targets[event.key] + categories.length) % categories.length];
    actions.openTab(next);
    document.getElementById(`tab-${next}`)?.focus();
  };
  return h(
    "div",
    { class: "tabs", role: "tablist", "aria-labelledby": "connect-heading", onKeyDown: move },
    categories.map((category) =>
      h(
        "button",
        {
          key: category,
          type: "button",
          role: "tab",
          id: `tab-${category}`,
          class: "tab",
          "aria-selected": category === state.tab ? "true" : "false",
          "aria-controls": "catalogue",
          tabIndex: category === state.tab ? 0 : -1,
          onClick: () => actions.openTab(category),
        },
        language.category(category),
      ),
    ),
  );
}

/** @param {Page} page */
function searchField({ state, language, actions }) {
  return h(
    "div",
    { class: "search" },
    icon("search"),
    h("label", { class: "visually-hidden", for: "search" }, language.t("centre.search")),
    h("input", {
      id: "search",
      type: "search",
      placeholder: language.t("centre.search"),
      autocomplete: "off",
      value: state.search,
      onInput: (/** @type {Event} */ event) => actions.search(/** @type {HTMLInputElement} */ (event.target).value),
    }),
  );
}

/** @param {Page} page */
function catalogue(page) {
  const { state, language } = page;
  const known = state.catalogues[state.tab];
  if (!known) return skeleton(language.t("centre.loading"), 4);
  if ("problem" in known) return messageView(page, known.problem);
  const connected = new Set(
    (state.accounts ?? []).filter((a) => a.category === state.tab).map((a) => a.integration?.slug),
  );
  const wanted = state.search.trim().toLocaleLowerCase(language.locale);
  const found = known.entries
    .filter((entry) => entry.name.toLocaleLowerCase(language.locale).includes(wanted))
    .sort(
      (a, b) =>
        Number(connected.has(b.slug)) - Number(connected.has(a.slug)) || a.name.localeCompare(b.name, language.locale),
    );
  return h(
    "div",
    null,
    h("p", { class: "muted small", role: "status" }, language.t(wanted ? "centre.found" : "centre.offered", { count: found.length })),
    h(
      "ul",
      { class: "systems" },
      found.map((entry) => systemCard(page, entry, connected.has(entry.slug))),
    ),
  );
}

/** @param {Page} page @param {CatalogueEntry} entry @param {boolean} isConnected */
function systemCard(page, entry, isConnected) {
  const { state, language, actions } = page;
  const key = `connect-${state.tab}-${entry.slug}`;
  const phase = state.attempts[key]?.phase;
  const working = phase === "starting" || phase === "finishing";
  const category = state.tab;
  return h(
    "li",
    { key: entry.slug, class: "system" },
    h(
      "button",
      {
        id: key,
        type: "button",
        class: "system-button",
        "aria-disabled": working ? "true" : undefined,
        "aria-busy": working ? "true" : undefined,
        "aria-describedby": state.notices[key] ? `notice-${key}` : undefined,
        onClick: () => {
          if (!working) actions.connect(category, entry);
        },
      },
      logo({ name: entry.name, image: entry.square_image ?? entry.image, color: entry.color }),
      h("span", { class: "system-name" }, entry.name),
      isConnected ? h("span", { class: "system-state" }, icon("healthy"), language.t("centre.connected")) : null,
      h(
        "span",
        { class: "system-action" },
        language.t(
          phase === "starting"
            ? "action.connecting"
            : phase === "finishing"
              ? "action.finishing"
              : isConnected
                ? "centre.connect_another"
                : "centre.connect",
        ),
      ),
    ),
    notice(page, key),
  );
}
