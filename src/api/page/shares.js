// Shares: the shares of this node, adding and ending them, and their links.

import { call, lines, part } from "./api.js";
import { hashButton, openInBrowser, showLink } from "./content.js";
import { attempt, complain, confirm, dialog, empty, h, icon, iconButton, name, setIcon, setName, setText, toast } from "./dom.js";
import { bytes, count, harmless } from "./format.js";
import { matches } from "./match.js";
import { groupNames, sortedGroups } from "./memberships.js";
import { Rows } from "./rows.js";
import { observe, shareOf, state } from "./state.js";

function row(first) {
  let share = first;
  const title = name(share.name);
  const where = h("p", { class: "words" });
  const end = iconButton("cancel", "Stop sharing", () => unshare(share, end));
  // What is not available cannot be opened: its button does what makes it available.
  const browse = iconButton("open", "Open in the browser", () => {
    const remedy = remedyOf(share);
    return remedy ? remedy.act(share, browse) : openInBrowser(share.hash, browse);
  });
  const element = h(
    "div",
    { class: "share", onclick: (event) => event.target.closest("button") || showLink(share) },
    h("div", { class: "kind" }, icon(share.kind)),
    h("div", { class: "title" }, title, where),
    h("div", { class: "size" }, bytes(share.size)),
    hashButton(share.hash),
    h("div", { class: "actions" }, browse, iconButton("link", "Link and QR code", () => showLink(share)), end),
  );
  const update = (now) => {
    // The link changes with the addresses of the node.
    share = now;
    setName(title, now.name);
    const why = unavailable(now);
    const words = [scopes(now), why].filter(Boolean).map((word) => `${word}: `);
    const reason = REASONS[now.state] ? ` (${REASONS[now.state]})` : "";
    setText(where, words.join("") + harmless(now.path ?? "") + reason);
    where.title = where.textContent;
    element.classList.toggle("unavailable", why !== "");
    const remedy = remedyOf(now);
    setIcon(browse, remedy?.icon ?? "open", remedy?.label ?? "Open in the browser");
  };
  return { element, update };
}

// Whom a share is for, unless that is everyone alone.
function scopes({ unlisted, groups = [], group_only: isGroupOnly }) {
  const open = unlisted ? "unlisted" : groups.length && !isGroupOnly ? "everyone" : "";
  return [open, ...groupNames(groups)].filter(Boolean).join(", ");
}

// Why a share, or a part of a folder, is not available.
function unavailable({ state, unavailable_files: files }) {
  if (state && state !== "available") return state;
  return files ? `${count(files, "file")} not available` : "";
}

// Why a share is not available, for people.
const REASONS = {
  "being written": "offered again once no program writes to it",
  missing: "moved or removed, or its disk is not mounted",
  changed: "its content is not what was hashed",
  unreadable: "this node may not read it",
};

// Shares `path` for those whom `share` is for. Resolves to the new share, or to nothing.
const shareAgain = (share, path, button) =>
  attempt(button, async () => {
    const request = {
      path,
      name: share.name,
      unlisted: share.unlisted ?? false,
      groups: share.groups ?? [],
      everyone: !share.group_only,
    };
    let last = null;
    await lines("POST", "/v1/shares", request, (event) => (last = event));
    return last;
  });

// Asks where a missing share is now. It can be ended instead.
function findAgain(share) {
  const path = h("input", { type: "text", required: true, spellcheck: "false", value: share.path, "aria-label": "New path" });
  const button = h("button", { class: "primary" }, "Share from there");
  const find = async (event) => {
    event.preventDefault();
    const to = path.value.trim();
    const shared = await shareAgain(share, to, button);
    if (!shared) return;
    if (to !== share.path) await attempt(button, () => call("DELETE", `/v1/shares?what=${part(share.path)}`));
    box.close();
    if (shared.hash !== share.hash) toast("This is other content: it is shared, with another hash and link");
  };
  const end = h("button", { type: "button", onclick: () => (box.close(), unshare(share, null)) }, "Stop sharing");
  const box = dialog(
    "Find again",
    h(
      "form",
      { onsubmit: find },
      h("p", {}, name(share.name), " is not at its path, or its disk is not mounted. It is offered again when it is back."),
      h("label", {}, "Path ", h("small", {}, "where it is now, on the node's machine"), path),
      h("footer", {}, end, button),
    ),
  );
  path.select();
}

// What a person can do about a share that is not available, in part or as a whole.
function remedyOf({ state, unavailable_files: files }) {
  const again = (label) => ({ icon: "again", label, act: (share, button) => shareAgain(share, share.path, button) });
  if (state === "missing") return { icon: "search", label: "Find again", act: findAgain };
  if (state === "changed" || (files && state === "available")) return again("Hash again");
  return state === "unreadable" ? again("Try again") : null;
}

