// One download in detail: its rate, its blocks, and its sources.

import { call } from "./api.js";
import { attempt, copy, h, iconButton, name, setName, setText } from "./dom.js";
import { describe, done, isEnded, left, move, path, remove, toggle } from "./download.js";
import { bytes, harmless, rate, short, shortPeer } from "./format.js";
import { drawMap, plotRates, sourceColour } from "./plot.js";
import { observe, state } from "./state.js";

const SOURCE_WORDS = { asked: "asked", idle: "idle", sending: "sending", gone: "disconnected", refused: "rejected" };

/**
 * The state of a source, in a few words. A connected source that is gone has nothing that is still
 * needed.
 */
function doing({ state: word, address, received_bytes }, isOver) {
  if (word !== "gone" || !address) return isOver && word === "gone" ? "" : (SOURCE_WORDS[word] ?? word);
  if (isOver) return "";
  return received_bytes ? "has nothing more" : "does not have it";
}

/** One difference between a folder and its copy on disk, in a sentence. */
function difference({ difference: kind, path: inner, name: here, target, why }) {
  if (kind === "renamed") return harmless(`${inner} is saved as ${here}`);
  return harmless(`the link ${inner} → ${target} is left out: ${why}`);
}

/** How often blocks and sources are fetched while they are visible. */
const PERIOD_MS = 1000;

export function detail() {
  let hash = "";
  let timer = null;
  // An ended download does not change any more, and after a restart the node has no details of it.
  let isSettled = false;

  const title = h("h2", {}, name(""));
  const words = h("p", { class: "words" });
  const differences = h("ul", { class: "differences", hidden: true, "aria-label": "Differences from the folder" });
  const figures = h("p", { class: "figures" });
  const rates = h("canvas", { class: "rates", role: "img", "aria-label": "Rate over the last two minutes" });
  const map = h("canvas", { class: "map", role: "img" });
  const sources = h("ul", { class: "sources" });
  const place = h("dd");
  const play = h("button", { type: "button", onclick: () => toggle(state.downloads.get(hash), play) });
  const end = h("button", { type: "button", class: "danger", onclick: () => remove(state.downloads.get(hash), end) });
  const digits = h("button", { type: "button", class: "hash-button", onclick: () => copy(hash, "Hash") });
  const first = h("button", { type: "button", onclick: () => move({ hash }, "first", first) }, "To the front");
  const element = h(
    "aside",
    { class: "side", hidden: true, "aria-label": "Download" },
    h("header", {}, title, iconButton("cancel", "Close", () => (location.hash = "#downloads"))),
    words,
    differences,
    figures,
    rates,
    h("h3", {}, "Blocks"),
    map,
    h("h3", {}, "Sources"),
    sources,
    h(
      "dl",
      {},
      h("dt", {}, "Path"),
      place,
      h("dt", {}, "Hash"),
      h("dd", {}, digits),
    ),
    h("footer", {}, first, end, play),
  );

  async function ask() {
    clearTimeout(timer);
    const asked = hash;
    if (!asked) return;
    const download = state.downloads.get(asked);
    // The event of a new download may not have arrived yet.
    const isOver = Boolean(download) && isEnded(download);
    if (download && !document.hidden && state.connection === "live" && !(isOver && isSettled)) {
      const known = await call("GET", path({ hash: asked }, "detail")).catch(() => null);
      if (asked !== hash) return;
      if (known) showBlocks(known);
      isSettled = isOver;
    }
    timer = setTimeout(ask, PERIOD_MS);
  }

  function showDifferences(found) {
    differences.hidden = !found;
    const lines = (found?.listed ?? []).map(difference);
    const others = found ? found.renamed + found.links_left_out - lines.length : 0;
    if (others > 0) lines.push(`and ${others.toLocaleString("en")} more`);
    const shown = [...differences.children].map((line) => line.textContent);
    if (shown.join("\n") === lines.join("\n")) return;
    differences.replaceChildren(...lines.map((line) => h("li", {}, line)));
  }

  function facts({ received_bytes, bytes_per_second, state: word }) {
    const sent = received_bytes ? bytes(received_bytes) : "";
    const pace = word === "gone" || word === "refused" ? "" : rate(bytes_per_second);
    return [sent, pace].filter(Boolean).join(" · ");
  }

  function showBlocks({ cells, sources: list, block_count }) {
    map.setAttribute("aria-label", `${block_count ?? 0} blocks and the source of each`);
    drawMap(map, cells);
    const isOver = isEnded(state.downloads.get(hash) ?? { state: "done" });
    const rows = list.map((source, at) => {
      const dot = h("i", { class: "swatch" });
      dot.style.background = sourceColour(at);
      const who = name(source.name ?? shortPeer(source.peer_id));
      const words = [doing(source, isOver), source.address].filter(Boolean).join(" · ");
      return h("li", {}, dot, h("div", {}, who, h("p", {}, harmless(words))), h("span", {}, facts(source)));
    });
    sources.replaceChildren(...(rows.length ? rows : [h("li", { class: "none" }, "None at present")]));
  }

  function update() {
    const download = state.downloads.get(hash);
    element.hidden = !download;
    if (!download) return;
    setName(title.firstChild, download.name);
    const hint = download.error?.hint ? ` — ${download.error.hint}` : "";
    setText(words, harmless(`${describe(download)}${hint}`));
    words.classList.toggle("problem", download.state === "failed");
    showDifferences(download.differences);
    const pace = isEnded(download) ? "" : ` · ${rate(download.bytes_per_second)}`;
    const remaining = left(download) && ` · ${left(download)}`;
    setText(figures, `${bytes(download.verified_bytes)} of ${bytes(download.size)} · ${done(download) ?? 0} %${pace}${remaining}`);
    setText(digits, short(hash));
    digits.title = `Copy ${hash}`;
    setText(place, harmless(download.path ?? "not known yet"));
    play.hidden = download.state === "done" || download.state === "removing";
    end.hidden = download.state === "removing";
    setText(play, isEnded(download) ? "Resume" : "Pause");
    setText(end, download.state === "done" ? "Remove" : "Cancel");
    first.hidden = download.state === "done";
    plotRates(rates, state.rates.get(hash) ?? []);
  }

  observe("rates", () => element.hidden || plotRates(rates, state.rates.get(hash) ?? []));

  function show(which) {
    if (which === hash) return;
    hash = which;
    isSettled = false;
    sources.replaceChildren();
    drawMap(map, []);
    update();
    ask();
  }

  return { element, show, update };
}
