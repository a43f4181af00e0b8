/**
 * One linked account as a person sees it: which system, how it is, how fresh its data is, what happens next and who
 * must act, and what can be done.
 */
import { h } from "../vendor/preact.js";
import { nextUpdate, summarize } from "../progress.js";
import { elsewhereView, issuesView } from "./attention.js";
import { duplicatesView } from "./duplicates.js";
import { icon } from "./icons.js";
import { accountName, appearance, button, logo, notice } from "./parts.js";
import { historyView } from "./history.js";

/** @typedef {import("./parts.js").Page} Page */

/** @type {Record<HealthState, string>} */
const STATE_ICONS = {
  connecting: "moving",
  first_sync: "moving",
  healthy: "healthy",
  degraded: "degraded",
  action_needed: "action_needed",
  paused: "paused",
  disconnecting: "disconnected",
  disconnected: "disconnected",
};

/** @type {Record<import("../progress.js").KindState, string>} */
const KIND_ICONS = {
  ready: "healthy",
  running: "moving",
  waiting: "waiting",
  partial: "degraded",
  failed: "degraded",
  off: "paused",
};

/** @param {Page} page @param {LinkedAccount} account */
export function accountView(page, account) {
  const { state } = page;
  const { id, health } = account;
  const name = accountName(page, account);
  const open = Boolean(state.open[id]);
  return h(
    "li",
    { key: id, class: `account account-${health.state}` },
    h(
      "article",
      { "aria-labelledby": `account-${id}` },
      h(
        "div",
        { class: "account-head" },
        logo({ name: account.integration?.name ?? name, ...appearance(page, account) }),
        h("div", { class: "account-title" }, title(page, account, name), h("p", { class: "muted" }, subtitle(page, account))),
        stateBadge(page, health),
      ),
      sentence(page, account, name),
      health.state === "first_sync" || health.state === "connecting" ? firstSync(page, account) : facts(page, account),
      elsewhereView(page, account),
      duplicatesView(page, account),
      notice(page, `account-${id}`),
      notice(page, `relink-${id}`),
      actionsView(page, account, open),
      open ? details(page, account) : null,
    ),
  );
}

/** @param {Page} page @param {LinkedAccount} account @param {string} name */
function title(page, account, name) {
  const { state, language, actions } = page;
  const { id } = account;
  if (state.renaming !== id) return h("h3", { id: `account-${id}`, tabIndex: -1 }, name);
  return h(
    "form",
    {
      class: "rename",
      onSubmit: (/** @type {Event} */ event) => {
        event.preventDefault();
        const form = /** @type {HTMLFormElement} */ (event.target);
        void actions.rename(id, String(new FormData(form).get("name") ?? ""));
      },
      onKeyDown: (/** @type {KeyboardEvent} */ event) => {
        if (event.key === "Escape") actions.cancelRename(id);
      },
    },
    h("h3", { id: `account-${id}`, class: "visually-hidden", tabIndex: -1 }, name),
    h("label", { class: "visually-hidden", for: `name-${id}` }, language.t("rename.label")),
    h("input", { id: `name-${id}`, name: "name", maxLength: 80, defaultValue: name, autocomplete: "off" }),
    h("button", { type: "submit", class: "button button-small button-primary" }, language.t("rename.save")),
    button({ class: "button-small button-quiet", onPress: () => actions.cancelRename(id) }, language.t("action.cancel")),
  );
}

/** The category, and the system's own name where a person gave it another. @param {Page} page @param {LinkedAccount} account */
function subtitle({ language }, account) {
  const category = language.category(account.category);
  const own = account.integration?.name;
  return account.display_name && own && own !== account.display_name ? `${own} · ${category}` : category;
}

/** @param {Page} page @param {Health} health */
function stateBadge({ language, state }, health) {
  return h(
    "p",
    { class: `state state-${health.state}` },
    icon(STATE_ICONS[health.state] ?? "degraded"),
    h("span", { class: "state-word" }, language.t(`state.${health.state}`)),
    health.since
      ? h("time", { class: "muted", dateTime: health.since, title: language.date(health.since) }, language.ago(health.since, state.now))
      : null,
  );
}

/**
 * Who acts next, as a dictionary key; null where the cause already says it.
 * @param {Health} health
 */
function nextStep({ state, reason, actor, can_reconnect: canReconnect }) {
  if (reason === "relink_ineffective") return null;
  if (actor === "operator" || actor === "nobody") return `actor.${actor}`;
  return state === "action_needed" && canReconnect ? `actor.${actor}` : null;
}

/** One sentence of cause and one of who acts; silence when all is well. @param {Page} page @param {LinkedAccount} account @param {string} name */
function sentence({ language }, { health }, name) {
  if (health.state === "healthy") return null;
  const words = { name };
  const reason = language.has(`reason.${health.reason}`) ? `reason.${health.reason}` : null;
  // What a first sync is stays worth saying while there is more to say.
  const [cause, step] =
    health.state === "first_sync"
      ? ["explain.first_sync", reason]
      : [reason ?? `explain.${health.state}`, nextStep(health)];
  return h(
    "p",
    { class: "account-sentence" },
    language.t(cause, words),
    step && language.has(step) ? ` ${language.t(step, words)}` : "",
  );
}

