// One group: its files, members, requests and invites.

import { blob, call, part } from "./api.js";
import { attempt, confirm, copy, dialog, empty, h, iconButton, name, setName, setText, toast } from "./dom.js";
import { count, harmless, moment, short } from "./format.js";
import { offers } from "./offers.js";
import { polled } from "./polled.js";
import { add } from "./shares.js";
import { observe, state } from "./state.js";

const ROLES = { root: "root", owner: "owner", member: "" };

const ALIKE = "the name looks like that of another member";

/** How long a link can be valid, in seconds. */
const LIFETIMES = [[3600, "an hour"], [86_400, "a day"], [604_800, "a week"], [0, "until it is revoked"]];

const keyButton = (key, what) =>
  h("button", { type: "button", class: "hash-button", title: `Copy ${key}`, onclick: () => copy(key, what) }, short(key));

const shownName = (member) => harmless(member.name ?? short(member.user));

/** The view of the group with this id. */
export function group(id) {
  const path = (...parts) => `/v1/groups/${[id, ...parts].map(part).join("/")}`;
  const known = () => state.groups.get(id);
  const isOwner = () => known()?.role === "owner" || known()?.role === "root";
  const isRoot = () => known()?.role === "root";

  function memberRow(first) {
    let member = first;
    const title = name("");
    const words = h("p", { class: "words" });
    const dot = h("i", { class: "dot" });
    const remove = iconButton("remove", "Remove from the group", async () => {
      const text = `“${shownName(member)}” can no longer list or download the files of this group. What was downloaded stays there.`;
      if (!(await confirm("Remove this member?", text, "Remove"))) return;
      await attempt(remove, () => call("DELETE", path("members", member.user)));
      members.fetch();
    });
    const promote = iconButton("up", "Make an owner", async () => {
      await attempt(promote, () => call("POST", path("owners"), { user: member.user }));
      members.fetch();
    });
    const demote = iconButton("down", "Drop as an owner", () => dropOwner(member, demote));
    const element = h(
      "div",
      { class: "member" },
      h("div", { class: "kind" }, dot),
      h("div", { class: "title" }, title, words),
      keyButton(first.user, "Key"),
      h("div", { class: "actions" }, promote, demote, remove),
    );
    const update = (now) => {
      member = now;
      setName(title, now.name ?? short(now.user));
      setText(words, [ROLES[now.role], now.you ? "you" : now.online ? "online" : "offline", now.alike && ALIKE].filter(Boolean).join(", "));
      dot.dataset.state = now.you || now.online ? "live" : "signed-out";
      promote.hidden = !(isRoot() && now.role === "member" && !now.you);
      demote.hidden = !(isRoot() && now.role === "owner");
      remove.hidden = !(isOwner() && now.role === "member" && !now.you);
    };
    return { element, update };
  }

  // Shows what depends on the owner, and drops the owner.
  async function dropOwner(member, button) {
    const outcomes = await attempt(button, () => call("GET", path("owners", member.user, "outcomes")));
    if (!outcomes) return;
    const boxes = outcomes.map((outcome) => {
      const keep = h("input", { type: "checkbox", checked: true });
      const state = outcome.is_member ? "stays a member" : "stays out";
      return { outcome, keep, line: h("label", { class: "check" }, keep, `“${shownName(outcome)}” ${state}`) };
    });
    const yes = h("button", { type: "button", class: "danger" }, "Drop");
    yes.addEventListener("click", async () => {
      const undone = boxes.filter(({ keep }) => !keep.checked).map(({ outcome }) => outcome.user);
      const query = undone.length ? `?undo=${undone.join(",")}` : "";
      await attempt(yes, () => call("DELETE", path("owners", member.user) + query));
      box.close();
      members.fetch();
    });
    const box = dialog(
      "Drop this owner?",
      h("p", {}, `“${shownName(member)}” stays a member, and no longer decides who is one.`),
      boxes.length > 0 && h("p", { class: "hint" }, "Decided by this owner alone:"),
      ...boxes.map(({ line }) => line),
      h("footer", {}, yes),
    );
  }

  function requestRow(first) {
    let request = first;
    const title = name("");
    const words = h("p", { class: "words" });
    const answer = (verb, button) => attempt(button, () => call("POST", path("requests", request.user, verb))).then(() => requests.fetch());
    const accept = h("button", { type: "button", class: "primary", onclick: () => answer("accept", accept) }, "Accept");
    const reject = h("button", { type: "button", onclick: () => answer("reject", reject) }, "Reject");
    const element = h("div", { class: "request" }, h("div", { class: "title" }, title, words), keyButton(first.user, "Key"), h("div", { class: "actions" }, reject, accept));
    const update = (now) => {
      request = now;
      setName(title, now.name);
      setText(words, [now.alike && ALIKE, harmless(now.message), moment(new Date(now.received_unix_ms))].filter(Boolean).join(" · "));
      words.title = words.textContent;
      accept.hidden = reject.hidden = !isOwner();
    };
    return { element, update };
  }

  function inviteRow(first) {
    let invite = first;
    const title = h("span", { class: "name" });
    const words = h("p", { class: "words" });
    const revoke = h("button", { type: "button" }, "Revoke");
    revoke.addEventListener("click", () => attempt(revoke, () => call("DELETE", path("invites", invite.invite))).then(() => invites.fetch()));
    const element = h("div", { class: "invite" }, h("div", { class: "title" }, title, words), keyButton(first.invite, "Invite"), h("div", { class: "actions" }, revoke));
    const update = (now) => {
      invite = now;
      setText(title, now.mode === "auto" ? "Joins without asking" : "Asks an owner");
      const facts = [now.open ? "" : "revoked", now.open && now.uses_left !== null && `${now.uses_left} left`, now.open && now.expires_unix_ms && `until ${moment(new Date(now.expires_unix_ms))}`];
      setText(words, facts.filter(Boolean).join(", ") || "open");
      revoke.hidden = !(isOwner() && now.open);
    };
    return { element, update };
  }

  // Makes a link, and shows it once: the node does not keep it.
  function invite() {
    const auto = h("input", { type: "checkbox" });
    const uses = h("input", { type: "number", min: 1, placeholder: "any number", "aria-label": "People" });
    const expires = h("select", { "aria-label": "Valid for" }, LIFETIMES.map(([seconds, text]) => h("option", { value: seconds, selected: seconds === 604_800 }, text)));
    auto.addEventListener("change", () => (uses.placeholder = auto.checked ? "1" : "any number"));
    const button = h("button", { class: "primary" }, "Make a link");
    const make = async (event) => {
      event.preventDefault();
      const request = {
        auto: auto.checked,
        uses: uses.value ? uses.valueAsNumber : null,
        expires_seconds: Number(expires.value) || null,
      };
      const made = await attempt(button, () => call("POST", path("invites"), request));
      if (!made) return;
      box.close();
      invites.fetch();
      showInvite(made);
    };
    const box = dialog(
      "Invite people",
      h(
        "form",
        { onsubmit: make },
        h("label", { class: "check" }, auto, "Accept people who have the link without asking"),
        h("label", {}, "How many people may come by it", uses),
        h("label", {}, "How long it is valid", expires),
        h("footer", {}, button),
      ),
    );
  }

  function showInvite(made) {
    const link = h("textarea", { readonly: true, rows: 4, "aria-label": "Link", onfocus: () => link.select() });
    link.value = made.link;
    const qr = h("img", { class: "qr", alt: "The link as a QR code", onload: () => URL.revokeObjectURL(qr.src) });
    blob("/v1/qr", { text: made.link }).then(
      (url) => (qr.src = url),
      () => qr.replaceWith(h("p", { class: "hint" }, "This link is too long for a QR code.")),
    );
    const hint = made.mode === "auto" ? "Anyone who has this link can join: send it over a private channel." : "People who have this link can ask to join, and an owner accepts each of them.";
    dialog(
      "Invite",
      qr,
      link,
      h("p", { class: "hint" }, `${hint} It is not shown again.`),
      h("footer", {}, h("button", { type: "button", class: "primary", onclick: () => copy(made.link, "Link") }, "Copy the link")),
    );
  }

  async function leave(event) {
    const button = event.currentTarget;
    const warning = isRoot() ? " You founded it: without you, it has no new owners, and the present ones cannot be dropped. You come back by any link to it." : "";
    const text = `You can no longer list or download its files, and this node no longer shares yours with it.${warning}`;
    if (!(await confirm("Leave the group?", text, "Leave"))) return;
    await attempt(button, () => call("DELETE", path()));
  }

  const inGroup = () => [...state.shares.values()].filter(({ groups }) => groups?.includes(id));
  const why = () => empty("No files yet", "“Share…” shares a file or folder with the members of this group.");
  const sharing = h("button", { type: "button", onclick: () => add(id) }, "Share…");
  const files = offers({ group: id, why, own: inGroup, action: sharing });
  const members = polled({
    path: path("members"),
    make: memberRow,
    key: ({ user }) => user,
    label: "Members",
    why: () => empty("Members appear here", ""),
    topic: "groups",
  });
  const requests = polled({
    path: path("requests"),
    make: requestRow,
    key: ({ user }) => user,
    label: "Requests",
    why: () => empty("No requests", "People who have a link to this group can ask to join."),
    topic: "groups",
  });
  const inviteButton = h("button", { type: "button", class: "primary", onclick: invite }, "Invite…");
  const invites = polled({
    path: path("invites"),
    make: inviteRow,
    key: (item) => item.invite,
    label: "Invites",
    why: () => empty("No invites", "Owners invite people by links."),
    topic: "groups",
  });

  const PARTS = [["files", "Files", files], ["members", "Members", members], ["requests", "Requests", requests], ["invites", "Invites", invites]];
  const title = h("h2", {}, name(""));
  const tabs = PARTS.map(([key, text]) => h("a", { href: `#groups/${id}/${key}`, dataset: { part: key } }, text, h("b", { class: "count" })));
  const back = iconButton("back", "All groups", () => (location.hash = "#groups"));
  const leaving = h("button", { type: "button", onclick: leave }, "Leave…");
  const element = h(
    "div",
    { class: "view one-group" },
    h("div", { class: "bar" }, back, title, inviteButton, leaving),
    h("nav", { class: "parts", "aria-label": "Parts of the group" }, tabs),
    ...PARTS.map(([, , view]) => view.element),
  );
  let current = null;

  function update() {
    const now = known();
    if (!now) return;
    setName(title.firstChild, now.name);
    inviteButton.hidden = !isOwner();
    const counts = { members: now.members, requests: now.pending_requests };
    for (const tab of tabs) {
      const number = counts[tab.dataset.part];
      setText(tab.lastChild, number ? number.toLocaleString("en") : "");
    }
  }
  update();
  return {
    element,
    update,
    shown: (wanted) => {
      const which = PARTS.some(([key]) => key === wanted) ? wanted : "files";
      if (current && current !== which) PARTS.find(([key]) => key === current)[2].hidden();
      current = which;
      for (const tab of tabs) {
        if (tab.dataset.part === which) tab.setAttribute("aria-current", "page");
        else tab.removeAttribute("aria-current");
      }
      for (const [key, , view] of PARTS) view.element.hidden = key !== which;
      update();
      PARTS.find(([key]) => key === which)[2].shown();
    },
    hidden: () => {
      if (current) PARTS.find(([key]) => key === current)[2].hidden();
    },
  };
}
