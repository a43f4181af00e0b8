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
 * @property {() => void} opened
 * @property {(publicToken: string) => void} succeeded once
 * @property {() => void} closed once; after `succeeded` or without it
 * @property {(errors: {detail?: string, problem_type?: string}[]) => void} refused the dialog could not start
 */

/** @typedef {ReturnType<typeof createDialog>} Dialog */

/** @param {PageConfig} config */
export function createDialog(config) {
  /** @type {Promise<void> | null} */
  let script = null;

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
      element.onerror = fail;
      element.onload = () => {
        clearTimeout(timer);
        if (window.MergeLink) resolve();
        else fail();
      };
      document.head.append(element);
    });
    return script;
  }

  /**
   * Opens the dialog with a link token that was made for this call.
   * @param {string} linkToken
   * @param {DialogEvents} events
   */
  function open(linkToken, events) {
    let ended = false;
    let opened = false;
    /** @type {ReturnType<typeof setTimeout>} */
    let timer;
    /** @param {() => void} report */
    const end = (report) => {
      if (ended) return;
      ended = true;
      clearTimeout(timer);
      report();
    };
    let delivered = false;

    timer = setTimeout(() => end(() => events.refused([{ problem_type: "dialog_unavailable" }])), PATIENCE_MS);
    const dialog = window.MergeLink;
    if (!dialog) throw new Problem({ code: "dialog_unavailable" });
    dialog.initialize({
      linkToken,
      shouldSendTokenOnSuccessfulLink: true,
      ...(config.link_api_host ? { tenantConfig: { apiBaseURL: config.link_api_host } } : {}),
      onReady() {
        if (ended || opened) return;
        opened = true;
        clearTimeout(timer);
        dialog.openLink();
        events.opened();
      },
      onSuccess(publicToken) {
        if (delivered) return;
        delivered = true;
        events.succeeded(publicToken);
      },
      onExit: () => end(events.closed),
      onValidationError: (errors) => end(() => events.refused(Array.isArray(errors) ? errors : [])),
      // Not part of the documented contract; where a version calls it, the dialog shows the error itself.
      onError() {},
    });
  }

  return { load, open };
}
