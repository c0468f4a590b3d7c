// Numbers, times and names as people read them; the same words as the command line's.

const UNITS = ["KiB", "MiB", "GiB", "TiB", "PiB"];

/** Bytes with three digits at most before the point: `1023 B`, `1.5 MiB`; `?` if not known. */
export function bytes(count) {
  if (count === null || count === undefined) return "?";
  if (count < 1024) return `${Math.round(count)} B`;
  let value = count / 1024;
  let unit = 0;
  // What would be rounded up to 1024 belongs to the next unit.
  while (value >= 1023.95 && unit + 1 < UNITS.length) {
    value /= 1024;
    unit += 1;
  }
  return `${value.toFixed(1)} ${UNITS[unit]}`;
}

/** Bytes a second. */
export const rate = (count) => `${bytes(count)}/s`;

/** A span of time by its two largest units: `3 min 5 s`. */
export function time(seconds) {
  const whole = Math.floor(seconds);
  const minutes = Math.floor(whole / 60);
  const hours = Math.floor(whole / 3600);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${minutes} min ${whole % 60} s`;
  if (whole < 86_400) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** `1 source`, `2 sources`. */
export const count = (number, thing) => `${number.toLocaleString("en")} ${thing}${number === 1 ? "" : "s"}`;

/** The first digits of a hash, which are enough to tell it from others here. */
export const short = (hash) => hash.slice(0, 8);

/** A peer id by its end: the beginnings are all alike. */
export const shortPeer = (id) => `…${id.slice(-8)}`;

// Characters that are not seen but reorder or hide what is, separators of lines, and controls.
const HIDDEN =
  /[\p{Cc}\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;

/** Text by others, on one line and unable to pass for something else. */
export const harmless = (text) => text.replace(HIDDEN, "");

/** Whole percents, never rounded up to 100. */
export function percent(part, whole) {
  if (whole === 0) return 100;
  return Math.floor((part * 100) / whole);
}
