// Network: the shares of peers in reach.

import { empty } from "./dom.js";
import { offers } from "./offers.js";
import { state } from "./state.js";

/** Decodes a segment of the address; returns it unchanged if it is malformed. */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function why(offered) {
  if (offered.length) return empty("No peer in reach offers that", "It may be unlisted, or out of reach: its hash or link can still find it.");
  if (state.peers.size === 0) return empty("No peer is in reach", "This node finds peers on the same network by itself. To reach others, use a link, or `pelago start --bootstrap ADDR`.");
  return empty("Peers in reach offer nothing", "To download unlisted content, use its hash or link.");
}

function open() {
  const list = offers({ why, own: () => [...state.shares.values()] });
  return { ...list, shown: (query) => list.shown(query && decoded(query)) };
}

export const network = { id: "network", title: "Network", icon: "network", open };
