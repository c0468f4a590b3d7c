// Numbers, times and names for people, in the formats of the command line.

const SIZES = ["B", "kB", "MB", "GB", "TB", "PB"];

/** A size, such as `999 B` or `1.5 MB`; `?` if unknown. */
export const bytes = (count) => (count === null || count === undefined ? "?" : scaled(count));

/** Bytes per second, such as `1.5 MB/s`. */
export const rate = (count) => `${scaled(count)}/s`;

function scaled(count) {
  if (count < 1000) return `${Math.round(count)} ${SIZES[0]}`;
  let value = count / 1000;
  let unit = 1;
  // Values that would be rounded up to the next unit belong to it.
  while (value >= 999.95 && unit + 1 < SIZES.length) {
    value /= 1000;
    unit += 1;
  }
  return `${value.toFixed(1)} ${SIZES[unit]}`;
}

/** A duration in its two largest units, such as `3 min 5 s`. */
export function time(seconds) {
  const whole = Math.floor(seconds);
  const minutes = Math.floor(whole / 60);
  const hours = Math.floor(whole / 3600);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${minutes} min ${whole % 60} s`;
  if (whole < 86_400) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** A time, such as `16:45`, with the date unless it is today. */
export function moment(date) {
  const isToday = date.toDateString() === new Date().toDateString();
  return date.toLocaleString([], isToday ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" });
}

/** A number with its noun, such as `1 source` or `2 sources`. */
export const count = (number, thing) => `${number.toLocaleString("en")} ${thing}${number === 1 ? "" : "s"}`;

/** The first digits of a hash, which suffice to tell hashes apart here. */
export const short = (hash) => hash.slice(0, 8);

/** The end of a peer id, as all ids begin alike. */
export const shortPeer = (id) => `…${id.slice(-8)}`;

// Control characters, line separators, and invisible characters that reorder or hide text.
const HIDDEN =
  /[\p{Cc}\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;

const ESCAPES = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/**
 * Text that another person chose, on one line, with hidden characters escaped as on the command
 * line.
 */
export const harmless = (text) =>
  text.replace(HIDDEN, (hidden) => ESCAPES[hidden] ?? `\\u{${hidden.codePointAt(0).toString(16)}}`);

/** A percentage, rounded down. */
export function percent(part, whole) {
  if (whole === 0) return 100;
  return Math.floor((part * 100) / whole);
}
