// Network: what peers in reach offer.

import { pages } from "./api.js";
import { download, hashButton, look } from "./content.js";
import { complain, empty, h, icon, iconButton, name, setIcon, setName, setText } from "./dom.js";
import { isEnded } from "./download.js";
import { bytes, count, harmless } from "./format.js";
import { matches } from "./match.js";
import { Rows } from "./rows.js";
import { observe, shareOf, state } from "./state.js";

/** What a part of an address stands for; itself, if it stands for nothing. */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** How often peers are asked while the list is looked at; how long they may take. */
const PERIOD_MS = 4000;
const WAIT_SECONDS = 1;

/** Who has it, by name if they are few. */
const who = ({ peers, holders }) => (holders?.length ? holders.map((text) => harmless(text) || "(no name)").join(" and ") : count(peers, "peer"));

/** Shows what it is; what is being downloaded already, how far that is. */
const show = (offer) => (offer.coming ? (location.hash = `#downloads/${offer.hash}`) : look(offer.hash));

function row(first) {
  let offer = first;
  const title = name(offer.name);
  const peers = h("div", { class: "peers" });
  const get = iconButton("download", "Download", () => (offer.coming ? show(offer) : download(offer.hash, get)));
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
    setText(peers, now.mine ? "you have it" : now.coming ? "on its way" : who(now));
    peers.title = who(now);
    if (now.coming) setIcon(get, "goto", "Show the download");
    else setIcon(get, "download", "Download");
    element.classList.toggle("mine", now.mine);
  };
  return { element, update };
}

const isComing = ({ hash }) => state.downloads.has(hash) && !isEnded(state.downloads.get(hash));

function open() {
  let offers = [];
  let timer = null;
  let isShown = false;
  let isAsked = false;
  const filter = h("input", { type: "search", placeholder: "Filter", "aria-label": "Filter what is offered", oninput: () => draw() });
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
    if (offers.length) return empty("Nobody in reach offers that", "It may be unlisted, or further away: with its hash or link it can still be found.");
    if (state.peers.size === 0) return empty("No peer is in reach", "Peers on the same network are found by themselves. Others are reached by a link, or by `pelago start --bootstrap ADDR`.");
    return empty("Peers in reach offer nothing", "What they share unlisted is got by its hash or link.");
  }

  async function ask() {
    clearTimeout(timer);
    if (isShown && !document.hidden && state.connection === "live") {
      const list = [];
      const own = new Set([...state.shares.values()].map(({ hash }) => hash));
      try {
        await pages(`/v1/catalogue?wait=${WAIT_SECONDS}`, (page) => list.push(...page));
        offers = list.map((offer) => ({ ...offer, mine: own.has(offer.hash), coming: isComing(offer) }));
        isAsked = true;
        draw();
      } catch (problem) {
        if (problem.code !== "gone" && !isAsked) complain(problem);
        isAsked = true;
      }
    }
    if (isShown) timer = setTimeout(ask, PERIOD_MS);
  }

  // A download that begins or ends shows at once, not with the next answer.
  observe("downloads", () => {
    if (!isShown || offers.every((offer) => offer.coming === isComing(offer))) return;
    offers = offers.map((offer) => ({ ...offer, coming: isComing(offer) }));
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
