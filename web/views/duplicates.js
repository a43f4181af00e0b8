/**
 * Duplicates: connections that were made with the same login. A person reviews the set, keeps it as it is, or deletes
 * one of it. Only the person's own organization is ever shown.
 */
import { h } from "../vendor/preact.js";
import { icon } from "./icons.js";
import { accountName, button } from "./parts.js";

/** @typedef {import("./parts.js").Page} Page */

/** @param {Page} page @param {LinkedAccount} account */
export function duplicatesView(page, account) {
  const { language, actions, state } = page;
  const { id } = account;
  if (!account.is_duplicate || account.duplicate_ignored) return null;
  const others = state.duplicates[id];
  return h(
    "div",
    { class: "notice notice-info" },
    icon("degraded"),
    h(
      "div",
      { class: "notice-body" },
      h("p", null, language.t("duplicate.sentence")),
      others ? review(page, account, others) : null,
      h(
        "p",
        { class: "notice-actions" },
        others
          ? null
          : button(
              {
                id: `review-${id}`,
                class: "button-link",
                working: state.busy[`duplicate-${id}`],
                describedBy: `account-${id}`,
                onPress: () => actions.reviewDuplicates(id),
              },
              language.t("duplicate.review"),
            ),
        button(
          {
            class: "button-link",
            working: state.busy[`duplicate-${id}`],
            describedBy: `account-${id}`,
            onPress: () => actions.ignoreDuplicate(id),
          },
          language.t(others?.length === 0 ? "duplicate.dismiss" : "duplicate.keep"),
        ),
      ),
    ),
  );
}

/** @param {Page} page @param {LinkedAccount} account @param {LinkedAccount[]} others */
function review(page, account, others) {
  const { language } = page;
  const heading = h(
    "p",
    { id: `duplicates-${account.id}`, tabIndex: -1, class: "set-heading" },
    language.t(others.length > 0 ? "duplicate.set" : "duplicate.alone"),
  );
  if (others.length === 0) return heading;
  return [heading, h("ul", { class: "set" }, [account, ...others].map((member) => memberView(page, member, member.id === account.id)))];
}

/** @param {Page} page @param {LinkedAccount} member @param {boolean} isThis */
function memberView(page, member, isThis) {
  const { language, actions } = page;
  const name = accountName(page, member);
  return h(
    "li",
    { key: member.id, class: "set-member" },
    h(
      "span",
      { class: "set-name" },
      h("span", { id: `member-${member.id}` }, name),
      h(
        "span",
        { class: "muted" },
        " · ",
        h("time", { dateTime: member.created_at }, language.t("details.connected_on", { time: language.day(member.created_at) })),
        isThis ? ` · ${language.t("duplicate.this")}` : "",
      ),
    ),
    isThis
      ? null
      : button(
          { class: "button-link", describedBy: `member-${member.id}`, onPress: () => actions.goTo(member.id) },
          language.t("duplicate.show"),
        ),
  );
}
