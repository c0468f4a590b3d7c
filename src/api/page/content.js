// One content: its description before it is downloaded, and its link.

import { blob, call, lines, part } from "./api.js";
import { attempt, complain, copy, dialog, h, icon, name, toast } from "./dom.js";
import { bytes, count, short, shortPeer } from "./format.js";
import { isGroupLink, join } from "./join.js";
import { give } from "./web.js";

/** How long to search for peers that have it, in seconds. */
const DESCRIBE_SECONDS = 20;
/** How long a download searches for a source before it waits for one, in seconds. */
const SEARCH_SECONDS = 30;

const isContent = (target) => /^[0-9a-f]{64}$/i.test(target) || /^pelago:/i.test(target);

/** Opens what a person typed: a link or a hash directly, a name as a search of the network. */
export function get(target) {
  if (isGroupLink(target)) return join(target);
  if (isContent(target)) open(target);
  else location.hash = `#network/${encodeURIComponent(target)}`;
}

/**
 * Describes the content of a hash or link as soon as a peer responds, and offers to download it
 * before that. `options` are fields of both requests, such as the group whose members to ask.
 */
export async function open(target, options = {}) {
  const about = h("div", {}, h("p", { class: "busy" }, "Asking peers for it…"));
  const order = form(target, options, () => box.close());
  const box = dialog("Get", h("div", { class: "look" }, about, order.element));
  order.button.focus();
  const gone = new AbortController();
  box.addEventListener("close", () => gone.abort());
  const request = { target, timeout_seconds: DESCRIBE_SECONDS, ...options };
  try {
    const content = await call("POST", "/v1/look", request, gone.signal);
    about.replaceChildren(...facts(content));
    order.know(content);
  } catch (problem) {
    if (problem.name === "AbortError") return;
    const mayCome = problem.code === "no-source";
    const hint = mayCome ? "A download can wait for it: it starts as soon as a peer that has it is in reach." : problem.hint;
    const words = [h("p", { class: "problem" }, problem.message), hint && h("p", { class: "hint" }, hint)];
    about.replaceChildren(...words.filter(Boolean));
    if (mayCome) order.wait();
    else order.element.remove();
  }
}

function facts(content) {
  const what = content.kind === "folder" ? "Folder" : "File";
  const counts = [[content.files, "file"], [content.subfolders || null, "sub-folder"]];
  const known = counts.filter(([number]) => content.kind === "folder" && number !== null);
  const files = known.map(([number, what]) => `, ${count(number, what)}`).join("");
  const holders = content.holders.map((holder) =>
    h("li", {}, name(holder.name ?? shortPeer(holder.peer_id)), h("span", {}, ` ${bytes(holder.bytes)}`)),
  );
  return [
    h(
      "div",
      { class: "what" },
      icon(content.kind),
      h("div", {}, h("strong", {}, name(content.name ?? content.hash)), h("p", {}, `${what}, ${bytes(content.size)}${files}`)),
    ),
    h("code", { class: "hash" }, content.hash),
    content.shared && h("p", { class: "note" }, "This node shares it already."),
    h("h3", {}, holders.length ? "Peers that have it" : "No peer in reach has it now"),
    h("ul", { class: "holders" }, holders),
  ].filter(Boolean);
}

/** Which symbolic links of a folder to create. */
const LINKS = [
  ["inside", "those that stay inside the folder"],
  ["all", "all, wherever they lead"],
  ["none", "none"],
];

/**
 * The form of a download. `know` shows the options of its kind of content, `wait` shows that no
 * peer has it.
 */
