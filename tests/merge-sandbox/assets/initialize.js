/**
 * The sandbox's stand-in for Merge Link: `window.MergeLink` as Merge's own React and Vue packages drive it.
 *
 * The dialog lives in a shadow root of the page. It obeys a strict content security policy: no inline style, no image,
 * no HTML from strings; it only talks to the sandbox. For tests, every control has a `data-testid`:
 * merge-link-dialog, -heading, -close, -search, -integration-{slug}, -credential, -submit, -error, -finish.
 * The credential `invalid` is refused.
 */
(() => {
  "use strict";

  const SCRIPT_ORIGIN = new URL(document.currentScript.src).origin;

  const TEXT = {
    en: {
      choose: "Select your system", search: "Search", connect: "Connect",
      sign: (name) => `Connect ${name}`, key: "API key", hint: "You find the key in your system's settings.",
      working: "Connecting…", loading: "Loading…", done: (name) => `${name} is connected`,
      doneText: "Your data will be available soon.", finish: "Finish", close: "Close", back: "Back",
      none: "Nothing found", failed: "This page can no longer be used. Close it and start again.",
    },
    de: {
      choose: "System auswählen", search: "Suchen", connect: "Verbinden",
      sign: (name) => `${name} verbinden`, key: "API-Schlüssel", hint: "Der Schlüssel steht in den Einstellungen des Systems.",
      working: "Wird verbunden…", loading: "Wird geladen…", done: (name) => `${name} ist verbunden`,
      doneText: "Ihre Daten sind bald verfügbar.", finish: "Fertig", close: "Schließen", back: "Zurück",
      none: "Nichts gefunden", failed: "Diese Seite ist abgelaufen. Bitte schließen und neu beginnen.",
    },
  };

  const STYLE = `
    :host { all: initial; }
    dialog { box-sizing: border-box; width: min(26rem, calc(100vw - 2rem)); max-height: min(40rem, calc(100vh - 2rem));
      overflow: auto; padding: 1.5rem; border: 0; border-radius: 12px; color: #1f2933; background: #ffffff;
      font: 16px/1.5 system-ui, sans-serif; box-shadow: 0 12px 40px rgb(0 0 0 / .35); }
    dialog::backdrop { background: rgb(15 23 42 / .55); }
    header { display: flex; align-items: center; justify-content: space-between; gap: 1rem; margin-bottom: 1rem; }
    h2 { font-size: 1.25rem; margin: 0; }
    h2:focus { outline: none; }
    ul { list-style: none; margin: 1rem 0 0; padding: 0; display: grid; gap: .5rem; }
    button { font: inherit; cursor: pointer; min-height: 44px; padding: .5rem 1rem; border-radius: 8px;
      border: 1px solid #52606d; background: #ffffff; color: #1f2933; }
    button:focus-visible, input:focus-visible { outline: 3px solid #2456c8; outline-offset: 2px; }
    button[aria-disabled="true"] { cursor: progress; }
    .primary { width: 100%; background: #2456c8; border-color: #2456c8; color: #ffffff; }
    .offer { width: 100%; display: flex; align-items: center; gap: .75rem; text-align: start; }
    .offer svg { width: 32px; height: 32px; flex: none; }
    label { display: block; font-weight: 600; margin-bottom: .25rem; }
    input { box-sizing: border-box; width: 100%; min-height: 44px; font: inherit; padding: .5rem .75rem;
      border: 1px solid #52606d; border-radius: 8px; color: inherit; background: inherit; }
    .hint { margin: .25rem 0 1rem; color: #3e4c59; }
    .error { margin: 0 0 1rem; padding: .75rem; border-radius: 8px; color: #8a1c1c; background: #fdecec; }
    @media (prefers-color-scheme: dark) {
      dialog { color: #f0f4f8; background: #1b2430; }
      button { color: #f0f4f8; background: #1b2430; border-color: #9fb3c8; }
      .primary { background: #2456c8; border-color: #2456c8; color: #ffffff; }
      .hint { color: #bcccdc; }
      .error { color: #ffd7d7; background: #5c1a1a; }
      button:focus-visible, input:focus-visible { outline-color: #8fb4ff; }
    }`;

  /** What `initialize` was given last. @type {object | null} */
  let configuration = null;
  let isReady = false;
  /** The open dialog. @type {Session | null} */
  let session = null;

  /** An element with properties, attributes (keys with a dash, `role`, `for`) and children. */
  function element(name, properties = {}, ...children) {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(properties)) {
      if (key.includes("-") || key === "role" || key === "for") node.setAttribute(key, value);
      else node[key] = value;
    }
    node.append(...children);
    return node;
  }

  /** A lettered logo, drawn in place: the page's policy need not allow images. */
  function logo(offer) {
    const space = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(space, "svg");
    svg.setAttribute("viewBox", "0 0 32 32");
    svg.setAttribute("aria-hidden", "true");
    const square = document.createElementNS(space, "rect");
    for (const [key, value] of Object.entries({ width: 32, height: 32, rx: 7, fill: offer.color })) square.setAttribute(key, value);
    const letter = document.createElementNS(space, "text");
    for (const [key, value] of Object.entries({ x: 16, y: 22, "text-anchor": "middle", "font-size": 17, fill: "#ffffff" })) {
      letter.setAttribute(key, value);
    }
    letter.textContent = offer.name.slice(0, 1).toUpperCase();
    svg.append(square, letter);
    return svg;
  }

  /** One opening of the dialog, from `openLink` to the exit. */
  class Session {
    constructor(options) {
      this.options = options;
      this.origin = options.tenantConfig?.apiBaseURL ?? SCRIPT_ORIGIN;
      this.text = TEXT.en;
      this.chosen = null;
      this.answer = null;
      this.host = element("div", { "data-testid": "merge-link" });
      const root = this.host.attachShadow({ mode: "open" });
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(STYLE);
      root.adoptedStyleSheets = [sheet];
      this.heading = element("h2", { id: "merge-link-heading", tabIndex: -1, "data-testid": "merge-link-heading" });
      this.closer = element("button", { type: "button", "data-testid": "merge-link-close", onclick: () => this.exit() });
      this.body = element("div");
      this.dialog = element(
        "dialog",
        { role: "dialog", "aria-modal": "true", "aria-labelledby": "merge-link-heading", "data-testid": "merge-link-dialog" },
        element("header", {}, this.heading, this.closer),
        this.body,
      );
      this.dialog.addEventListener("cancel", (event) => { event.preventDefault(); this.exit(); });
      this.dialog.addEventListener("keydown", (event) => this.keepFocus(event));
      root.append(this.dialog);
      const parent = options.parentContainerID && document.getElementById(options.parentContainerID);
      this.opener = document.activeElement;
      (parent || document.body).append(this.host);
      this.show(this.text.loading);
      if (parent) this.dialog.show(); else this.dialog.showModal();
      this.load();
    }

    /** Tab goes round within the dialog. */
    keepFocus(event) {
      if (event.key === "Escape") { event.preventDefault(); event.stopPropagation(); this.exit(); }
      if (event.key !== "Tab") return;
      const stops = [...this.dialog.querySelectorAll("button, input")].filter((stop) => !stop.hidden);
      const active = this.dialog.getRootNode().activeElement;
      const edge = event.shiftKey ? stops[0] : stops[stops.length - 1];
      if (active !== edge && active !== this.heading) return;
      if (active === this.heading && !event.shiftKey) return;
      event.preventDefault();
      (event.shiftKey ? stops[stops.length - 1] : stops[0]).focus();
    }

    show(heading, ...children) {
      this.heading.textContent = heading;
      this.closer.textContent = this.text.close;
      this.body.replaceChildren(...children);
    }

    async call(path, body) {
      const options = body && { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), keepalive: true };
      const token = encodeURIComponent(String(this.options.linkToken));
      const answer = await fetch(`${this.origin}/api/integrations/link/${token}/${path}`, options);
      if (!answer.ok) throw new Error(`the sandbox answered ${answer.status}`);
      return answer.json();
    }

    async load() {
      let offers;
      try {
        offers = await this.call("initiate");
      } catch {
        this.fail();
        return;
      }
      if (session !== this) return;
      this.text = TEXT[offers.language] ?? TEXT.en;
      this.host.lang = offers.language;
      const fixed = offers.integrations.find((offer) => offer.slug === offers.preselected);
      if (fixed) this.form(fixed); else this.choice(offers.integrations);
    }

    fail() {
      this.show(this.text.close, element("p", { className: "error", role: "alert", "data-testid": "merge-link-error" }, this.text.failed));
      this.heading.focus();
    }

    choice(offers) {
      const list = element("ul");
      const fill = (wanted) => {
        const found = offers.filter((offer) => offer.name.toLowerCase().includes(wanted.trim().toLowerCase()));
        list.replaceChildren(...found.map((offer) => element("li", {}, element(
          "button",
          {
            type: "button", className: "offer", onclick: () => this.form(offer, offers),
            "data-testid": `merge-link-integration-${offer.slug}`,
          },
          logo(offer), offer.name,
        ))));
        if (found.length === 0) list.append(element("li", {}, this.text.none));
      };
      const search = element("input", { type: "search", id: "merge-link-search", "data-testid": "merge-link-search", autocomplete: "off" });
      search.addEventListener("input", () => fill(search.value));
      fill("");
      this.show(this.text.choose, element("label", { for: "merge-link-search" }, this.text.search), search, list);
      search.focus();
    }

    form(offer, offers) {
      this.chosen = offer;
      const error = element("p", { className: "error", role: "alert", hidden: true, id: "merge-link-error", "data-testid": "merge-link-error" });
      const field = element("input", {
        type: "text", id: "merge-link-credential", required: true, autocomplete: "off", spellcheck: false,
        "aria-describedby": "merge-link-hint", "data-testid": "merge-link-credential",
      });
      const submit = element("button", { type: "submit", className: "primary", "data-testid": "merge-link-submit" }, this.text.connect);
      const form = element(
        "form", { noValidate: true },
        element("label", { for: "merge-link-credential" }, this.text.key), field,
        element("p", { id: "merge-link-hint", className: "hint" }, this.text.hint), error, submit,
      );
      const refuse = (message) => {
        error.textContent = message;
        error.hidden = false;
        field.setAttribute("aria-invalid", "true");
        field.setAttribute("aria-describedby", "merge-link-hint merge-link-error");
        field.focus();
      };
      form.addEventListener("submit", async (event) => {
        event.preventDefault();
        if (submit.getAttribute("aria-disabled") === "true") return;
        if (!field.value.trim()) { refuse(this.text.hint); return; }
        error.hidden = true;
        submit.setAttribute("aria-disabled", "true");
        submit.textContent = this.text.working;
        await this.submit(offer, field.value.trim(), refuse);
        submit.setAttribute("aria-disabled", "false");
        submit.textContent = this.text.connect;
      });
      const back = offers
        ? [element("button", { type: "button", onclick: () => this.choice(offers), "data-testid": "merge-link-back" }, this.text.back)]
        : [];
      this.show(this.text.sign(offer.name), form, ...back);
      field.focus();
    }

    async submit(offer, credential, refuse) {
      let answer;
      try {
        answer = await this.call("linked-account", { integration_slug: offer.slug, credentials: { api_key: credential } });
      } catch {
        this.fail();
        return;
      }
      if (session !== this) return;
      if (answer.errors) {
        refuse(answer.errors.map((error) => error.detail).join(" "));
        this.options.onValidationError?.(answer.errors);
        return;
      }
      this.answer = answer;
      const finish = element("button", { type: "button", className: "primary", onclick: () => this.exit(), "data-testid": "merge-link-finish" }, this.text.finish);
      this.show(this.text.done(offer.name), element("p", {}, this.text.doneText), finish);
      this.heading.focus();
      if (this.options.shouldSendTokenOnSuccessfulLink !== false) this.sendToken();
    }

    sendToken() {
      const { public_token: token, is_token_for_other_preexisting_linked_account: isOther } = this.answer;
      this.options.onSuccess?.(token, { isTokenForOtherPreexistingLinkedAccount: isOther });
    }

    /** Closes the dialog; `onExit` comes on every way out, after a success too. */
    exit() {
      if (session !== this) return;
      session = null;
      this.dialog.close();
      this.host.remove();
      if (this.opener instanceof HTMLElement && this.opener.isConnected) this.opener.focus();
      if (this.chosen && !this.answer) {
        this.call("linked-account", { integration_slug: this.chosen.slug, exit: true }).catch(() => {});
      }
      if (this.answer && this.options.shouldSendTokenOnSuccessfulLink === false) this.sendToken();
      this.options.onExit?.();
    }
  }

  const given = (config) => Object.fromEntries(Object.entries(config ?? {}).filter(([, value]) => value !== undefined));

  window.MergeLink = {
    /** Prepares; shows nothing. May be called on every render: the last configuration counts. */
    initialize(config) {
      configuration = { ...given(config) };
      // Never within the call, as with the real script.
      setTimeout(() => {
        isReady = true;
        config?.onReady?.();
      }, 0);
    },
    /** Opens the dialog; the argument's keys replace those of `initialize`. */
    openLink(config) {
      if (!isReady || !configuration) {
        console.warn("MergeLink.openLink was called before onReady: nothing is shown.");
        return;
      }
      if (session) return;
      session = new Session({ ...configuration, ...given(config) });
    },
    update(config) {
      configuration = { ...configuration, ...given(config) };
      if (session) Object.assign(session.options, given(config));
    },
    closeLink() {
      session?.exit();
    },
  };
})();
