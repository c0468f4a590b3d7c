// What is known of the node: told by its events, read by the views.

import { events } from "./api.js";

/** How far back rates are kept for their plots, one reading a second. */
export const HISTORY_SECONDS = 120;

export const state = {
  /** `connecting`, `live`, `gone`, `signed-out` or `full`. */
  connection: "connecting",
  hello: null,
  status: null,
  /** By hash, by `shareOf`, and by peer id. */
  downloads: new Map(),
  shares: new Map(),
  /** Files in watched folders that may still be being written, by path. */
  writing: new Map(),
  peers: new Map(),
  settings: [],
  log: [],
  /** Bytes a second, newest last: of all downloads, and to all peers. */
  down: [],
  up: [],
  /** The same for each download, by hash. */
  rates: new Map(),
};

/** Lines of the log that are kept. */
const LOG_LINES = 2000;

const observers = new Map();
const changed = new Set();

/** Calls `observe` after changes of `topic`, at most once a frame. */
export function observe(topic, observer) {
  if (!observers.has(topic)) observers.set(topic, new Set());
  observers.get(topic).add(observer);
}

/** Says that `topic` has changed. */
export function change(topic) {
  if (changed.size === 0) requestAnimationFrame(tell);
  changed.add(topic);
}

function tell() {
  const topics = [...changed];
  changed.clear();
  for (const topic of topics) observers.get(topic)?.forEach((observer) => observer());
}

// What is told at the start of a stream is all there is: what was known before and is not told again
// is gone. `fresh` holds what was told since then.
let fresh = null;

function upsert(topic, key) {
  return (value) => {
    state[topic].set(key(value), value);
    fresh?.[topic].add(key(value));
    // Thousands of shares are told one by one at first: they are shown once, when all are there.
    if (!fresh || topic !== "shares") change(topic);
  };
}

function removed(topic, key) {
  return (value) => {
    state[topic].delete(key(value));
    change(topic);
  };
}

const hashOf = ({ hash }) => hash;
const peerOf = ({ peer_id }) => peer_id;
const pathOf = ({ path }) => path;

/** What tells a share from others: the same content may be shared under several names, and from several places. */
export const shareOf = ({ hash, name, path }) => `${hash} ${name}\n${path ?? ""}`;

const upsertDownload = upsert("downloads", hashOf);

const listeners = {
  hello(hello) {
    state.hello = hello;
    fresh = { downloads: new Set(), shares: new Set(), writing: new Set(), peers: new Set() };
    state.log = [];
    change("hello");
  },
  ready() {
    for (const [topic, known] of Object.entries(fresh ?? {})) {
      for (const key of state[topic].keys()) if (!known.has(key)) state[topic].delete(key);
      change(topic);
    }
    fresh = null;
  },
  status(status) {
    state.status = status;
    change("status");
  },
  download(download) {
    // It is not told again as time goes by: the moment stays true.
    const { waits } = download;
    if (waits?.for === "source") waits.since = new Date(Date.now() - waits.seconds * 1000);
    upsertDownload(download);
  },
  "download-removed": removed("downloads", hashOf),
  share: upsert("shares", shareOf),
  "share-removed": removed("shares", shareOf),
  "being-written": upsert("writing", pathOf),
  written: removed("writing", pathOf),
  peer: upsert("peers", peerOf),
  "peer-removed": removed("peers", peerOf),
  settings(settings) {
    state.settings = settings;
    change("settings");
  },
  log(line) {
    state.log.push(line);
    if (state.log.length > LOG_LINES) state.log.splice(0, state.log.length - LOG_LINES);
    change("log");
  },
};

/** Begins to listen to the node. */
export function listen() {
  setInterval(read, 1000);
  return events(["status", "downloads", "shares", "peers", "settings", "log"], listeners, (connection) => {
    if (state.connection === connection) return;
    state.connection = connection;
    change("connection");
  });
}

// Bytes sent to each peer at the last reading.
let sent = new Map();

// One reading of all rates.
function read() {
  if (document.hidden) {
    // Nothing is told to a hidden page; what it missed is no reading.
    sent = new Map();
    return;
  }
  const live = state.connection === "live";
  let down = 0;
  for (const download of state.downloads.values()) {
    down += download.bytes_per_second;
    const known = state.rates.get(download.hash);
    if (download.bytes_per_second || known) {
      const rates = known ?? [];
      push(rates, download.bytes_per_second);
      state.rates.set(download.hash, rates);
    }
  }
  for (const hash of state.rates.keys()) if (!state.downloads.has(hash)) state.rates.delete(hash);
  // A peer's count is of the node's whole life: only what was added since the last reading is a rate.
  let up = 0;
  const now = new Map();
  for (const { peer_id, sent_bytes } of state.peers.values()) {
    up += Math.max(0, sent_bytes - (sent.get(peer_id) ?? sent_bytes));
    now.set(peer_id, sent_bytes);
  }
  sent = now;
  push(state.down, live ? down : 0);
  push(state.up, live ? up : 0);
  change("rates");
}

function push(readings, reading) {
  readings.push(reading);
  if (readings.length > HISTORY_SECONDS) readings.shift();
}
