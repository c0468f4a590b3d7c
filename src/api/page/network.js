// Network: the shares of peers in reach.

import { pages } from "./api.js";
import { download, hashButton, open as describe } from "./content.js";
import { complain, empty, h, icon, iconButton, name, setIcon, setName, setText } from "./dom.js";
import { isEnded } from "./download.js";
import { bytes, count, harmless } from "./format.js";
import { matches } from "./match.js";
import { Rows } from "./rows.js";
import { observe, shareOf, state } from "./state.js";

/** Decodes a segment of the address; returns it unchanged if it is malformed. */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** How often peers are asked while the list is visible, and how long they may take. */
const PERIOD_MS = 4000;
const WAIT_SECONDS = 1;

/** The peers that have it, by name if they are few. */
const who = ({ peers, holders }) => (holders?.length ? holders.map((text) => harmless(text) || "(no name)").join(" and ") : count(peers, "peer"));

/** Describes the offer, or shows its download if it has one. */
const show = (offer) => (offer.downloading ? (location.hash = `#downloads/${offer.hash}`) : describe(offer.hash));

function row(first) {
  let offer = first;
  const title = name(offer.name);
  const peers = h("div", { class: "peers" });
  const get = iconButton("download", "Download", () => (offer.downloading ? show(offer) : download(offer.hash, get)));
  const element = h(
    "div",
    { class: "offer", onclick: (event) => event.target.closest("button") || show(offer) },
    h("div", { class: "kind" }, icon(offer.kind)),
    h("div", { class: "title" }, title),
    h("div", { class: "size" }, bytes(offer.size)),
    peers,
    hashButton(offer.hash),
    h("div", { class: "actions" }, get),
  );
  const update = (now) => {
    offer = now;
    setName(title, now.name);
    setText(peers, now.mine ? "you share it" : now.downloading ? "downloading" : who(now));
    peers.title = who(now);
    if (now.downloading) setIcon(get, "goto", "Show the download");
    else setIcon(get, "download", "Download");
    element.classList.toggle("mine", now.mine);
  };
  return { element, update };
}

const isDownloading = ({ hash }) => state.downloads.has(hash) && !isEnded(state.downloads.get(hash));

function open() {
  let offers = [];
  let timer = null;
  let isShown = false;
  let isAsked = false;
  const filter = h("input", { type: "search", placeholder: "Filter", "aria-label": "Filter offers", oninput: () => draw() });
  const summary = h("p", { class: "summary" });
  const rows = new Rows({ make: row, key: shareOf, label: "Offers", onopen: show });
  const nothing = h("div");
  const element = h("div", { class: "view" }, h("div", { class: "bar" }, filter, summary), nothing, rows.element);

  function draw() {
    const list = matches(offers, filter.value);
    rows.element.hidden = list.length === 0;
    nothing.hidden = list.length > 0;
    if (list.length === 0) nothing.replaceChildren(why());
    rows.set(list);
    setText(summary, offers.length ? count(list.length, "offer") : "");
  }

  function why() {
    if (!isAsked) return empty("Asking peers…", "");
    if (offers.length) return empty("No peer in reach offers that", "It may be unlisted, or out of reach: its hash or link can still find it.");
    if (state.peers.size === 0) return empty("No peer is in reach", "This node finds peers on the same network by itself. To reach others, use a link, or `pelago start --bootstrap ADDR`.");
    return empty("Peers in reach offer nothing", "To download unlisted content, use its hash or link.");
  }

  async function ask() {
    clearTimeout(timer);
    if (isShown && !document.hidden && state.connection === "live") {
      const list = [];
      const own = new Set([...state.shares.values()].map(({ hash }) => hash));
      try {
        await pages(`/v1/catalogue?wait=${WAIT_SECONDS}`, (page) => list.push(...page));
        offers = list.map((offer) => ({ ...offer, mine: own.has(offer.hash), downloading: isDownloading(offer) }));
        isAsked = true;
        draw();
      } catch (problem) {
        if (problem.code !== "gone" && !isAsked) complain(problem);
        isAsked = true;
      }
    }
    if (isShown) timer = setTimeout(ask, PERIOD_MS);
  }

  // Show the begin and end of a download immediately, not with the next list of offers.
  observe("downloads", () => {
    if (!isShown || offers.every((offer) => offer.downloading === isDownloading(offer))) return;
    offers = offers.map((offer) => ({ ...offer, downloading: isDownloading(offer) }));
    draw();
  });
  observe("peers", () => isShown && offers.length === 0 && draw());
  draw();
  return {
    element,
    shown: (query) => {
      isShown = true;
      if (query) {
        filter.value = decoded(query);
        draw();
      }
      ask();
    },
    hidden: () => {
      isShown = false;
      clearTimeout(timer);
    },
  };
}

export const network = { id: "network", title: "Network", icon: "network", open };
