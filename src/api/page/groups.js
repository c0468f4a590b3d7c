// Groups: the groups of the user of this node, founding and joining them.

import { call, part } from "./api.js";
import { attempt, dialog, empty, h, icon, iconButton, name, setName, setText, toast } from "./dom.js";
import { count, harmless, short } from "./format.js";
import { group as openGroup } from "./group.js";
import { join } from "./join.js";
import { sortedGroups } from "./memberships.js";
import { Rows } from "./rows.js";
import { observe, state } from "./state.js";
import { withUser } from "./user.js";

const JOIN_WORDS = {
  pending: "you asked to join; no owner has answered yet",
  rejected: "an owner rejected your request",
  full: "the group is full",
  revoked: "the link is not valid any more: ask for another one",
  used: "the link has admitted you before: ask for another one",
  removed: "an owner removed you",
};

const show = ({ id }) => (location.hash = `#groups/${id}`);

function row(first) {
  let group = first;
  const title = name("");
  const words = h("p", { class: "words" });
  const badge = h("div", { class: "badge", hidden: true });
  const withdraw = iconButton("remove", "", async (event) => {
    event.stopPropagation();
    await attempt(withdraw, () => call("DELETE", `/v1/joins/${part(group.key)}`));
  });
  const element = h(
    "div",
    { class: "group", onclick: () => group.id && show(group) },
    h("div", { class: "kind" }, icon("groups")),
    h("div", { class: "title" }, title, words),
    badge,
    withdraw,
  );
  const update = (now) => {
    group = now;
    setName(title, now.name);
    withdraw.hidden = !now.status;
    withdraw.title = now.status === "pending" || now.status === "full" ? "Withdraw the request" : "Forget the request";
    withdraw.setAttribute("aria-label", withdraw.title);
    if (now.status) return setText(words, JOIN_WORDS[now.status] ?? now.status);
    const role = now.role === "member" ? "" : now.role === "root" ? ", founded by you" : ", you are an owner";
    setText(words, `${count(now.members, "member")}${role}`);
    badge.hidden = !now.pending_requests;
    setText(badge, count(now.pending_requests, "request"));
  };
  return { element, update };
}

// Founds a group.
function create() {
  const title = h("input", { type: "text", required: true, maxlength: 128, "aria-label": "Name" });
  const button = h("button", { class: "primary" }, "Found");
  const found = async (event) => {
    event.preventDefault();
    const group = await attempt(button, () => call("POST", "/v1/groups", { name: title.value.trim() }));
    if (!group) return;
    box.close();
    show(group);
    const { alike } = await call("GET", `/v1/groups/${group.id}`);
    if (alike) toast(`Another of your groups has a name like “${harmless(group.name)}”`);
  };
  const box = dialog(
    "Found a group",
    h("form", { onsubmit: found }, h("label", {}, "Name ", h("small", {}, "that its members see"), title), h("footer", {}, button)),
  );
  title.focus();
}

// Requests that did not end with membership, as rows.
function joins() {
  const shown = [...state.joins.values()].filter(({ group, status }) => status !== "accepted" && !state.groups.has(group));
  return shown.map(({ group, name, status }) => ({ key: group, name: name ?? short(group), status }));
}

function open() {
  const summary = h("p", { class: "summary" });
  const rows = new Rows({ make: row, key: (item) => item.key ?? item.id, label: "Groups", onopen: (item) => item.id && show(item) });
  const nothing = empty(
    "You are in no group",
    "The members of a group share files with each other alone. Found one and invite people, or join one by its link.",
  );
  const list = h(
    "div",
    { class: "view" },
    h(
      "div",
      { class: "bar" },
      summary,
      h("button", { type: "button", onclick: () => withUser(() => join()) }, "Join…"),
      h("button", { type: "button", class: "primary", onclick: () => withUser(create) }, "Found a group…"),
    ),
    nothing,
    rows.element,
  );
  const element = h("div", { class: "groups" }, list);
  const opened = new Map();
  let current = null;
  // What the address names, while the view is visible: a group may arrive after that.
  let wanted = null;

  const draw = () => {
    const groups = sortedGroups();
    const items = [...groups, ...joins()];
    nothing.hidden = items.length > 0;
    rows.element.hidden = items.length === 0;
    rows.set(items);
    setText(summary, groups.length ? count(groups.length, "group") : "");
    for (const [id, view] of opened) {
      if (state.groups.has(id)) continue;
      // The user left, or was removed.
      view.hidden();
      view.element.remove();
      opened.delete(id);
      if (current === id) location.hash = "#groups";
    }
    opened.get(current)?.update();
    follow();
  };

  function look(id, part) {
    if (current !== id) opened.get(current)?.hidden();
    current = id;
    if (id && !opened.has(id)) {
      const view = openGroup(id);
      opened.set(id, view);
      element.append(view.element);
    }
    list.hidden = Boolean(id);
    for (const [other, view] of opened) view.element.hidden = other !== id;
    opened.get(id)?.shown(part);
  }

  function follow() {
    if (!wanted) return;
    const id = state.groups.has(wanted.id) ? wanted.id : null;
    if (id !== current) look(id, wanted.part);
  }

  observe("groups", draw);
  observe("joins", draw);
  draw();
  return {
    element,
    shown: (rest) => {
      const [id, part] = rest.split("/");
      wanted = { id, part };
      look(state.groups.has(id) ? id : null, part);
    },
    hidden: () => {
      wanted = null;
      look(null);
    },
  };
}

export const groups = { id: "groups", title: "Groups", icon: "groups", open };
