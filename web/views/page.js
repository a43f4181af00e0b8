/**
 * The page: brand, the connected systems, what can be connected, and the two states around them (signed out, starting).
 */
import { Fragment, h } from "../vendor/preact.js";
import { appCentreView } from "./app-centre.js";
import { confirmView } from "./confirm.js";
import { connectedView } from "./connected.js";
import { connectView } from "./connect.js";
import { icon } from "./icons.js";
import { button, notice, skeleton } from "./parts.js";

/** @typedef {import("./parts.js").Page} Page */

/** @param {Page} page */
export function pageView(page) {
  const { state } = page;
  return h(
    Fragment,
    null,
    page.actions.isEmbedded ? null : top(page),
    h("main", { key: "main", class: `session-${state.session}` }, state.session === "signed_in" ? workspace(page) : welcome(page)),
    h("div", { key: "live", class: "visually-hidden", role: "status", "aria-live": "polite" }, state.announcement),
    confirmView(page),
  );
}

/** @param {Page} page */
function top({ state, config, language, actions }) {
  const { brand } = config;
  return h(
    "header",
    { key: "top", class: "top" },
    h(
      "div",
      { class: "brand" },
      brand.logo ? h("img", { class: "brand-logo", src: brand.logo, alt: "" }) : null,
      h("span", { class: "brand-name" }, brand.name),
    ),
    state.session === "signed_in"
      ? h(
          "div",
          { class: "person" },
          h("span", { class: "muted" }, state.person.organization ?? state.person.name ?? ""),
          button({ id: "sign-out", class: "button-quiet", onPress: actions.signOut }, language.t("session.sign_out")),
        )
      : null,
  );
}

/** @param {Page} page */
function welcome(page) {
  const { state, config, language, actions } = page;
  if (state.session === "starting") return skeleton(language.t("page.loading"), 3);
  return h(
    "div",
    { class: "welcome" },
    h(
      "div",
      { class: "welcome-icons" },
      config.categories.map((category) => h("span", { key: category, class: "tile" }, icon(category))),
    ),
    h("h1", null, language.t("welcome.heading")),
    h("p", null, language.t("welcome.sentence")),
    notice(page, "session"),
    button(
      { id: "sign-in", class: "button-primary", working: state.busy.session, onPress: actions.signIn },
      language.t("session.sign_in"),
    ),
  );
}

/** What is connected comes first as soon as there is something. @param {Page} page */
function workspace(page) {
  const { state, config, language } = page;
  const connect = config.mode === "app_centre" ? appCentreView(page) : connectView(page);
  const nothingYet = state.accounts !== null && state.accounts.length === 0;
  return h(
    Fragment,
    null,
    h("h1", { key: "heading" }, language.t("page.heading")),
    h("p", { key: "lede", class: "lede" }, language.t("page.lede")),
    h("div", { key: "offline", role: "status" }, state.offline ? h("p", { class: "notice notice-warning offline" }, icon("action_needed"), h("span", null, language.t("page.offline"))) : null),
    nothingYet ? [connect, connectedView(page)] : [connectedView(page), connect],
  );
}