// The row of a file that is not shared yet because a program may still write to it.
function writtenRow(file) {
  const where = h("p", { class: "words", title: harmless(file.path) }, harmless(file.path));
  const size = h("div", { class: "size" });
  const element = h(
    "div",
    { class: "share written" },
    h("div", { class: "kind" }, icon("file")),
    h("div", { class: "title" }, name(file.name), where),
    size,
    h("div", { class: "badge", title: "This node shares it as soon as no program writes to it" }, "still being written"),
  );
  return { element, update: (now) => setText(size, bytes(now.size)) };
}

// A file that is being written, with the last segment of its path as its name.
const written = (file) => ({ ...file, name: file.path.split(/[\\/]/).at(-1), isWritten: true });

// Called after a share ends.
let onunshared = () => {};

async function unshare(share, button) {
  if (share.groups?.length) return unshareInPart(share, button);
  const places = [...state.shares.values()].filter(({ hash }) => hash === share.hash).length;
  const from = places > 1 ? ` This ends all ${places} shares of this content.` : "";
  const text = `“${harmless(share.name)}” stays on disk, but other peers cannot download it from this node any more.${from}`;
  if (!(await confirm("Stop sharing?", text, "Stop sharing"))) return;
  await attempt(button, () => call("DELETE", `/v1/shares?what=${part(share.hash)}`));
  onunshared();
}

// A share that groups have ends for one of them, or for all.
function unshareInPart(share, button) {
  const end = (query) => async () => {
    box.close();
    await attempt(button, () => call("DELETE", `/v1/shares?what=${part(share.hash)}${query}`));
    onunshared();
  };
  const names = groupNames(share.groups);
  const places = share.groups.map((id, at) => h("button", { type: "button", onclick: end(`&group=${part(id)}`) }, `With “${names[at]}”`));
  const box = dialog(
    "Stop sharing?",
    h("p", {}, name(share.name), " stays on disk."),
    h("footer", {}, places, h("button", { type: "button", class: "danger", onclick: end("") }, "With all")),
  );
}

// The paths in watched folders that a person excluded: they stay excluded until a person shares
// them again.
function excluded(places, ondone) {
  const share = async (place, button) => {
    const done = await attempt(button, async () => {
      let last = null;
      await lines("POST", "/v1/shares", { path: place.path }, (event) => (last = event));
      return last;
    });
    if (!done) return;
    box.close();
    ondone();
  };
  const line = (place) => {
    const button = h("button", { type: "button", onclick: () => share(place, button) }, "Share again");
    return h("p", { class: "excluded" }, harmless(place.path), " ", button);
  };
  const box = dialog("Excluded from watched folders", h("div", {}, ...places.map(line)));
}

/** Shares a path, at first with this group alone if one is given. Hashing stops when the dialog is closed. */
export function add(chosen = null) {
  const path = h("input", { type: "text", required: true, spellcheck: "false", placeholder: "/home/me/film.mkv", "aria-label": "Path" });
  const title = h("input", { type: "text", placeholder: "the name of the file", "aria-label": "Name" });
  const unlisted = h("input", { type: "checkbox", disabled: chosen !== null });
  const everyone = h("input", { type: "checkbox", checked: chosen === null, onchange: () => (unlisted.disabled = !everyone.checked) });
  const choices = sortedGroups().map((group) => ({ group, box: h("input", { type: "checkbox", checked: group.id === chosen }) }));
  const whom = h(
    "fieldset",
    { class: "scopes", hidden: choices.length === 0 },
    h("legend", {}, "For whom"),
    h("label", { class: "check" }, everyone, "Everyone"),
    choices.map(({ group, box }) => h("label", { class: "check" }, box, name(group.name))),
  );
  const skip = h("input", { type: "checkbox" });
  const bar = h("progress", { hidden: true, "aria-label": "Progress of hashing" });
  const status = h("p", { class: "hint" });
  const button = h("button", { class: "primary" }, "Share");
  const closed = new AbortController();
  const share = async (event) => {
    event.preventDefault();
    const groups = choices.filter(({ box }) => box.checked).map(({ group }) => group.id);
    if (!everyone.checked && groups.length === 0) return toast("Choose for whom: everyone, or a group", "error");
    const request = {
      path: path.value.trim(),
      name: title.value.trim() || null,
      unlisted: everyone.checked && unlisted.checked,
      groups,
      everyone: everyone.checked,
      skip_unsupported: skip.checked,
    };
    bar.hidden = false;
    const shared = await attempt(button, async () => {
      let last = null;
      await lines(
        "POST",
        "/v1/shares",
        request,
        (event) => {
          last = event;
          if (event.event !== "hashing") return;
          if (event.size) bar.value = event.hashed_bytes / event.size;
          setText(status, `${bytes(event.hashed_bytes)} hashed`);
        },
        closed.signal,
      );
      return last;
    });
    bar.hidden = true;
    if (!shared) return;
    box.close();
    showLink(shared);
    // Notes tell what was left out, and which link was followed.
    (shared.notes ?? []).forEach((note) => toast(note));
  };
  const box = dialog(
    "Share a file or folder",
    h(
      "form",
      { onsubmit: share },
      h("label", {}, "Path ", h("small", {}, "on the node's machine; the file stays there"), path),
      h("label", {}, "Name ", h("small", {}, "that other peers see"), title),
      whom,
      h("label", { class: "check" }, unlisted, "Unlisted: only people with the link can find it"),
      h("label", { class: "check" }, skip, "Leave out unreadable files, and names that are not UTF-8"),
      bar,
      status,
      h("footer", {}, button),
    ),
  );
  box.addEventListener("close", () => closed.abort());
  path.focus();
}

