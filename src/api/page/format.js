// Numbers, times and names as people read them; the same words as the command line's.

const SIZES = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
const RATES = ["B/s", "KB/s", "MB/s", "GB/s", "TB/s"];

/** Bytes with three digits at most before the point: `1023 B`, `1.5 MiB`; `?` if not known. */
export const bytes = (count) => (count === null || count === undefined ? "?" : scaled(count, 1024, SIZES));

/** Bytes a second, in the units of limits: `1.5 MB/s`. */
export const rate = (count) => scaled(count, 1000, RATES);

function scaled(count, step, units) {
  if (count < step) return `${Math.round(count)} ${units[0]}`;
  let value = count / step;
  let unit = 1;
  // What would be rounded up to the next unit belongs to that.
  while (value >= step - 0.05 && unit + 1 < units.length) {
    value /= step;
    unit += 1;
  }
  return `${value.toFixed(1)} ${units[unit]}`;
}

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

/** A moment of the past: `16:45`, with the date if that is not today's. */
export function moment(date) {
  const isToday = date.toDateString() === new Date().toDateString();
  return date.toLocaleString([], isToday ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" });
}

/** `1 source`, `2 sources`. */
export const count = (number, thing) => `${number.toLocaleString("en")} ${thing}${number === 1 ? "" : "s"}`;

/** The first digits of a hash, which are enough to tell it from others here. */
export const short = (hash) => hash.slice(0, 8);

/** A peer id by its end: the beginnings are all alike. */
export const shortPeer = (id) => `…${id.slice(-8)}`;

// Characters that are not seen but reorder or hide what is, separators of lines, and controls.
const HIDDEN =
  /[\p{Cc}\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;

const ESCAPES = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** Text by others, on one line and unable to pass for something else: with the escapes of the command line. */
export const harmless = (text) =>
  text.replace(HIDDEN, (hidden) => ESCAPES[hidden] ?? `\\u{${hidden.codePointAt(0).toString(16)}}`);

/** Whole percents, never rounded up to 100. */
export function percent(part, whole) {
  if (whole === 0) return 100;
  return Math.floor((part * 100) / whole);
}
