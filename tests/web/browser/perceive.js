/**
 * What a person perceives on the page, by eye or by assistive technology: text, title, alt, aria, placeholder, value,
 * the tab's title. The provider's own dialog is not ours and left out.
 */

/** @typedef {import("playwright-core").Page} BrowserPage */
/** @typedef {{text: string, time: boolean}} Perceived `time`: formatted by Intl inside a <time> */

/** @param {BrowserPage} page @returns {Promise<Perceived[]>} */
export function perceive(page) {
  return page.evaluate(() => {
    /** @type {{text: string, time: boolean}[]} */
    const found = [{ text: document.title, time: false }];
    const add = (/** @type {string | null | undefined} */ text, /** @type {Element} */ at) => {
      if (text?.trim()) found.push({ text: text.trim(), time: Boolean(at.closest("time")) });
    };
    const ours = document.querySelectorAll("#app, #app *, #unavailable:not([hidden]), #unavailable:not([hidden]) *");
    for (const element of ours) {
      for (const node of element.childNodes) if (node.nodeType === Node.TEXT_NODE) add(node.textContent, element);
      for (const name of ["title", "alt", "placeholder", "aria-label", "aria-description", "aria-roledescription", "aria-valuetext"]) {
        add(element.getAttribute(name), name === "title" && element.tagName === "TIME" ? element : document.body);
      }
      if (element instanceof HTMLInputElement) add(element.value, element);
      for (const pseudo of ["::before", "::after"]) {
        const { content } = getComputedStyle(element, pseudo);
        if (content.startsWith('"')) add(content.slice(1, -1), document.body);
      }
    }
    return found;
  });
}
