/**
 * Small parts that several views share: logo, notice, button, skeleton.
 */
import { h } from "../vendor/preact.js";
import { icon } from "./icons.js";

/**
 * What every view is given: the state to draw, the words, and what a person can do.
 * @typedef {object} Page
 * @property {PageState} state
 * @property {PageConfig} config
 * @property {import("../i18n.js").Language} language
 * @property {import("../app.js").Actions} actions
 */

/** @typedef {import("../vendor/preact.js").ComponentChildren} Children */

/** The name a person knows an account by. @param {Page} page @param {LinkedAccount} account */
export const accountName = (page, account) =>
  account.display_name ?? account.integration?.name ?? page.language.category(account.category);

/**
 * How a connected system looks: its own facts, else the catalogue's.
 * @param {Page} page @param {LinkedAccount} account
 */
export function appearance({ state }, { category, integration }) {
  const catalogue = state.catalogues[category];
  const entry = catalogue && "entries" in catalogue ? catalogue.entries.find((e) => e.slug === integration?.slug) : null;
  return {
    image: integration?.image ?? entry?.square_image ?? entry?.image ?? null,
    color: integration?.color ?? entry?.color ?? null,
  };
}

/**
 * A system's logo, or the first letter of its name on its colour while there is none.
 * @param {{name: string | null, image: string | null, color?: string | null}} system
 */
export function logo({ name, image, color }) {
  const letter = (name ?? "").trim().charAt(0).toUpperCase();
  return h(
    "span",
    { class: "logo", "aria-hidden": "true", ref: (element) => tint(element, color) },
    h("span", { class: "logo-letter" }, letter),
    image
      ? h("img", {
          src: image,
          alt: "",
          loading: "lazy",
          decoding: "async",
          // The letter stays until there is something to show instead.
          onLoad: (/** @type {Event} */ event) => /** @type {Element} */ (event.target).setAttribute("data-loaded", ""),
          onError: (/** @type {Event} */ event) => /** @type {Element} */ (event.target).remove(),
        })
      : null,
  );
}

/** @param {HTMLElement | null} element @param {string | null | undefined} color */
function tint(element, color) {
  if (element && color && /^#[0-9a-f]{3,8}$/i.test(color)) element.style.setProperty("--tint", color);
}

/**
 * A sentence beside the control it is about, with a reference where only support can help.
 * @param {Page} page
 * @param {string} key of `state.notices`
 */
export function notice(page, key) {
  const message = page.state.notices[key];
  return message ? messageView(page, message, `notice-${key}`) : null;
}

/**
 * @param {Page} page
 * @param {Message} message
 * @param {string} [id]
 * @param {Children} [remedy] a control that helps
 */
export function messageView({ state, language, actions }, message, id, remedy = null) {
  const { replaces, until } = message;
  /** @type {Record<string, number>} */
  const left = until === undefined ? {} : { count: Math.max(1, Math.ceil((until - state.now) / 1000)) };
  return h(
    "p",
    { class: `notice notice-${message.tone ?? "info"}`, id },
    icon(message.icon ?? (message.tone === "warning" ? "action_needed" : "healthy")),
    h(
      "span",
      null,
      language.t(message.key, { ...message.params, ...left }),
      message.reference
        ? h("span", { class: "reference" }, " ", language.t("problem.reference", { reference: message.reference }))
        : null,
      replaces && id
        ? button({ class: "button-link", onPress: () => actions.replace(replaces, id.slice("notice-".length)) }, language.t("replace.button"))
        : null,
      remedy,
    ),
  );
}

/**
 * A button that stays focusable while it works, so that nobody loses their place.
 * @param {{id?: string, class: string, working?: boolean, describedBy?: string, onPress: () => void}} props
 * @param {Children[]} label
 */
export function button({ id, class: look, working = false, describedBy, onPress }, ...label) {
  return h(
    "button",
    {
      id,
      type: "button",
      class: `button ${look}`,
      "aria-disabled": working ? "true" : undefined,
      "aria-busy": working ? "true" : undefined,
      "aria-describedby": describedBy,
      onClick: () => {
        if (!working) onPress();
      },
    },
    ...label,
  );
}

/** The layout of what is to come, for as long as it is not there. @param {string} label @param {number} rows */
export function skeleton(label, rows) {
  return h(
    "div",
    { class: "skeleton", role: "status" },
    h("span", { class: "visually-hidden" }, label),
    ...Array.from({ length: rows }, () =>
      h(
        "div",
        { class: "skeleton-row", "aria-hidden": "true" },
        h("span", { class: "bone bone-logo" }),
        h("span", { class: "bone-lines" }, h("span", { class: "bone" }), h("span", { class: "bone bone-short" })),
      ),
    ),
  );
}

/**
 * A category's place where it holds one system at most: the account that has it, and the one that is leaving it.
 * @param {Page} page
 * @param {string} category
 */
export function placeOf({ state, config }, category) {
  const replacement = state.replacing[category];
  const leaving = replacement?.phase === "removing" ? replacement : null;
  const taken = config.one_per_category ? (state.accounts?.find((a) => a.category === category) ?? null) : null;
  return { leaving, taken };
}

/** What somebody waits for who wants the next system. @param {Page} page @param {Replacement | null} leaving */
export function leavingView(page, leaving) {
  return leaving ? messageView(page, { key: "replace.wait", params: { name: leaving.name }, tone: "info", icon: "waiting" }) : null;
}
