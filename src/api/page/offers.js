// Offers: what others share, as the network or the members of a group list it.

import { pages, part } from "./api.js";
import { download, hashButton, open as describe } from "./content.js";
import { complain, empty, h, icon, iconButton, name, setIcon, setName, setText } from "./dom.js";
import { isEnded } from "./download.js";
import { bytes, count, harmless } from "./format.js";
import { matches } from "./match.js";
import { Rows } from "./rows.js";
import { observe, shareOf, state } from "./state.js";

/** How often peers are asked while the list is visible, and how long they may take. */
const PERIOD_MS = 4000;
const WAIT_SECONDS = 1;

/** The peers that have it, by name if they are few. */
function who({ peers, holders, offline: isOffline }) {
  if (holders?.length) return holders.map((text) => harmless(text) || "(no name)").join(" and ");
  return isOffline ? "members" : count(peers, "peer");
}

/** What the row says of the peers that have it. */
function holding(offer) {
  if (offer.mine) return "you share it";
  if (offer.downloading) return "downloading";
  return offer.offline ? `${who(offer)}, offline` : who(offer);
}

const isDownloading = ({ hash }) => state.downloads.has(hash) && !isEnded(state.downloads.get(hash));

/**
 * A list of offers: of all peers in reach, or of the members of `group`, whose id it is. `why(offers)`
 * takes the place of an empty list. `own()` are the shares of this node there, which the list of a
 * group has, too. `action` is a button for the bar.
 */
export function offers({ group, why, own, action }) {
  let found = [];
  let timer = null;
  let isShown = false;
  let isAsked = false;
  const options = group ? { group } : {};
  // Describes the offer, or shows its download if it has one.
  const show = (offer) => (offer.downloading ? (location.hash = `#downloads/${offer.hash}`) : describe(offer.hash, options));

  function row(first) {
    let offer = first;
    const title = name(offer.name);
    const peers = h("div", { class: "peers" });
    const get = iconButton("download", "Download", () => (offer.downloading ? show(offer) : download(offer.hash, get, options)));
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
      setText(peers, holding(now));
      peers.title = who(now);
      if (now.downloading) setIcon(get, "goto", "Show the download");
      else setIcon(get, "download", "Download");
      element.classList.toggle("mine", now.mine);
      element.classList.toggle("offline", Boolean(now.offline));
    };
    return { element, update };
  }

  const filter = h("input", { type: "search", placeholder: "Filter", "aria-label": "Filter offers", oninput: () => draw() });
  const summary = h("p", { class: "summary" });
  const rows = new Rows({ make: row, key: shareOf, label: "Offers", onopen: show });
  const nothing = h("div");
  const element = h("div", { class: "view" }, h("div", { class: "bar" }, filter, summary, action), nothing, rows.element);

  // What peers offered and, in a group, what this node adds.
  function all() {
    const shared = own();
    const mine = new Set(shared.map(({ hash }) => hash));
    const offered = found.map((offer) => ({ ...offer, mine: mine.has(offer.hash), downloading: isDownloading(offer) }));
    if (!group) return offered;
    const known = new Set(found.map(({ hash }) => hash));
    const added = shared.filter(({ hash }) => !known.has(hash));
    return [...offered, ...added.map((share) => ({ ...share, path: undefined, mine: true }))];
  }

  function draw() {
    const offered = all();
    const list = matches(offered, filter.value);
    rows.element.hidden = list.length === 0;
    nothing.hidden = list.length > 0;
    if (list.length === 0) nothing.replaceChildren(isAsked ? why(offered) : empty("Asking peers…", ""));
    rows.set(list);
    setText(summary, offered.length ? count(list.length, "offer") : "");
  }

  async function ask() {
    clearTimeout(timer);
    if (isShown && !document.hidden && state.connection === "live") {
      const list = [];
      const path = `/v1/catalogue?wait=${WAIT_SECONDS}${group ? `&group=${part(group)}` : ""}`;
      try {
        await pages(path, (page) => list.push(...page));
        found = list;
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
  let downloading = "";
  observe("downloads", () => {
    const now = found.filter(isDownloading).map(({ hash }) => hash).join();
    if (!isShown || now === downloading) return;
    downloading = now;
    draw();
  });
  observe("peers", () => isShown && found.length === 0 && draw());
  if (group) observe("shares", () => isShown && draw());
  draw();
  return {
    element,
    /** Shows the list, and asks for it now and then. `query` filters it. */
    shown: (query) => {
      isShown = true;
      if (query) filter.value = query;
      draw();
      ask();
    },
    hidden: () => {
      isShown = false;
      clearTimeout(timer);
    },
  };
}