function form(target, options, close) {
  const folder = h("input", {
    type: "text",
    placeholder: "the node's download folder",
    "aria-label": "Save in",
    spellcheck: "false",
    value: localStorage.getItem("folder") ?? "",
  });
  const only = h("textarea", { rows: 2, placeholder: "*.jpg", spellcheck: "false", "aria-label": "Only these files" });
  const choice = h("label", { hidden: true }, "Only these files ", h("small", {}, "patterns, one per line; empty: all files"), only);
  const links = h("select", { "aria-label": "Links to create" }, ...LINKS.map(([value, text]) => h("option", { value }, text)));
  const strict = h("input", { type: "checkbox" });
  const overwrite = h("input", { type: "checkbox" });
  const details = h(
    "div",
    { hidden: true },
    h("label", {}, "Symbolic links to create", links),
    h("label", { class: "check" }, strict, "Fail if this file system cannot store a name in it"),
  );
  const button = h("button", { class: "primary" }, "Download");
  const element = h(
    "form",
    {
      onsubmit: async (event) => {
        event.preventDefault();
        localStorage.setItem("folder", folder.value.trim());
        const globs = only.value.split("\n").map((glob) => glob.trim()).filter(Boolean);
        const chosen = {
          ...options,
          folder: folder.value.trim(),
          only: globs,
          links: links.value,
          strict_names: strict.checked,
          overwrite: overwrite.checked,
        };
        if (await download(target, button, chosen)) close();
      },
    },
    h("label", {}, "Save in ", h("small", {}, "a folder on the node's machine"), folder),
    choice,
    details,
    h("label", { class: "check" }, overwrite, "Replace other content that exists there"),
    h("footer", {}, button),
  );
  return {
    element,
    button,
    know: (content) => (choice.hidden = details.hidden = content.kind !== "folder"),
    wait: () => (button.textContent = "Download when a peer has it"),
  };
}

/** Starts a download, which the node continues by itself. */
export async function download(target, button, { folder, from = [], ...options } = {}) {
  const request = {
    target,
    output: folder ? { into: folder } : "default",
    timeout_seconds: SEARCH_SECONDS,
    wait: true,
    from,
    ...options,
    seed: true,
    detach: true,
  };
  return attempt(button, async () => {
    let started = null;
    await lines("POST", "/v1/downloads", request, (event) => (started = event));
    location.hash = `#downloads/${started.hash}`;
    return started;
  });
}

/** Shows the link of a share, as text and as a QR code, and opens it in the browser. */
export function showLink(share) {
  const link = h("textarea", { readonly: true, rows: 3, "aria-label": "Link", onfocus: () => link.select() });
  link.value = share.link;
  const qr = h("img", {
    class: "qr",
    alt: "The link as a QR code",
    onload: () => URL.revokeObjectURL(qr.src),
  });
  blob(`/v1/links/qr?what=${part(share.hash)}`).then(
    (url) => (qr.src = url),
    () => qr.replaceWith(h("p", { class: "hint" }, "This link is too long for a QR code.")),
  );
  const box = dialog(
    "Link",
    h("div", { class: "what" }, icon(share.kind), h("div", {}, h("strong", {}, name(share.name)), h("p", {}, bytes(share.size)))),
    qr,
    link,
    h(
      "footer",
      {},
      h("button", { type: "button", onclick: (event) => openInBrowser(share.hash, event.currentTarget) }, "Open in the browser"),
      !share.group_only && h("button", { type: "button", class: "phone", onclick: () => (box.close(), give(share)) }, "For a phone…"),
      h("button", { type: "button", class: "primary", onclick: () => copy(share.link, "Link") }, "Copy the link"),
    ),
  );
}

/** Opens content at the node's gateway, even before it is complete. */
export async function openInBrowser(hash, button) {
  // Browsers allow a new tab only as a direct result of a click, so it opens before the URL is
  // known.
  const tab = window.open("about:blank", "_blank");
  try {
    if (button) button.disabled = true;
    const { url, notes = [] } = await call("GET", `/v1/gateway?what=${part(hash)}`);
    notes.forEach((note) => toast(note));
    if (!tab) return toast("The browser blocked the new tab: allow this page to open tabs", "error");
    tab.opener = null;
    tab.location.href = url;
  } catch (problem) {
    tab?.close();
    complain(problem);
  } finally {
    if (button) button.disabled = false;
  }
}

/** A button that shows a hash, and copies it. */
export const hashButton = (hash) =>
  h("button", { type: "button", class: "hash-button", title: `Copy ${hash}`, onclick: () => copy(hash, "Hash") }, short(hash));
