/**
 * The dialog: the provider's script, in which a person picks a system and signs in to it. This module loads the script
 * when it is first needed and turns its callbacks into ones that fire at most as often as they mean something. It
 * shows nothing itself and knows nothing of our server.
 */
import { Problem } from "./problems.js";

/** A script or a dialog that is not there by then is reported instead of waited for. */
const PATIENCE_MS = 25_000;

/**
 * @typedef {object} DialogEvents
 * @property {() => void} opened once
 * @property {(publicToken: string) => void} succeeded once
 * @property {() => void} closed once, after `opened`; after `succeeded` or without it
 * @property {() => void} objected what was entered did not do; an open dialog says so itself and stays
 * @property {(problem: Problem) => void} failed once, instead of `opened`; `link_expired`, which asks for a fresh link
 *   token, may come later too, instead of `closed`
 */

/** @param {{detail?: string, problem_type?: string}[]} errors */
const saysExpired = (errors) => errors.some((e) => /expired/i.test(`${e.problem_type} ${e.detail}`));

/** @typedef {ReturnType<typeof createDialog>} Dialog */

/** @param {PageConfig} config */
export function createDialog(config) {
  /** @type {Promise<void> | null} */
  let script = null;
  let isOpen = false;

  /** @returns {Promise<void>} */
  function load() {
    if (window.MergeLink) return Promise.resolve();
    script ??= new Promise((resolve, reject) => {
      const element = document.createElement("script");
      const fail = () => {
        clearTimeout(timer);
        element.remove();
        script = null;
        reject(new Problem({ code: "dialog_unavailable" }));
      };
      const timer = setTimeout(fail, PATIENCE_MS);
      element.src = config.link_script_url;
      element.async = true;
      element.addEventListener("error", fail);
      element.addEventListener("load", () => {
        clearTimeout(timer);
        if (window.MergeLink) resolve();
        else fail();
      });
      document.head.append(element);
    });
    return script;
  }

  /**
   * Opens the dialog with a link token that was made for this call; one that is still open gives way.
   * @param {string} linkToken
   * @param {DialogEvents} events
   */
  function open(linkToken, events) {
    const provider = window.MergeLink;
    if (!provider) throw new Problem({ code: "dialog_unavailable" });
    /** @type {"preparing" | "open" | "ended"} */
    let phase = "preparing";
    let delivered = false;
    /** @param {string} code */
    const fail = (code) => {
      if (phase !== "preparing") return;
      phase = "ended";
      clearTimeout(timer);
      events.failed(new Problem({ code }));
    };
    /** A link token that ended while the dialog was open: nothing more can be done in it. */
    const expire = () => {
      if (phase !== "open") return fail("link_expired");
      phase = "ended";
      isOpen = false;
      provider.closeLink?.();
      events.failed(new Problem({ code: "link_expired" }));
    };
    const timer = setTimeout(() => fail("dialog_unavailable"), PATIENCE_MS);
    if (isOpen) provider.closeLink?.();

    const configuration = {
      linkToken,
      shouldSendTokenOnSuccessfulLink: true,
      ...(config.link_api_host ? { tenantConfig: { apiBaseURL: config.link_api_host } } : {}),
      onReady() {
        if (phase !== "preparing") return;
        phase = "open";
        isOpen = true;
        clearTimeout(timer);
        // Only this shows it; `initialize` merely prepares.
        provider.openLink();
        events.opened();
      },
      onSuccess(/** @type {string} */ publicToken) {
        if (delivered) return;
        delivered = true;
        events.succeeded(publicToken);
      },
      onExit() {
        if (phase !== "open") return;
        phase = "ended";
        isOpen = false;
        events.closed();
      },
      onValidationError(/** @type {{detail?: string, problem_type?: string}[]} */ errors) {
        if (Array.isArray(errors) && saysExpired(errors)) expire();
        else if (phase === "open") events.objected();
        else fail("dialog_refused");
      },
      // Not part of the documented contract; where a version calls it, the dialog shows the error itself.
      onError() {},
    };
    try {
      provider.initialize(configuration);
    } catch {
      fail("dialog_refused");
    }
  }

  return { load, open };
}
