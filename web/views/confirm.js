/**
 * The one question this page asks: whether a system is really to be deleted. A native dialog, so that focus stays
 * inside, Escape means no, and what is behind it cannot be reached.
 */
import { h } from "../vendor/preact.js";
import { accountName, button } from "./parts.js";

/** @param {HTMLDialogElement | null} dialog */
function show(dialog) {
  if (dialog && !dialog.open) dialog.showModal();
}

/** @param {import("./parts.js").Page} page */
export function confirmView(page) {
  const { state, language, actions } = page;
  const account = state.accounts?.find((a) => a.id === state.confirming?.id);
  if (!account) return null;
  const isReplaced = state.replacing[account.category]?.id === account.id;
  const name = accountName(page, account);
  return h(
    "dialog",
    {
      key: "confirm",
      class: "confirm",
      ref: show,
      "aria-labelledby": "confirm-title",
      "aria-describedby": "confirm-text",
      onCancel: (/** @type {Event} */ event) => {
        event.preventDefault();
        actions.cancelDelete();
      },
    },
    h("h2", { id: "confirm-title" }, language.t(isReplaced ? "replace.title" : "delete.title", { name })),
    h(
      "div",
      { id: "confirm-text" },
      h("p", { class: "confirm-question" }, language.t("delete.question")),
      h("p", { class: "muted" }, language.t("delete.consequence", { name })),
      isReplaced ? h("p", { class: "muted" }, language.t("replace.then")) : null,
    ),
    h(
      "div",
      { class: "confirm-actions" },
      button({ class: "button-plain", onPress: actions.cancelDelete }, language.t("action.cancel")),
      button({ class: "button-danger-solid", onPress: actions.confirmDelete }, language.t("action.delete")),
    ),
  );
}
