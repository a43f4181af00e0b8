/**
 * What a person can say about an account that wants attention: that they know of a problem, and that a fresh login which
 * led to a different account was meant so.
 */
import { h } from "../vendor/preact.js";
import { causeOf } from "../timeline.js";
import { icon } from "./icons.js";
import { accountName, button } from "./parts.js";

/** @typedef {import("./parts.js").Page} Page */

/** A fresh login led elsewhere: nothing is deleted until somebody confirms it. @param {Page} page @param {LinkedAccount} account */
export function elsewhereView(page, account) {
  const { language, actions, state } = page;
  const { id } = account;
  if (!account.deletions_held) return null;
  return h(
    "div",
    { class: "notice notice-warning" },
    icon("action_needed"),
    h(
      "div",
      { class: "notice-body" },
      h("p", { id: `elsewhere-text-${id}` }, language.t("elsewhere.sentence", { name: accountName(page, account) })),
      h(
        "p",
        { class: "notice-actions" },
        button(
          {
            id: `elsewhere-${id}`,
            class: "button-link",
            working: state.busy[`elsewhere-${id}`],
            describedBy: `elsewhere-text-${id}`,
            onPress: () => actions.confirmElsewhere(account),
          },
          language.t("elsewhere.confirm"),
        ),
      ),
    ),
  );
}

/** Open problems, each with its own sentence and a way to hide it. @param {Page} page @param {LinkedAccount} account */
export function issuesView(page, account) {
  const { language, state, actions } = page;
  const { id, open_issues: open } = account;
  if (open.length === 0) return null;
  const name = accountName(page, account);
  return h(
    "div",
    { class: "history" },
    h("h4", { id: `issues-${id}`, tabIndex: -1 }, language.t("details.issues")),
    h(
      "ul",
      null,
      open.map((issue) =>
        h(
          "li",
          { key: issue.id },
          h("time", { class: "muted", dateTime: issue.first_seen, title: language.date(issue.first_seen) }, language.moment(issue.first_seen, state.now)),
          h("span", { id: `issue-text-${issue.id}` }, language.t(causeOf(issue.type) ?? "reason.api_error", { name })),
          button(
            {
              class: "button-link",
              working: state.busy[`issue-${issue.id}`],
              describedBy: `issue-text-${issue.id}`,
              onPress: () => actions.hideIssue(id, issue.id),
            },
            language.t("issue.hide"),
          ),
        ),
      ),
    ),
  );
}