/** @param {Page} page @param {LinkedAccount} account */
function facts({ language, state }, account) {
  const fresh = account.data_fresh_as_of;
  return h(
    "p",
    { class: "facts" },
    h("span", { class: "fact" }, language.t("account.records", { count: account.records })),
    fresh ? h("span", { class: "fact" }, h("time", { dateTime: fresh, title: language.date(fresh) }, language.t("account.fresh", { time: language.moment(fresh, state.now) }))) : null,
  );
}

/** @param {Page} page @param {LinkedAccount} account */
function firstSync(page, account) {
  const { language, state } = page;
  const progress = state.progress[account.id];
  const summary = progress ? summarize(progress) : null;
  const label = summary?.total
    ? language.t("first_sync.progress", { here: summary.here, total: summary.total })
    : language.t("first_sync.starting");
  return h(
    "div",
    { class: "first-sync" },
    h(
      "div",
      { class: "first-sync-line" },
      h("span", { id: `progress-${account.id}` }, label),
      summary?.records ? h("span", { class: "muted" }, language.t("account.records", { count: summary.records })) : null,
    ),
    h("progress", {
      "aria-labelledby": `progress-${account.id}`,
      max: summary?.total || 1,
      value: summary?.here ?? 0,
    }),
    summary?.total ? kinds(page, summary) : null,
  );
}

/** @param {Page} page @param {ReturnType<typeof summarize>} summary */
function kinds({ language }, summary) {
  const named = summary.kinds
    .map((kind) => ({ ...kind, name: language.model(kind.model) }))
    .sort((a, b) => a.name.localeCompare(b.name, language.locale));
  return h(
    "ul",
    { class: "kinds" },
    named.map(({ model, state, records, name }) =>
      h(
        "li",
        { key: model.model_id, class: `kind kind-${state}` },
        icon(KIND_ICONS[state]),
        h("span", { class: "kind-name" }, name),
        h(
          "span",
          { class: "kind-count" },
          state === "ready" || (state === "running" && records) ? language.number(records) : language.t(`kind.${state}`),
          state === "ready" ? h("span", { class: "visually-hidden" }, ` ${language.t("kind.ready")}`) : null,
        ),
      ),
    ),
  );
}

/** @param {Page} page @param {LinkedAccount} account @param {boolean} open */
function actionsView({ state, language, actions }, account, open) {
  const { id, health } = account;
  const phase = state.attempts[`relink-${id}`]?.phase;
  const urgent = health.state === "action_needed" && health.actor !== "operator" && health.actor !== "nobody";
  const describedBy = `account-${id}`;
  return h(
    "div",
    { class: "account-actions" },
    health.can_reconnect
      ? button(
          {
            id: `relink-${id}`,
            class: urgent ? "button-primary" : "button-plain",
            working: phase === "starting" || phase === "finishing",
            describedBy,
            onPress: () => actions.relink(account),
          },
          language.t(phase === "starting" ? "action.initializing" : phase === "finishing" ? "action.finishing" : "action.relink"),
        )
      : null,
    health.can_refresh
      ? button(
          {
            id: `refresh-${id}`,
            class: "button-plain",
            working: state.busy[`refresh-${id}`],
            describedBy,
            onPress: () => actions.refreshNow(id),
          },
          language.t("action.refresh"),
        )
      : null,
    button(
      { id: `delete-${id}`, class: "button-plain button-danger", describedBy, onPress: () => actions.askToDelete(id, `delete-${id}`) },
      language.t("action.delete"),
    ),
    h(
      "button",
      {
        type: "button",
        class: "button button-quiet details-toggle",
        id: `details-${id}`,
        "aria-expanded": open ? "true" : "false",
        "aria-controls": open ? `panel-${id}` : undefined,
        "aria-describedby": describedBy,
        onClick: () => actions.toggle(id, !open),
      },
      language.t("action.details"),
      icon("chevron"),
    ),
  );
}

/** @param {Page} page @param {LinkedAccount} account */
function details(page, account) {
  const { state, language, actions } = page;
  const { id, health } = account;
  const progress = state.progress[id];
  const summary = progress ? summarize(progress) : null;
  const next = progress ? nextUpdate(progress, state.now) : null;
  const showsKinds = health.state !== "first_sync" && health.state !== "connecting";
  return h(
    "div",
    { class: "details", id: `panel-${id}` },
    issuesView(page, account),
    showsKinds && summary?.total ? h("h4", null, language.t("details.kinds")) : null,
    showsKinds && summary?.total ? kinds(page, summary) : null,
    h(
      "p",
      { class: "details-line muted" },
      h("time", { dateTime: account.created_at }, language.t("details.connected_on", { time: language.day(account.created_at) })),
      next ? h("time", { dateTime: next }, language.t("details.next", { time: language.moment(next, state.now) })) : null,
      button(
        { id: `rename-${id}`, class: "button-link", describedBy: `account-${id}`, onPress: () => actions.startRename(id) },
        language.t("action.rename"),
      ),
    ),
    historyView(page, account),
  );
}
