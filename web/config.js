/**
 * The page's configuration: `/config.json`, which the deployment fills from its own settings (types.d.ts has its shape).
 * Nothing else tells this page where it runs or whose name it carries.
 */

/** @returns {Promise<PageConfig>} */
export async function loadConfig() {
  const answer = await fetch("/config.json");
  if (!answer.ok) throw new Error(`config ${answer.status}`);
  return answer.json();
}

/**
 * Whether this page is shown inside a page of the host product that it trusts.
 * @param {PageConfig} config
 */
export function isEmbedded(config) {
  return window.parent !== window && config.host_origins.length > 0;
}

/**
 * @param {PageConfig} config
 * @returns {number} milliseconds between two polls while something is moving
 */
export function pollInterval(config) {
  return (config.poll_seconds ?? 15) * 1000;
}
