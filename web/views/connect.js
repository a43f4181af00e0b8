/**
 * Simple mode: per category a sentence of benefit, one of help, and one Connect button.
 */
import { h } from "../vendor/preact.js";
import { icon } from "./icons.js";
import { button, leavingView, notice, placeOf } from "./parts.js";

/** With this many buttons or more, solid ones would shout. */
const QUIET_FROM = 3;

/** @param {import("./parts.js").Page} page */
export function connectView(page) {
  const { state, config, language } = page;
  const heading = state.accounts === null ? "connect.any" : state.accounts.length > 0 ? "connect.more" : "connect.first";
  return h(
    "section",
    { key: "connect", "aria-labelledby": "connect-heading" },
    h("h2", { id: "connect-heading" }, language.t(heading)),
    h(
      "ul",
      { class: "offers" },
      config.categories.map((category) => offer(page, category)),
    ),
  );
}

/** @param {import("./parts.js").Page} page @param {string} category */
function offer(page, category) {
  const { state, config, language, actions } = page;
  const key = `connect-${category}`;
  const phase = state.attempts[key]?.phase;
  const place = placeOf(page, category);
  const label =
    phase === "starting"
      ? language.t("action.initializing")
      : phase === "finishing"
        ? language.t("action.finishing")
        : language.t(place.leaving ? "replace.removing" : place.taken ? "replace.system" : `category.${category}.connect`);
  return h(
    "li",
    { key: category, class: "offer" },
    h("span", { class: "tile" }, icon(category)),
    h(
      "div",
      { class: "offer-text" },
      h("h3", null, language.category(category)),
      h("p", null, language.t(`category.${category}.benefit`)),
      h("p", { class: "muted small", id: `help-${category}` }, language.t(`category.${category}.help`)),
    ),
    button(
      {
        id: key,
        class: `offer-button ${config.categories.length < QUIET_FROM ? "button-primary" : "button-tonal"}`,
        working: phase === "starting" || phase === "finishing" || place.leaving !== null,
        describedBy: state.notices[key] ? `notice-${key} help-${category}` : `help-${category}`,
        onPress: () => (place.taken ? actions.replace(category, key) : actions.connect(category)),
      },
      label,
    ),
    leavingView(page, place.leaving),
    notice(page, key),
  );
}
