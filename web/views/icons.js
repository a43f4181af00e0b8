/**
 * Icons: drawn on a 24 × 24 grid, one stroke, in the colour of the text beside them. They are always decoration: the
 * word next to an icon carries its meaning.
 */
import { h } from "../vendor/preact.js";

/** @type {Record<string, string>} */
const PATHS = {
  hris: "M9 11.2a3.2 3.2 0 1 0 0-6.4 3.2 3.2 0 0 0 0 6.4ZM3.2 19.2c.5-3.2 2.8-5 5.8-5s5.3 1.8 5.8 5M15.6 5.2a3 3 0 0 1 0 5.6M17.4 14.6c1.9.7 3 2.2 3.4 4.6",
  ats: "M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13ZM15.4 15.4 20.5 20.5M10.5 10.2a1.7 1.7 0 1 0 0-3.4 1.7 1.7 0 0 0 0 3.4ZM7.4 14.3c.5-1.6 1.6-2.4 3.1-2.4s2.6.8 3.1 2.4",
  crm: "M5 5h14a2 2 0 0 1 2 2v10a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2V7a2 2 0 0 1 2-2ZM8.5 11.4a1.8 1.8 0 1 0 0-3.6 1.8 1.8 0 0 0 0 3.6ZM5.6 16c.4-1.6 1.4-2.4 2.9-2.4s2.5.8 2.9 2.4M14.6 10h3.6M14.6 14h2.6",
  accounting:
    "M7 3h10a2 2 0 0 1 2 2v14a2 2 0 0 1-2 2H7a2 2 0 0 1-2-2V5a2 2 0 0 1 2-2ZM8.6 7.4h6.8M8.7 12h.02M12 12h.02M15.3 12h.02M8.7 16.2h.02M12 16.2h.02M15.3 16.2h.02",
  ticketing:
    "M5 5.5h14A1.5 1.5 0 0 1 20.5 7v2.4a2.6 2.6 0 0 0 0 5.2V17a1.5 1.5 0 0 1-1.5 1.5H5A1.5 1.5 0 0 1 3.5 17v-2.4a2.6 2.6 0 0 0 0-5.2V7A1.5 1.5 0 0 1 5 5.5ZM14.5 9v.02M14.5 12v.02M14.5 15v.02",
  filestorage:
    "M3.5 17.5v-11A1.5 1.5 0 0 1 5 5h4.2l2.3 2.6H19a1.5 1.5 0 0 1 1.5 1.5v8.4A1.5 1.5 0 0 1 19 19H5a1.5 1.5 0 0 1-1.5-1.5Z",
  knowledgebase:
    "M12 6.6C10.4 5.3 8 4.7 4 4.8v13.4c4-.1 6.4.5 8 1.8 1.6-1.3 4-1.9 8-1.8V4.8c-4-.1-6.4.5-8 1.8ZM12 6.6V20",
  other: "M5 5h5.5v5.5H5ZM13.5 5H19v5.5h-5.5ZM5 13.5h5.5V19H5ZM13.5 13.5H19V19h-5.5Z",
  healthy: "M12 20.5a8.5 8.5 0 1 0 0-17 8.5 8.5 0 0 0 0 17ZM8.4 12.2l2.5 2.5 4.8-5.2",
  moving: "M19.4 9.2A8 8 0 0 0 5 8.4M4.6 14.8A8 8 0 0 0 19 15.6M5 4.6v3.8h3.8M19 19.4v-3.8h-3.8",
  degraded: "M12 20.5a8.5 8.5 0 1 0 0-17 8.5 8.5 0 0 0 0 17ZM12 8v4.6M12 15.9v.02",
  action_needed: "M12 4.2 3.4 19.2h17.2ZM12 10.2v4M12 16.8v.02",
  paused: "M12 20.5a8.5 8.5 0 1 0 0-17 8.5 8.5 0 0 0 0 17ZM10 9.2v5.6M14 9.2v5.6",
  disconnected: "M12 20.5a8.5 8.5 0 1 0 0-17 8.5 8.5 0 0 0 0 17ZM9 9l6 6M15 9l-6 6",
  waiting: "M12 20.5a8.5 8.5 0 1 0 0-17 8.5 8.5 0 0 0 0 17ZM12 7.6V12l2.8 1.8",
  chevron: "M7 10l5 5 5-5",
  search: "M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13ZM15.4 15.4 20.5 20.5",
};

/** @param {string} name */
export function icon(name) {
  return h(
    "svg",
    { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true", focusable: "false" },
    h("path", { d: PATHS[name] ?? PATHS.other }),
  );
}
