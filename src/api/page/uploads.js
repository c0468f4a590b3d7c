// Uploads: who takes what from this node, how far each peer is, and who has all of it.

import { empty, h, name, setName, setText } from "./dom.js";
import { bytes, harmless, moment, percent, rate, shortPeer } from "./format.js";
import { Rows } from "./rows.js";
import { observe, state, uploadOf } from "./state.js";
import { receive } from "./web.js";

/** How much of the content the peer has: in whole percents, and 100 only if it has all. */
function held({ state: now, held_bytes: part, size }) {
  if (now === "done") return 100;
  if (part === null || size === null) return null;
  return Math.min(99, percent(part, Math.max(1, size)));
}

function words(upload) {
  const part = held(upload);
  if (upload.state === "done") return "has all of it";
  if (upload.state === "left") return part === null ? "left" : `left at ${part} %`;
  return part === null ? "takes it" : `has ${part} %`;
}

function row(upload) {
  const title = name("");
  const who = h("bdi");
  const state = h("span");
  const when = h("span");
  const bar = h("progress", { max: 100 });
  const sent = h("div", { class: "up", title: "Sent to this peer" });
  const speed = h("div", { class: "rate" });
  const element = h(
    "div",
    { class: "upload" },
    h("div", { class: "title" }, title, h("p", { class: "words" }, "to ", who, ": ", state, " ", when)),
    bar,
    sent,
    speed,
  );
  const update = (now) => {
    setName(title, now.name ?? now.hash);
    setText(who, harmless(now.peer_name || shortPeer(now.peer_id)));
    who.title = now.peer_id;
    setText(state, words(now));
    element.dataset.state = now.state;
    setText(when, now.ended_unix_ms === null ? "" : moment(new Date(now.ended_unix_ms)));
    const part = held(now);
    bar.value = part ?? 0;
    bar.setAttribute("aria-label", `${harmless(now.name ?? "")}: how much the peer has`);
    setText(sent, now.size === null ? bytes(now.sent_bytes) : `${bytes(now.sent_bytes)} of ${bytes(now.size)}`);
    setText(speed, now.state === "sending" ? rate(now.bytes_per_second) : "");
  };
  update(upload);
  return { element, update };
}

function open() {
  const summary = h("p", { class: "summary" });
  const rows = new Rows({ make: row, key: uploadOf, label: "Uploads" });
  const nothing = empty("No uploads", "When a peer takes something that you share, it appears here, with how much of it the peer has.");
  const element = h("div", { class: "view" }, h("div", { class: "bar" }, summary, h("button", { type: "button", onclick: () => receive() }, "Receive files…")), nothing, rows.element);
  const draw = () => {
    const isLive = (upload) => upload.state === "sending";
    const list = [...state.uploads.values()].sort(
      (one, other) => isLive(other) - isLive(one) || other.began_unix_ms - one.began_unix_ms,
    );
    nothing.hidden = list.length > 0;
    rows.element.hidden = list.length === 0;
    rows.set(list);
    const { sent_bytes: sent = 0, received_bytes: received = 0 } = state.status ?? {};
    setText(summary, `In all, this node has sent ${bytes(sent)} and received ${bytes(received)}.`);
  };
  observe("uploads", draw);
  observe("status", draw);
  draw();
  return { element };
}

export const uploads = { id: "uploads", title: "Uploads", icon: "up", open };
