// One download: its description, and actions on it.

import { call, part } from "./api.js";
import { attempt, confirm, dialog, h, name } from "./dom.js";
import { bytes, count, moment, percent, time } from "./format.js";

const WORDS = {
  queued: "Waiting for its turn",
  "finding-sources": "Finding sources",
  waiting: "Waiting for a source",
  listing: "Reading the list of files",
  checking: "Checking existing data",
  downloading: "Downloading",
  finishing: "Finishing",
  done: "Done",
  paused: "Paused",
  failed: "Failed",
  removing: "Removing its data",
};

export const isEnded = ({ state: word }) => word === "done" || word === "paused" || word === "failed";

/** The state of a download, in a few words. */
export function describe(download) {
  const { state: word, why, waits, sources } = download;
  if (word === "waiting" && waits?.for === "source")
    return `Waiting for a source since ${moment(waits.since)}. It starts when one appears: ${waits.tried}`;
  if (waits?.for === "source") return `No source since ${moment(waits.since)}: ${waits.tried}`;
  if (waits?.for === "data")
    return `Nothing has arrived since ${moment(waits.since)} from ${waits.from[0]}${more(waits.from.length - 1)}`;
  if (why) return why[0].toUpperCase() + why.slice(1);
  if (word === "downloading" && sources) return `From ${count(sources, "source")}`;
  return WORDS[word] ?? word;
}

const more = (others) => (others > 0 ? ` and ${others} more` : "");

/** The remaining time at the present rate, if there is one. */
export function left({ size, verified_bytes, bytes_per_second }) {
  if (size === null || verified_bytes === null || !bytes_per_second) return "";
  return `${time((size - verified_bytes) / bytes_per_second)} left`;
}

/** The verified percentage, or null if it is unknown. */
export const done = ({ size, verified_bytes, state: word }) =>
  word === "done" ? 100 : size === null || verified_bytes === null ? null : size ? percent(verified_bytes, size) : 0;

/** The path of a download in the API, or of one of its verbs. */
export const path = (download, verb) => `/v1/downloads/${part(download.hash)}${verb ? `/${verb}` : ""}`;

/** Pauses or resumes a download. */
export const toggle = (download, button) =>
  attempt(button, () => call("POST", path(download, isEnded(download) ? "resume" : "pause")));

/** Moves a download in the queue: to `first`, or to `{ before: hash }`. */
export const move = (download, place, button) =>
  attempt(button, () => call("PUT", path(download, "order"), { place }));

/** Cancels a download after a confirmation, or removes a finished one from the list. */
export async function remove(download, button) {
  if (download.state === "done") return forget(download, button);
  const lost = download.verified_bytes ? `The ${bytes(download.verified_bytes)} that were downloaded will be removed.` : "";
  const sure = await confirm("Cancel the download?", lost || "Nothing was downloaded yet.", "Cancel it");
  if (sure) await attempt(button, () => call("POST", path(download, "cancel")));
}

function forget(download, button) {
  const act = (query) => {
    box.close();
    return attempt(button, () => call("DELETE", `${path(download)}?data=${query}`));
  };
  const box = dialog(
    "Remove",
    h("p", {}, name(download.name), " will be removed from this list. If you keep the data, this node continues to share it."),
    h(
      "footer",
      {},
      h("button", { type: "button", class: "danger", onclick: () => act(true) }, "Remove the data, too"),
      h("button", { type: "button", class: "primary", onclick: () => act(false) }, "Keep the data"),
    ),
  );
}
