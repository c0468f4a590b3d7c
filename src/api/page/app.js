// The page: signs in, shows one view at a time, and shows the state of the node.

import { get } from "./content.js";
import { h, icon, setText } from "./dom.js";
import { downloads } from "./downloads.js";
import { rate } from "./format.js";
import { groups } from "./groups.js";
import { log } from "./log.js";
import { requestCount } from "./memberships.js";
import { network } from "./network.js";
import { peers } from "./peers.js";
import { begin, recall } from "./session.js";
import { settings } from "./settings.js";
import { shares } from "./shares.js";
import { listen, observe, state } from "./state.js";
import { uploads } from "./uploads.js";
import { showUser } from "./user.js";

const VIEWS = [downloads, uploads, shares, network, groups, peers, settings, log];

const NOTICES = {
  "signed-out": "This page is not signed in. Run `pelago ui` on the node's machine to open a page that is.",
  gone: "The node is not running, or cannot be reached. Start it with `pelago start`: this page reconnects by itself.",
  full: "Too many pages of this node are open. Close one of them: this page reconnects by itself.",
};

// `pelago ui` opens the page with a one-time code. It is removed from the address immediately, so
// that neither the history nor a bookmark holds it.
async function signIn() {
  const code = /^#code=([\w-]+)$/.exec(location.hash)?.[1];
  if (!code) return;
  history.replaceState(null, "", "/#downloads");
  // If the code is invalid, an older session may still be valid. The stream of events shows that.
  await begin(code);
}

function build(stream) {
  const tabs = document.getElementById("tabs");
  const main = document.getElementById("views");
  const opened = new Map();
  for (const { id, title, icon: which } of VIEWS) {
    tabs.append(h("a", { href: `#${id}`, id: `tab-${id}` }, icon(which), h("span", {}, title), h("b", { class: "count" })));
  }

  function show() {
    const [id, ...rest] = location.hash.slice(1).split("/");
    const view = VIEWS.find((candidate) => candidate.id === id) ?? VIEWS[0];
    if (!opened.has(view.id)) {
      const created = view.open();
      const section = h("section", { id: view.id, "aria-labelledby": `tab-${view.id}` }, created.element);
      main.append(section);
      opened.set(view.id, { ...created, section });
    }
    for (const [key, { section, hidden }] of opened) {
      const isShown = key === view.id;
      if (!section.hidden && !isShown) hidden?.();
      section.hidden = !isShown;
      document.getElementById(`tab-${key}`).removeAttribute("aria-current");
    }
    document.getElementById(`tab-${view.id}`).setAttribute("aria-current", "page");
    document.title = `${view.title} · Pelago`;
    opened.get(view.id).shown?.(rest.join("/"));
  }
  addEventListener("hashchange", async () => {
    if (location.hash.startsWith("#code=")) {
      await signIn();
      stream.open();
    }
    show();
  });
  show();
}

// Shows the name, the state and the rates of the node in the header.
function showNode() {
  const dot = h("i", { class: "dot" });
  const title = h("bdi", { class: "node-name" });
  const down = h("span", { class: "down", title: "Download rate" });
  const up = h("span", { class: "up", title: "Upload rate" });
  document.getElementById("node").append(dot, title, down, up);
  const notice = document.getElementById("notice");

  const show = () => {
    dot.dataset.state = state.connection;
    dot.title = state.connection;
    const text = NOTICES[state.connection];
    notice.hidden = !text;
    document.body.classList.toggle("stale", Boolean(text));
    if (text) {
      // Backticks enclose commands.
      const pieces = text.split("`").map((piece, at) => (at % 2 ? h("code", {}, piece) : piece));
      notice.replaceChildren(...pieces);
    }
  };
  observe("connection", show);
  observe("hello", () => setText(title, state.hello.name));
  observe("rates", () => {
    setText(down, `↓ ${rate(state.down.at(-1) ?? 0)}`);
    setText(up, `↑ ${rate(state.up.at(-1) ?? 0)}`);
  });
  show();
}

function showCounts() {
  const counts = {
    downloads: () => running(),
    uploads: () => [...state.uploads.values()].filter((upload) => upload.state === "sending").length,
    shares: () => state.shares.size,
    groups: requestCount,
    peers: () => state.peers.size,
  };
  const running = () =>
    [...state.downloads.values()].filter((download) => !["done", "paused", "failed"].includes(download.state)).length;
  for (const [topic, number] of Object.entries(counts)) {
    const badge = document.querySelector(`#tab-${topic} .count`);
    observe(topic, () => setText(badge, number() ? number().toLocaleString("en") : ""));
  }
}

function listenToForm() {
  const target = document.getElementById("target");
  document.getElementById("get").addEventListener("submit", (event) => {
    event.preventDefault();
    if (target.value.trim()) get(target.value.trim());
    target.value = "";
  });
  addEventListener("keydown", (event) => {
    const isTyping = event.target.closest("input, textarea, select, dialog");
    if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      target.focus();
    }
  });
}

await signIn();
recall();
const stream = listen();
build(stream);
showNode();
showUser(stream);
showCounts();
listenToForm();
document.body.dataset.ready = "true";
performance.mark("interactive");
