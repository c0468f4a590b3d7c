// Downloads: how far each is, why it waits, and what can be done about it.

import { call } from "./api.js";
import { openInBrowser } from "./content.js";
import { detail } from "./detail.js";
import { attempt, empty, h, iconButton, name, setIcon, setName, setText, toast } from "./dom.js";
import { describe, done, isEnded, left, move, path, remove, toggle } from "./download.js";
import { bytes, count, rate } from "./format.js";
import { Rows } from "./rows.js";
import { observe, state } from "./state.js";

/** All that are listed, in their order. */
const inOrder = () => [...state.downloads.values()].sort((one, other) => one.position - other.position);

// Changes places with the next that has not ended: what has ended waits for no turn.
function step(download, by) {
  if (download.state !== "queued") return;
  const going = inOrder().filter((other) => !isEnded(other));
  const other = going[going.findIndex(({ hash }) => hash === download.hash) + by];
  if (!other) return;
  const [above, below] = by < 0 ? [download, other] : [other, download];
  // Not with a button: what cannot be pressed for a moment loses the keyboard.
  move(above, { before: below.hash });
}

function row(first) {
  let download = first;
  const title = name("");
  const words = h("p", { class: "words" });
  const bar = h("progress", { max: 100, "aria-label": "How much is here" });
  const amount = h("span", { class: "amount" });
  const speed = h("span", { class: "speed" });
  const remaining = h("span", { class: "remaining" });
  const play = iconButton("pause", "Pause", () => toggle(download, play));
  const watch = iconButton("open", "Open in the browser, while it arrives", () => openInBrowser(download.hash, watch));
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
    h("div", { class: "actions" }, watch, play, end),
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
    play.hidden = now.state === "done";
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
    "Nothing is being downloaded",
    "Paste a link above, or look at what the network offers. Whatever is proven here is shared on while the rest arrives.",
  );
  const all = (verb) => (event) => attempt(event.currentTarget, () => call("POST", `/v1/${verb}`));
  const clear = async (event) => {
    const ended = [...state.downloads.values()].filter((download) => download.state === "done");
    await attempt(event.currentTarget, async () => {
      for (const download of ended) await call("DELETE", path(download));
      toast(`${count(ended.length, "finished download")} taken off the list`);
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

