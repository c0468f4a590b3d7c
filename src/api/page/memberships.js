// The groups of the user of this node, as other views need them.

import { harmless, short } from "./format.js";
import { state } from "./state.js";

const byName = (one, other) => (one.name < other.name ? -1 : one.name > other.name ? 1 : 0);

/** The groups, by name. */
export const sortedGroups = () => [...state.groups.values()].sort(byName);

/** Requests that this user can answer. */
export const requestCount = () =>
  sortedGroups().reduce((sum, { role, pending_requests }) => sum + (role === "member" ? 0 : pending_requests), 0);

/** The names of groups, by their ids. */
export const groupNames = (ids) => ids.map((id) => harmless(state.groups.get(id)?.name ?? short(id)));
