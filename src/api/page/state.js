// The state of the node: its events update it, and the views read it.

import { events } from "./api.js";

/** How long rates are kept for plots, with one sample per second. */
export const HISTORY_SECONDS = 120;

export const state = {
  /** `connecting`, `live`, `gone`, `signed-out`, `locked` or `full`. */
  connection: "connecting",
  hello: null,
  status: null,
  /** Whether there is a user, and whether the user is logged in. */
  user: null,
  /** Downloads by hash, uploads by `uploadOf`, shares by `shareOf`, peers by peer id. */
  downloads: new Map(),
  uploads: new Map(),
  shares: new Map(),
  /** Files in watched folders that programs may still write to, by path. */
  writing: new Map(),
  peers: new Map(),
  /** Groups by id, and requests to join one by the id of the group. */
  groups: new Map(),
  joins: new Map(),
  settings: [],
  log: [],
  /** Bytes per second of all downloads and to all peers, newest last. */
  down: [],
  up: [],
  /** Bytes per second of each download, by hash. */
  rates: new Map(),
};

/** Lines of the log that are kept, at most. */
const LOG_LINES = 2000;

const observers = new Map();
const changed = new Set();

/** Calls `observer` after changes of `topic`, at most once per frame. */
export function observe(topic, observer) {
  if (!observers.has(topic)) observers.set(topic, new Set());
  observers.get(topic).add(observer);
}

/** Notifies the observers of `topic`. */
export function change(topic) {
  if (changed.size === 0) requestAnimationFrame(notify);
  changed.add(topic);
}

function notify() {
  const topics = [...changed];
  changed.clear();
  for (const topic of topics) observers.get(topic)?.forEach((observer) => observer());
}

// The start of a stream sends the complete state. `fresh` holds the keys that were sent since then,
// and at `ready`, all others are removed.
let fresh = null;

function upsert(topic, key) {
  return (value) => {
    state[topic].set(key(value), value);
    fresh?.[topic].add(key(value));
    // At first, the stream sends thousands of shares one by one. They are drawn once, at `ready`.
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
const idOf = ({ id }) => id;
const groupOf = ({ group }) => group;

/**
 * The key of a share. The same content may be shared under several names and from several paths.
 */
export const shareOf = ({ hash, name, path }) => `${hash} ${name}\n${path ?? ""}`;

/** The key of an upload. */
export const uploadOf = ({ hash, peer_id }) => `${hash} ${peer_id}`;

const upsertDownload = upsert("downloads", hashOf);

const listeners = {
  hello(hello) {
    state.hello = hello;
    const topics = ["downloads", "uploads", "shares", "writing", "peers", "groups", "joins"];
    fresh = Object.fromEntries(topics.map((topic) => [topic, new Set()]));
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
    // The event is not repeated as time passes, so the time itself is kept.
    const { waits } = download;
    if (waits?.for === "source" || waits?.for === "data") waits.since = new Date(Date.now() - waits.seconds * 1000);
    upsertDownload(download);
  },
  "download-removed": removed("downloads", hashOf),
  upload: upsert("uploads", uploadOf),
  "upload-removed": removed("uploads", uploadOf),
  share: upsert("shares", shareOf),
  "share-removed": removed("shares", shareOf),
  "being-written": upsert("writing", pathOf),
  written: removed("writing", pathOf),
  peer: upsert("peers", peerOf),
  "peer-removed": removed("peers", peerOf),
  group: upsert("groups", idOf),
  "group-removed": removed("groups", idOf),
  join: upsert("joins", groupOf),
  "join-removed": removed("joins", groupOf),
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

/** Begins to listen to the events of the node. */
export function listen() {
  setInterval(sample, 1000);
  return events(["status", "downloads", "uploads", "shares", "peers", "groups", "settings", "log"], listeners, (connection) => {
    if (state.connection === connection) return;
    state.connection = connection;
    change("connection");
  });
}

// Bytes sent to each peer at the last sample.
let sent = new Map();

// Samples all rates.
function sample() {
  if (document.hidden) {
    // A hidden page gets no events, so it takes no samples.
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
  // The counter of a peer covers the node's whole life: the rate is what was added since the last
  // sample.
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

function push(samples, value) {
  samples.push(value);
  if (samples.length > HISTORY_SECONDS) samples.shift();
}
