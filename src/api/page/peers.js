// Peers: the connected peers, their transports and their traffic.

import { empty, h, name, setName, setText } from "./dom.js";
import { bytes, count, harmless, shortPeer } from "./format.js";
import { Rows } from "./rows.js";
import { observe, state } from "./state.js";

/** The transport of a multiaddr. */
function transport(address) {
  if (address.includes("/p2p-circuit")) return "relay";
  if (address.includes("/quic")) return "QUIC";
  if (address.includes("/tcp/")) return "TCP";
  return "";
}

/** The host and port of a multiaddr; the multiaddr itself if it has another form. */
function place(address) {
  const parts = /^\/(ip4|ip6|dns4|dns6|dns)\/([^/]+)\/(?:tcp|udp)\/(\d+)/.exec(address);
  if (!parts) return address;
  return parts[1] === "ip6" ? `[${parts[2]}]:${parts[3]}` : `${parts[2]}:${parts[3]}`;
}

function row(peer) {
  const title = name("");
  const where = h("p", { class: "words" });
  const how = h("div", { class: "transport" });
  const latency = h("div", { class: "latency", title: "Round-trip time" });
  const down = h("div", { class: "down", title: "Received" });
  const up = h("div", { class: "up", title: "Sent" });
  const element = h("div", { class: "peer" }, h("div", { class: "title" }, title, where), how, latency, down, up);
  const update = (now) => {
    const address = now.addresses[0] ?? "";
    setName(title, now.name ?? shortPeer(now.peer_id));
    setText(where, harmless(`${shortPeer(now.peer_id)} · ${place(address)}`));
    where.title = [now.peer_id, ...now.addresses].join("\n");
    setText(how, transport(address));
    setText(latency, now.rtt_ms === null ? "" : `${now.rtt_ms < 10 ? now.rtt_ms.toFixed(1) : Math.round(now.rtt_ms)} ms`);
    setText(down, `↓ ${bytes(now.received_bytes)}`);
    setText(up, `↑ ${bytes(now.sent_bytes)}`);
  };
  update(peer);
  return { element, update };
}

function open() {
  const summary = h("p", { class: "summary" });
  const rows = new Rows({ make: row, key: (peer) => peer.peer_id, label: "Peers" });
  const nothing = empty("No peers", "Nodes on the same network find each other. To reach others, start this node with the address of one: pelago start --bootstrap ADDR");
  const element = h("div", { class: "view" }, h("div", { class: "bar" }, summary), nothing, rows.element);
  const moved = (peer) => peer.sent_bytes + peer.received_bytes;
  const draw = () => {
    const list = [...state.peers.values()].sort((one, other) => moved(other) - moved(one) || (one.peer_id < other.peer_id ? -1 : 1));
    nothing.hidden = list.length > 0;
    rows.element.hidden = list.length === 0;
    rows.set(list);
    const addresses = state.status?.listen.length ?? 0;
    const reach = state.status ? ` Others reach it ${state.status.reach.summary}.` : "";
    setText(summary, `${count(list.length, "peer")}. This node listens at ${addresses === 1 ? "1 address" : addresses + " addresses"}.${reach}`);
    summary.title = state.status?.listen.join("\n") ?? "";
  };
  observe("peers", draw);
  observe("status", draw);
  draw();
  return { element };
}

export const peers = { id: "peers", title: "Peers", icon: "peers", open };
