/**
 * App centre: all systems that can be connected, a tab per category, a search over the open tab, connected ones first.
 * A whole card is the button.
 */
import { h } from "../vendor/preact.js";
import { icon } from "./icons.js";
import { button, leavingView, logo, messageView, notice, placeOf, skeleton } from "./parts.js";

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
      h("p", { class: "centre-benefit" }, language.t(`category.${state.tab}.benefit`)),
      searchField(page),
      catalogue(page),
      h("p", { class: "muted small centre-help" }, language.t(`category.${state.tab}.help`)),
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
  const { state, language, actions } = page;
  const known = state.catalogues[state.tab];
  if (!known) return skeleton(language.t("centre.loading"), 4);
  if ("problem" in known) {
    return messageView(page, known.problem, undefined, button({ class: "button-link", onPress: () => actions.retry() }, language.t("action.retry")));
  }
  if (known.entries.length === 0) return h("p", { class: "empty muted" }, language.t("centre.empty"));
  const mine = new Map((state.accounts ?? []).filter((a) => a.category === state.tab).map((a) => [a.integration?.slug, a]));
  const wanted = state.search.trim().toLocaleLowerCase(language.locale);
  const found = known.entries
    .filter((entry) => entry.name.toLocaleLowerCase(language.locale).includes(wanted))
    .sort(
      (a, b) => Number(mine.has(b.slug)) - Number(mine.has(a.slug)) || a.name.localeCompare(b.name, language.locale),
    );
  const place = placeOf(page, state.tab);
  return h(
    "div",
    { class: "catalogue" },
    h("p", { class: "muted small", role: "status" }, language.t(wanted ? "centre.found" : "centre.offered", { count: found.length })),
    known.source === "fallback" ? messageView(page, { key: "centre.fallback", tone: "info", icon: "degraded" }) : null,
    leavingView(page, place.leaving),
    found.length === 0 ? nothingFound(page) : null,
    h(
      "ul",
      { class: "systems" },
      found.map((entry) => systemCard(page, entry, mine.get(entry.slug), place)),
    ),
  );
}

/** @param {Page} page */
function nothingFound({ state, language, actions }) {
  return h(
    "p",
    { class: "empty muted" },
    language.t("centre.none", { text: state.search.trim() }),
    button({ class: "button-link", onPress: () => actions.clearSearch() }, language.t("centre.clear")),
  );
}

/**
 * What a card says at its end.
 * @param {Attempt["phase"] | undefined} phase
 * @param {LinkedAccount | undefined} mine
 * @param {ReturnType<typeof placeOf>} place
 */
function cardAction(phase, mine, { taken, leaving }) {
  if (phase === "starting") return "action.connecting";
  if (phase === "finishing") return "action.finishing";
  if (leaving) return "replace.later";
  if (taken) return mine ? "centre.show" : "replace.switch";
  return mine ? "centre.connect_another" : "centre.connect";
}

/**
 * @param {Page} page
 * @param {CatalogueEntry} entry
 * @param {LinkedAccount | undefined} mine connected already
 * @param {ReturnType<typeof placeOf>} place
 */
function systemCard(page, entry, mine, place) {
  const { state, language, actions } = page;
  const category = state.tab;
  const key = `connect-${category}-${entry.slug}`;
  const phase = state.attempts[key]?.phase;
  const working = phase === "starting" || phase === "finishing" || place.leaving !== null;
  const press = () => {
    if (!place.taken) return actions.connect(category, entry);
    return mine ? actions.goTo(mine.id) : actions.replace(category, key);
  };
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
        "aria-busy": phase === "starting" || phase === "finishing" ? "true" : undefined,
        "aria-describedby": state.notices[key] ? `notice-${key}` : undefined,
        onClick: () => {
          if (!working) press();
        },
      },
      logo({ name: entry.name, image: entry.square_image ?? entry.image, color: entry.color }),
      h("span", { class: "system-name" }, entry.name),
      mine ? h("span", { class: "system-state" }, icon("healthy"), language.t("centre.connected")) : null,
      h("span", { class: "system-action" }, language.t(cardAction(phase, mine, place))),
    ),
    notice(page, key),
  );
}
