// One content: what it is before it is downloaded, and how it is passed on.

import { blob, call, lines, part } from "./api.js";
import { attempt, complain, copy, dialog, h, icon, name, toast } from "./dom.js";
import { bytes, count, short, shortPeer } from "./format.js";

/** How long to look for somebody who has it, in seconds. */
const LOOK_SECONDS = 20;
/** How long a download looks for a source before the node waits for one, in seconds. */
const SEARCH_SECONDS = 30;

const isContent = (target) => /^[0-9a-f]{64}$/i.test(target) || /^pelago:/i.test(target);

/** Gets what a person typed: a link or a hash at once, a name by way of who offers it. */
export function get(target) {
  if (isContent(target)) look(target);
  else location.hash = `#network/${encodeURIComponent(target)}`;
}

/** Shows what a hash or link is as soon as somebody says so, and offers to download it without waiting for that. */
export async function look(target) {
  const about = h("div", {}, h("p", { class: "busy" }, "Asking who has it…"));
  const order = form(target, () => box.close());
  const box = dialog("Get", h("div", { class: "look" }, about, order.element));
  order.button.focus();
  const gone = new AbortController();
  box.addEventListener("close", () => gone.abort());
  const request = { target, timeout_seconds: LOOK_SECONDS };
  try {
    const content = await call("POST", "/v1/look", request, gone.signal);
    about.replaceChildren(...facts(content));
    order.know(content);
  } catch (problem) {
    if (problem.name === "AbortError") return;
    const mayCome = problem.code === "no-source";
    const hint = mayCome ? "A download can wait for it: it starts as soon as somebody who has it is in reach." : problem.hint;
    const words = [h("p", { class: "problem" }, problem.message), hint && h("p", { class: "hint" }, hint)];
    about.replaceChildren(...words.filter(Boolean));
    if (mayCome) order.wait();
    else order.element.remove();
  }
}

function facts(content) {
  const what = content.kind === "folder" ? "Folder" : "File";
  const files = content.kind === "folder" && content.files !== null ? `, ${count(content.files, "file")}` : "";
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
    content.shared && h("p", { class: "note" }, "You have it: this node shares it."),
    h("h3", {}, holders.length ? "Who has it" : "Nobody in reach has it now"),
    h("ul", { class: "holders" }, holders),
  ].filter(Boolean);
}

/** Which symbolic links of a folder are created. */
const LINKS = [
  ["inside", "those that stay inside the folder"],
  ["all", "all, wherever they lead"],
  ["none", "none"],
];

/** What is asked before a download, and what to tell it: what the content is, or that nobody has it. */
function form(target, close) {
  const folder = h("input", {
    type: "text",
    placeholder: "the node's download folder",
    "aria-label": "Save in",
    spellcheck: "false",
    value: localStorage.getItem("folder") ?? "",
  });
  const only = h("textarea", { rows: 2, placeholder: "*.jpg", spellcheck: "false", "aria-label": "Only these files" });
  const choice = h("label", { hidden: true }, "Only these files ", h("small", {}, "patterns, one a line; none: all of it"), only);
  const links = h("select", { "aria-label": "Links to create" }, ...LINKS.map(([value, text]) => h("option", { value }, text)));
  const strict = h("input", { type: "checkbox" });
  const overwrite = h("input", { type: "checkbox" });
  const details = h(
    "div",
    { hidden: true },
    h("label", {}, "Symbolic links to create", links),
    h("label", { class: "check" }, strict, "Refuse it if a name in it cannot be kept as it is"),
  );
  const button = h("button", { class: "primary" }, "Download");
  const element = h(
    "form",
    {
      onsubmit: async (event) => {
        event.preventDefault();
        localStorage.setItem("folder", folder.value.trim());
        const globs = only.value.split("\n").map((glob) => glob.trim()).filter(Boolean);
        const options = {
          folder: folder.value.trim(),
          only: globs,
          links: links.value,
          strict_names: strict.checked,
          overwrite: overwrite.checked,
        };
        if (await download(target, button, options)) close();
      },
    },
    h("label", {}, "Save in ", h("small", {}, "a folder on the node's machine"), folder),
    choice,
    details,
    h("label", { class: "check" }, overwrite, "Replace other content that is there already"),
    h("footer", {}, button),
  );
  return {
    element,
    button,
    know: (content) => (choice.hidden = details.hidden = content.kind !== "folder"),
    wait: () => (button.textContent = "Download once somebody has it"),
  };
}

/** Hands a download to the node. */
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

/** Shows how to pass a share on: link, QR code, and where a browser opens it. */
export function pass(share) {
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
  dialog(
    "Link",
    h("div", { class: "what" }, icon(share.kind), h("div", {}, h("strong", {}, name(share.name)), h("p", {}, bytes(share.size)))),
    qr,
    link,
    h(
      "footer",
      {},
      h("button", { type: "button", onclick: (event) => openInBrowser(share.hash, event.currentTarget) }, "Open in the browser"),
      h("button", { type: "button", class: "primary", onclick: () => copy(share.link, "Link") }, "Copy the link"),
    ),
  );
}

/** Opens content by the node's gateway, complete or not. */
export async function openInBrowser(hash, button) {
  // Opened at once, as browsers let a page do only what follows a click; sent on its way when known.
  const tab = window.open("about:blank", "_blank");
  try {
    if (button) button.disabled = true;
    const { url } = await call("GET", `/v1/gateway?what=${part(hash)}`);
    if (!tab) return toast("The browser did not let this page open another", "error");
    tab.opener = null;
    tab.location.href = url;
  } catch (problem) {
    tab?.close();
    complain(problem);
  } finally {
    if (button) button.disabled = false;
  }
}

/** A hash that is copied by a click. */
export const hashButton = (hash) =>
  h("button", { type: "button", class: "hash-button", title: `Copy ${hash}`, onclick: () => copy(hash, "Hash") }, short(hash));
