/**
 * What is connected: the list of a person's integrations in a lasting order, and where there are many, a way to find
 * one and to see only those that need somebody.
 */
import { h } from "../vendor/preact.js";
import { accountView } from "./account.js";
import { icon } from "./icons.js";
import { accountName, button, messageView, skeleton } from "./parts.js";

/** @typedef {import("./parts.js").Page} Page */

/** From this many on a list wants to be searched. */
const MANY = 6;

/** @param {Page} page */
export function connectedView(page) {
  const { state, language, actions } = page;
  const retry = button({ class: "button-link", onPress: () => actions.retry() }, language.t("action.retry"));
  return h(
    "section",
    { key: "connected", "aria-labelledby": "connected-heading" },
    h("h2", { id: "connected-heading", tabIndex: -1 }, language.t("connected.heading")),
    state.listProblem ? messageView(page, state.listProblem, undefined, retry) : null,
    list(page),
  );
}

/** @param {Page} page */
function list(page) {
  const { accounts, listProblem } = page.state;
  const { language } = page;
  if (!accounts) return listProblem ? null : skeleton(language.t("connected.loading"), 2);
  if (accounts.length === 0) return h("p", { class: "empty muted" }, language.t("connected.empty"));
  if (accounts.length < MANY) return rows(page, accounts);
  const shown = accounts.filter((account) => isWanted(page, account));
  return [
    toolbar(page, accounts, shown.length),
    shown.length > 0 ? rows(page, shown) : h("p", { class: "empty muted" }, language.t("connected.none")),
  ];
}

/** In an order that does not change while somebody reads: by category, then by name. @param {Page} page @param {LinkedAccount[]} accounts */
function rows(page, accounts) {
  const { language, config } = page;
  const place = (/** @type {LinkedAccount} */ { category }) => (config.categories.indexOf(category) + 100) % 100;
  const sorted = [...accounts].sort(
    (a, b) =>
      place(a) - place(b) ||
      accountName(page, a).localeCompare(accountName(page, b), language.locale, { numeric: true }) ||
      a.created_at.localeCompare(b.created_at),
  );
  return h("ul", { key: "rows", class: "accounts" }, sorted.map((account) => accountView(page, account)));
}

/** @param {LinkedAccount} account */
const needsAttention = (account) => account.health.state === "action_needed";

/** @param {Page} page @param {LinkedAccount} account */
function isWanted(page, account) {
  const { text, attention } = page.state.filter;
  const { language } = page;
  const words = `${accountName(page, account)} ${account.integration?.name ?? ""} ${language.category(account.category)}`;
  const fits = words.toLocaleLowerCase(language.locale).includes(text.trim().toLocaleLowerCase(language.locale));
  return fits && (!attention || needsAttention(account));
}

/** @param {Page} page @param {LinkedAccount[]} accounts @param {number} shown */
function toolbar({ state, language, actions }, accounts, shown) {
  const { filter } = state;
  const waiting = accounts.filter(needsAttention).length;
  return h(
    "div",
    { key: "toolbar", class: "toolbar" },
    h(
      "div",
      { class: "search" },
      icon("search"),
      h("label", { class: "visually-hidden", for: "find-connected" }, language.t("connected.find")),
      h("input", {
        id: "find-connected",
        type: "search",
        placeholder: language.t("connected.find"),
        autocomplete: "off",
        value: filter.text,
        onInput: (/** @type {Event} */ event) => actions.filter({ text: /** @type {HTMLInputElement} */ (event.target).value }),
      }),
    ),
    waiting > 0 || filter.attention
      ? h(
          "button",
          {
            id: "only-attention",
            type: "button",
            class: "button button-plain toggle",
            "aria-pressed": filter.attention ? "true" : "false",
            onClick: () => actions.filter({ attention: !filter.attention }),
          },
          icon("action_needed"),
          language.t("connected.attention", { count: waiting }),
        )
      : null,
    h(
      "p",
      { class: "muted small", role: "status" },
      shown === accounts.length
        ? language.t("connected.count", { count: shown })
        : language.t("connected.found", { count: shown, total: accounts.length }),
    ),
  );
}
