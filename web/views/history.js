/**
 * History: what happened to one linked account, newest first, in plain words. Events that mean nothing to a person
 * are left out.
 */
import { h } from "../vendor/preact.js";
import { button } from "./parts.js";

const LINES = 20;

/** @param {import("./parts.js").Page} page @param {LinkedAccount} account */
export function historyView({ state, language, actions }, account) {
  const { id } = account;
  const events = state.history[id];
  if (!events) {
    return button(
      {
        id: `history-${id}`,
        class: "button-link",
        working: state.busy[`history-${id}`],
        describedBy: `account-${id}`,
        onPress: () => actions.showHistory(id),
      },
      language.t("history.show"),
    );
  }
  const told = events.filter((event) => language.has(`event.${event.type}`)).slice(0, LINES);
  return h(
    "div",
    { class: "history" },
    h("h4", { id: `history-${id}`, tabIndex: -1 }, language.t("history.title")),
    told.length === 0
      ? h("p", { class: "muted" }, language.t("history.empty"))
      : h(
          "ol",
          null,
          told.map((event) =>
            h(
              "li",
              { key: event.id },
              h("time", { class: "muted", dateTime: event.at }, language.date(event.at)),
              h("span", null, language.t(`event.${event.type}`)),
            ),
          ),
        ),
  );
}