// A browser reveals the content of a dropped file, but not its path. So the file is copied to the
// shared folder of the node.
async function drop(files) {
  for (const file of files) {
    toast(`Copying “${harmless(file.name)}” to the shared folder`);
    try {
      const { path } = await call("PUT", `/v1/files/${part(file.name)}`, file);
      toast(`Shared from ${harmless(path)}`);
    } catch (problem) {
      complain(problem);
    }
  }
}

function listenToDrops(element) {
  let depth = 0;
  const over = (by) => (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    depth += by;
    element.classList.toggle("dropping", depth > 0);
  };
  element.addEventListener("dragenter", over(1));
  element.addEventListener("dragleave", over(-1));
  element.addEventListener("dragover", (event) => event.preventDefault());
  element.addEventListener("drop", (event) => {
    event.preventDefault();
    depth = 0;
    element.classList.remove("dropping");
    // Browsers cannot read a folder as a file.
    const items = [...event.dataTransfer.items].filter((item) => item.kind === "file");
    if (items.some((item) => item.webkitGetAsEntry?.()?.isDirectory)) {
      toast("To share a folder, use “Share…” and enter its path", "error");
    }
    drop(items.filter((item) => !item.webkitGetAsEntry?.()?.isDirectory).map((item) => item.getAsFile()));
  });
}

function open() {
  const filter = h("input", { type: "search", placeholder: "Filter", "aria-label": "Filter shares", oninput: () => draw() });
  const picker = h("input", { type: "file", multiple: true, hidden: true, onchange: () => drop([...picker.files]) });
  const summary = h("p", { class: "summary" });
  const rows = new Rows({
    make: (item) => (item.isWritten ? writtenRow(item) : row(item)),
    key: (item) => (item.isWritten ? `written ${item.path}` : shareOf(item)),
    label: "Shares",
    onopen: (item) => item.isWritten || showLink(item),
  });
  const exclusions = h("button", { type: "button", hidden: true }, "Excluded…");
  const readExclusions = async () => {
    try {
      const places = await call("GET", "/v1/exclusions");
      exclusions.hidden = places.length === 0;
      exclusions.onclick = () => excluded(places, readExclusions);
    } catch {
      // The node is unreachable for a moment: the button stays unchanged.
    }
  };
  onunshared = readExclusions;
  readExclusions();
  const nothing = empty(
    "Nothing is shared yet",
    "Share a file or folder at its path, or drop files here to copy them to the shared folder of the node.",
  );
  const element = h(
    "div",
    { class: "view" },
    h(
      "div",
      { class: "bar" },
      filter,
      summary,
      exclusions,
      h("button", { type: "button", onclick: () => picker.click() }, "Upload…"),
      picker,
      h("button", { type: "button", class: "primary", onclick: () => add() }, "Share…"),
    ),
    nothing,
    rows.element,
  );
  listenToDrops(element);
  const draw = () => {
    const all = [...state.shares.values()];
    const list = matches(all, filter.value);
    const writing = matches([...state.writing.values()].map(written), filter.value);
    const isEmpty = all.length + state.writing.size === 0;
    nothing.hidden = !isEmpty;
    rows.element.hidden = isEmpty;
    rows.set([...writing, ...list]);
    const total = list.reduce((sum, { size }) => sum + size, 0);
    const more = writing.length ? `, ${writing.length.toLocaleString("en")} still being written` : "";
    setText(summary, isEmpty ? "" : `${count(list.length, "share")}, ${bytes(total)}${more}`);
  };
  observe("shares", draw);
  observe("writing", draw);
  observe("groups", draw);
  draw();
  return { element };
}

export const shares = { id: "shares", title: "Shares", icon: "share", open };
