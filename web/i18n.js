/**
 * Language: a dictionary per locale (`locales/*.json`, flat keys) and the formats of `Intl`. Every word a person reads
 * comes from here; no other module holds a sentence.
 */

/** Locales that have a dictionary. The provider's dialog speaks the same ones. */
export const LOCALES = ["en", "de"];

/**
 * The first locale that we have a dictionary for, English otherwise.
 * @param {string} setting a locale, or "auto" for the browser's languages
 * @param {readonly string[]} browserLanguages
 */
export function chooseLocale(setting, browserLanguages) {
  const wanted = setting === "auto" ? browserLanguages : [setting];
  for (const tag of wanted) {
    const language = String(tag).toLowerCase().split("-")[0];
    if (LOCALES.includes(language)) return language;
  }
  return "en";
}

/**
 * @param {string} locale
 * @returns {Promise<Record<string, string>>}
 */
export async function loadDictionary(locale) {
  // Beside this module, so that words and code are always of one version.
  const answer = await fetch(new URL(`./locales/${locale}.json`, import.meta.url));
  if (!answer.ok) throw new Error(`dictionary ${answer.status}`);
  return answer.json();
}

/** @type {[Intl.RelativeTimeFormatUnit, number][]} unit and its length in seconds, longest first */
const UNITS = [
  ["year", 31_536_000],
  ["month", 2_592_000],
  ["week", 604_800],
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];

/** @typedef {ReturnType<typeof createLanguage>} Language */

/**
 * @param {string} locale
 * @param {Record<string, string>} dictionary
 * @param {Record<string, string>} [always] values that every sentence may name
 */
export function createLanguage(locale, dictionary, always = {}) {
  const numbers = new Intl.NumberFormat(locale);
  const plurals = new Intl.PluralRules(locale);
  const dates = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });
  const days = new Intl.DateTimeFormat(locale, { dateStyle: "medium" });
  const thisYear = new Intl.DateTimeFormat(locale, { day: "numeric", month: "short", hour: "numeric", minute: "2-digit" });
  const today = new Intl.DateTimeFormat(locale, { timeStyle: "short" });
  const relative = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });

  /**
   * The sentence of a key, `{name}` replaced by `params.name`. With a number in `params.count` the key may have the
   * variants `key.one` and `key.other`. Numbers are formatted.
   * @param {string} key
   * @param {Record<string, string | number>} [params]
   */
  function t(key, params = {}) {
    const variant = typeof params.count === "number" ? `${key}.${plurals.select(params.count)}` : key;
    const sentence = dictionary[variant] ?? dictionary[`${key}.other`] ?? dictionary[key] ?? "";
    return sentence.replace(/\{(\w+)\}/g, (_, name) => {
      const value = params[name] ?? always[name] ?? "";
      return typeof value === "number" ? numbers.format(value) : value;
    });
  }

  return {
    locale,
    t,
    /** @param {string} key */
    has: (key) => key in dictionary,
    /** @param {number} value */
    number: (value) => numbers.format(value),
    /** @param {string} iso an RFC 3339 time */
    date: (iso) => dates.format(new Date(iso)),
    /** @param {string} iso */
    day: (iso) => days.format(new Date(iso)),
    /**
     * As much of a time as is not plain from now: the clock alone for today.
     * @param {string} iso
     * @param {number} now milliseconds
     */
    moment(iso, now) {
      const [then, here] = [new Date(iso), new Date(now)];
      if (days.format(then) === days.format(here)) return today.format(then);
      return (then.getFullYear() === here.getFullYear() ? thisYear : dates).format(then);
    },
    /**
     * "5 minutes ago"; under a minute the dictionary's "just now". A clock that is behind never makes a past future.
     * @param {string} iso
     * @param {number} now milliseconds
     */
    ago(iso, now) {
      const seconds = Math.max(0, (now - Date.parse(iso)) / 1000);
      for (const [unit, length] of UNITS) {
        if (seconds >= length) return relative.format(-Math.floor(seconds / length), unit);
      }
      return t("time.just_now");
    },
    /**
     * "HR and people" for `hris`; an unknown category keeps its own name.
     * @param {string} category
     */
    category: (category) => dictionary[`category.${category}.name`] ?? category,
    /**
     * The plain name of a kind of data. Unknown kinds are shown as spaced words ("TimeOff" → "Time off").
     * @param {{model_id: string, model_name: string}} model
     */
    model(model) {
      const plain = model.model_id.split("@")[0];
      const known = dictionary[`model.${plain}`] ?? dictionary[`model.${plain.split(".")[1]}`];
      if (known) return known;
      const words = model.model_name.replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();
      return words.charAt(0).toUpperCase() + words.slice(1);
    },
  };
}
