/**
 * Theme: the brand's accent colour, made readable. The accent comes from configuration and may be anything, so its
 * variants for text on light and on dark ground are mixed until they reach WCAG's contrast of 4.5. Pure but for `apply`.
 */

/** @typedef {[number, number, number]} Rgb channels 0–255 */

/** Grounds of style.css that accent-coloured text stands on. */
const LIGHT = /** @type {Rgb} */ ([247, 247, 245]);
const DARK = /** @type {Rgb} */ ([33, 36, 41]);
/** WCAG asks for 4.5; tinted buttons stand on less than the full contrast, and a bright accent is nicer in the dark. */
const READABLE = 4.6;
const ON_LIGHT = 5.4;
const ON_DARK = 6.8;

/**
 * @param {string} text `#rgb` or `#rrggbb`
 * @returns {Rgb | null}
 */
export function parseColour(text) {
  const short = /^#([0-9a-f])([0-9a-f])([0-9a-f])$/i.exec(text);
  const long = /^#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/i.exec(text);
  const parts = short?.slice(1).map((c) => c + c) ?? long?.slice(1);
  return parts ? /** @type {Rgb} */ (parts.map((c) => Number.parseInt(c, 16))) : null;
}

/** @param {Rgb} colour */
function luminance(colour) {
  const [r, g, b] = colour.map((channel) => {
    const c = channel / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** WCAG's contrast ratio. @param {Rgb} a @param {Rgb} b */
export function contrast(a, b) {
  const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (high + 0.05) / (low + 0.05);
}

/**
 * The accent, moved towards `towards` only as far as it takes to be read on `ground`.
 * @param {Rgb} accent @param {Rgb} ground @param {Rgb} towards @param {number} ratio
 */
export function readable(accent, ground, towards, ratio) {
  for (let part = 0; part <= 1; part += 0.05) {
    const mixed = /** @type {Rgb} */ (accent.map((c, i) => Math.round(c + (towards[i] - c) * part)));
    if (contrast(mixed, ground) >= ratio) return mixed;
  }
  return towards;
}

/** @param {Rgb} colour */
const css = (colour) => `rgb(${colour.join(" ")})`;

/** @param {PageConfig["brand"]} brand @param {HTMLElement} root */
export function applyTheme(brand, root) {
  const accent = parseColour(brand.accent ?? "");
  if (!accent) return;
  const black = /** @type {Rgb} */ ([0, 0, 0]);
  const white = /** @type {Rgb} */ ([255, 255, 255]);
  const onLight = readable(accent, LIGHT, black, ON_LIGHT);
  const onDark = readable(accent, DARK, white, ON_DARK);
  root.style.setProperty("--accent-light", css(onLight));
  root.style.setProperty("--accent-dark", css(onDark));
  root.style.setProperty("--on-accent-light", css(contrast(onLight, white) >= READABLE ? white : black));
  root.style.setProperty("--on-accent-dark", css(contrast(onDark, black) >= contrast(onDark, white) ? black : white));
}
