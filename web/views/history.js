/**
 * History: the timeline of one linked account, newest first, in plain words.
 */
import { h } from "../vendor/preact.js";
import { timeline } from "../timeline.js";
import { accountName, button } from "./parts.js";

/** Lines shown at first, and added by each press. */
const LINES = 10;

/** @param {import("./parts.js").Page} page @param {LinkedAccount} account */
export function historyView(page, account) {
  const { state, language, actions } = page;
  const { id } = account;
  const history = state.history[id];
  if (!history) {
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
  const lines = timeline(history.events, language.has);
  const name = accountName(page, account);
  const model = (/** @type {string | undefined} */ key) =>
    key ? language.model({ model_id: key, model_name: key.split("@")[0].split(".")[1] ?? key }) : "";
  return h(
    "div",
    { class: "history" },
    h("h4", { id: `history-title-${id}`, tabIndex: -1 }, language.t("history.title")),
    lines.length === 0
      ? h("p", { class: "muted" }, language.t("history.empty"))
      : h(
          "ol",
          null,
          lines.slice(0, history.pages * LINES).map((line) =>
            h(
              "li",
              { key: line.id },
              h("time", { class: "muted", dateTime: line.at, title: language.date(line.at) }, language.moment(line.at, state.now)),
              h("span", null, language.t(line.key, { ...line.params, name, kind: model(line.model) })),
            ),
          ),
        ),
    lines.length > history.pages * LINES
      ? button(
          { id: `earlier-${id}`, class: "button-link", describedBy: `history-title-${id}`, onPress: () => actions.showEarlier(id) },
          language.t("history.earlier"),
        )
      : null,
  );
}
