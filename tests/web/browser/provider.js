/**
 * The provider's dialog as the sandbox shows it: what a person does in it.
 */

/** @typedef {import("playwright-core").Page} BrowserPage */

/** A credential that no other test uses: equal ones are duplicates of each other. */
let credentials = 0;
export const newCredential = () => `key-${process.pid}-${Date.now()}-${(credentials += 1)}`;

/** @param {BrowserPage} page */
export const dialogOf = (page) => page.getByTestId("merge-link-dialog");

/** @param {BrowserPage} page @param {string} slug */
export async function choose(page, slug) {
  await page.getByTestId(`merge-link-integration-${slug}`).click();
}

/** @param {BrowserPage} page @param {string} credential */
export async function enter(page, credential) {
  await page.getByTestId("merge-link-credential").fill(credential);
  await page.getByTestId("merge-link-submit").click();
}

/** @param {BrowserPage} page */
export async function finish(page) {
  await page.getByTestId("merge-link-finish").click();
  await dialogOf(page).waitFor({ state: "detached" });
}

/** @param {BrowserPage} page */
export async function close(page) {
  await page.getByTestId("merge-link-close").click();
  await dialogOf(page).waitFor({ state: "detached" });
}

/**
 * Connects a system from the press of the button to the closed dialog.
 * @param {BrowserPage} page
 * @param {{button?: string, slug?: string, credential?: string}} [choice]
 */
export async function connect(page, { button = "#connect-hris", slug = "bamboohr", credential = newCredential() } = {}) {
  await page.locator(button).click();
  await choose(page, slug);
  await enter(page, credential);
  await finish(page);
}
