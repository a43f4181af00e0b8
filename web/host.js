/**
 * The host: a page of the product that shows this one in a frame. It may hand over an access token instead of a
 * sign-in and is told what happened, both by `postMessage` and only with the origins of `/config.json`.
 *
 * From the host: `{type: "tether:access-token", access_token}`.
 * To the host: `{type: "tether:ready" | "tether:access-token-wanted"}`, `{type: "tether:connected" | "tether:disconnected", id, category}`.
 */

import { Problem } from "./problems.js";

/** A host that has not answered by then is reported; its answer still counts when it comes. */
const PATIENCE_MS = 15_000;

/** @typedef {ReturnType<typeof createHostSession>} HostSession */

/** The configured origins that a message can be addressed to. @param {PageConfig} config */
const originsOf = (config) => config.host_origins.filter((origin) => URL.canParse(origin) && new URL(origin).origin === origin);

/**
 * A session whose tokens come from the host. `signOut` and `start` are the host's business.
 * @param {PageConfig} config
 * @param {() => void} late a token came after somebody had given up waiting for it
 */
export function createHostSession(config, late) {
  let token = "";
  let isOverdue = false;
  /** @type {((token: string) => void)[]} */
  let waiting = [];

  window.addEventListener("message", (event) => {
    if (event.source !== window.parent || !originsOf(config).includes(event.origin)) return;
    if (event.data?.type !== "tether:access-token" || typeof event.data.access_token !== "string") return;
    token = event.data.access_token;
    waiting.forEach((resolve) => resolve(token));
    waiting = [];
    if (isOverdue) late();
    isOverdue = false;
  });

  /** @returns {Promise<string>} */
  const next = () =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        isOverdue = true;
        reject(new Problem({ code: "host_silent" }));
      }, PATIENCE_MS);
      waiting.push((given) => {
        clearTimeout(timer);
        resolve(given);
      });
    });

  return {
    accessToken: async () => token || next(),
    /** @param {string | null} refused */
    renew(refused) {
      if (token && token !== refused) return Promise.resolve(token);
      token = "";
      tellHost(config, { type: "tether:access-token-wanted" });
      return next();
    },
  };
}

/**
 * @param {PageConfig} config
 * @param {{type: string, id?: string, category?: string}} event
 */
export function tellHost(config, event) {
  if (window.parent === window) return;
  originsOf(config).forEach((origin) => window.parent.postMessage(event, origin));
}
