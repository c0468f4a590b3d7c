// Downloads: the progress and the state of each, and actions on them.

import { call } from "./api.js";
import { openInBrowser } from "./content.js";
import { detail } from "./detail.js";
import { attempt, empty, h, iconButton, name, setIcon, setName, setText, toast } from "./dom.js";
import { describe, done, isEnded, left, move, path, remove, toggle } from "./download.js";
import { bytes, count, rate } from "./format.js";
import { Rows } from "./rows.js";
import { observe, state } from "./state.js";

/** All downloads, in queue order. */
const inOrder = () => [...state.downloads.values()].sort((one, other) => one.position - other.position);

// Swaps a queued download with the next one above or below that has not ended.
function step(download, by) {
  if (download.state !== "queued") return;
  const active = inOrder().filter((other) => !isEnded(other));
  const other = active[active.findIndex(({ hash }) => hash === download.hash) + by];
  if (!other) return;
  const [above, below] = by < 0 ? [download, other] : [other, download];
  // Without a button, as a disabled button would lose the focus.
  move(above, { before: below.hash });
}

function row(first) {
  let download = first;
  const title = name("");
  const words = h("p", { class: "words" });
  const bar = h("progress", { max: 100, "aria-label": "Progress" });
  const amount = h("span", { class: "amount" });
  const speed = h("span", { class: "speed" });
  const remaining = h("span", { class: "remaining" });
  const play = iconButton("pause", "Pause", () => toggle(download, play));
  const watch = iconButton("open", "Open in the browser, even before it is complete", () => openInBrowser(download.hash, watch));
  const beside = iconButton("copy", "Keep both: save it under another name", () =>
    attempt(beside, () => call("POST", `${path(download, "resume")}?beside=true`)),
  );
  const end = iconButton("cancel", "Cancel", () => remove(download, end));
  const up = iconButton("up", "Move up (Alt+↑)", () => step(download, -1));
  const down = iconButton("down", "Move down (Alt+↓)", () => step(download, 1));
  const order = h("div", { class: "order" }, up, down);
  const element = h(
    "div",
    { class: "download", onclick: (event) => event.target.closest("button") || show(download) },
    h("div", { class: "title" }, title, words),
    h("div", { class: "progress" }, bar, amount),
    h("div", { class: "pace" }, speed, remaining, order),
    h("div", { class: "actions" }, watch, beside, play, end),
  );
  const update = (now) => {
    if (now === download && element.dataset.state) return;
    download = now;
    element.dataset.state = now.state;
    setName(title, now.name);
    setText(words, describe(now));
    words.title = now.error?.hint ?? now.path ?? "";
    const value = done(now);
    if (value === null) bar.removeAttribute("value");
    else if (bar.value !== value || !bar.hasAttribute("value")) bar.value = value;
    const share = value === null ? "" : ` · ${value} %`;
    setText(amount, now.state === "done" ? bytes(now.size) : `${bytes(now.verified_bytes)} of ${bytes(now.size)}${share}`);
    setText(speed, now.state === "downloading" ? rate(now.bytes_per_second) : "");
    setText(remaining, left(now));
    order.hidden = now.state !== "queued";
    play.hidden = now.state === "done" || now.state === "removing";
    end.hidden = now.state === "removing";
    beside.hidden = now.error?.code !== "target-exists";
    if (isEnded(now)) setIcon(play, "resume", now.state === "failed" ? "Try again" : "Resume");
    else setIcon(play, "pause", "Pause");
    if (now.state === "done") setIcon(end, "remove", "Remove");
    else setIcon(end, "cancel", "Cancel");
  };
  return { element, update };
}

const show = (download) => {
  location.hash = `#downloads/${download.hash}`;
};

function open() {
  const rows = new Rows({ make: row, key: (download) => download.hash, label: "Downloads", onopen: show, onmove: step });
  const nothing = empty(
    "No downloads",
    "Paste a link above, or browse the network. This node shares verified parts while it downloads the rest.",
  );
  const all = (verb) => (event) => attempt(event.currentTarget, () => call("POST", `/v1/${verb}`));
  const clear = async (event) => {
    const ended = [...state.downloads.values()].filter((download) => download.state === "done");
    await attempt(event.currentTarget, async () => {
      for (const download of ended) await call("DELETE", path(download));
      toast(`${count(ended.length, "finished download")} removed from the list`);
    });
  };
  const summary = h("p", { class: "summary" });
  const bar = h(
    "div",
    { class: "bar" },
    summary,
    h("button", { type: "button", onclick: all("pause") }, "Pause all"),
    h("button", { type: "button", onclick: all("resume") }, "Resume all"),
    h("button", { type: "button", onclick: clear }, "Clear finished"),
  );
  const side = detail();
  const element = h("div", { class: "with-side" }, h("div", { class: "view" }, bar, nothing, rows.element), side.element);

  const draw = () => {
    const list = inOrder();
    nothing.hidden = list.length > 0;
    rows.element.hidden = list.length === 0;
    rows.set(list);
    const running = list.filter((download) => !isEnded(download)).length;
    setText(summary, list.length ? `${count(list.length, "download")}, ${running} running` : "");
    side.update();
  };
  observe("downloads", draw);
  draw();
  return { element, shown: (hash) => side.show(hash), hidden: () => side.show("") };
}

export const downloads = { id: "downloads", title: "Downloads", icon: "download", open };

