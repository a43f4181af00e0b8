/**
 * Simple mode: one card per category with its benefit and one Connect button.
 */
import { h } from "../vendor/preact.js";
import { icon } from "./icons.js";
import { button, notice } from "./parts.js";

/** @param {import("./parts.js").Page} page */
export function connectView(page) {
  const { config, language } = page;
  return h(
    "section",
    { key: "connect", "aria-labelledby": "connect-heading" },
    h("h2", { id: "connect-heading" }, language.t(page.state.accounts?.length ? "connect.more" : "connect.first")),
    h(
      "ul",
      { class: `cards ${config.categories.length === 1 ? "cards-single" : ""}` },
      config.categories.map((category) => card(page, category)),
    ),
  );
}

/** @param {import("./parts.js").Page} page @param {string} category */
function card(page, category) {
  const { state, config, language, actions } = page;
  const key = `connect-${category}`;
  const phase = state.attempts[key]?.phase;
  const label =
    phase === "starting"
      ? language.t("action.initializing")
      : phase === "finishing"
        ? language.t("action.finishing")
        : language.t(`category.${category}.connect`);
  return h(
    "li",
    { key: category, class: "card" },
    h("span", { class: "card-icon" }, icon(category)),
    h("h3", null, language.category(category)),
    h("p", null, language.t(`category.${category}.benefit`, { brand: config.brand.name })),
    h("p", { class: "muted small", id: `help-${category}` }, language.t(`category.${category}.help`)),
    notice(page, key),
    button(
      {
        id: key,
        class: "button-primary button-wide",
        working: phase === "starting" || phase === "finishing",
        describedBy: state.notices[key] ? `notice-${key} help-${category}` : `help-${category}`,
        onPress: () => actions.connect(category),
      },
      label,
    ),
  );
}
