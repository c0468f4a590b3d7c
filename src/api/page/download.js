// One download in words, and what can be done about it.

import { call, part } from "./api.js";
import { attempt, confirm, dialog, h, name } from "./dom.js";
import { bytes, count, moment, percent, time } from "./format.js";

const WORDS = {
  queued: "Waits for its turn",
  "finding-sources": "Looks for sources",
  waiting: "Waits for a source",
  listing: "Reads what is in it",
  checking: "Checks what is here",
  downloading: "Downloads",
  finishing: "Finishes",
  done: "Done",
  paused: "Paused",
  failed: "Failed",
};

export const isEnded = ({ state: word }) => word === "done" || word === "paused" || word === "failed";

/** How it is, in a few words. */
export function describe(download) {
  const { state: word, why, waits, sources } = download;
  if (word === "waiting" && waits?.for === "source")
    return `Waits for a source since ${moment(waits.since)}, and starts when one turns up: ${waits.tried}`;
  if (waits?.for === "source") return `No source since ${moment(waits.since)}: ${waits.tried}`;
  if (why) return why[0].toUpperCase() + why.slice(1);
  if (word === "downloading" && sources) return `From ${count(sources, "source")}`;
  return WORDS[word] ?? word;
}

/** How long it takes at its present rate, if it has one. */
export function left({ size, verified_bytes, bytes_per_second }) {
  if (size === null || verified_bytes === null || !bytes_per_second) return "";
  return `${time((size - verified_bytes) / bytes_per_second)} left`;
}

/** How much of it is here, for a bar: 0 to 100, or null. */
export const done = ({ size, verified_bytes, state: word }) =>
  word === "done" ? 100 : size === null || verified_bytes === null ? null : percent(verified_bytes, size);

/** Where the API has it, or what to do with it. */
export const path = (download, verb) => `/v1/downloads/${part(download.hash)}${verb ? `/${verb}` : ""}`;

/** Goes on with it, or stops it for now. */
export const toggle = (download, button) =>
  attempt(button, () => call("POST", path(download, isEnded(download) ? "resume" : "pause")));

/** Puts it elsewhere in the order of downloads: `first`, or `{ before: hash }`. */
export const move = (download, place, button) =>
  attempt(button, () => call("PUT", path(download, "order"), { place }));

/** Ends it for good, after asking if something is lost by that. */
export async function remove(download, button) {
  if (download.state === "done") return forget(download, button);
  const lost = download.verified_bytes ? `${bytes(download.verified_bytes)} that are here already are removed.` : "";
  const sure = await confirm("Cancel the download?", lost || "Nothing of it is here yet.", "Cancel it");
  if (sure) await attempt(button, () => call("POST", path(download, "cancel")));
}

function forget(download, button) {
  const act = (query) => {
    box.close();
    return attempt(button, () => call("DELETE", `${path(download)}?data=${query}`));
  };
  const box = dialog(
    "Remove",
    h("p", {}, name(download.name), " is taken off this list. The file can stay where it is, and is shared as long as it does."),
    h(
      "footer",
      {},
      h("button", { type: "button", class: "danger", onclick: () => act(true) }, "Remove the data, too"),
      h("button", { type: "button", class: "primary", onclick: () => act(false) }, "Keep the data"),
    ),
  );
}
