// Links for people without Pelago: their browsers download a share, or send files to this machine.

import { blob, call, part } from "./api.js";
import { attempt, copy, dialog, h, icon, name } from "./dom.js";
import { bytes, harmless, moment } from "./format.js";

/** How often the dialog shows what has arrived. */
const LOOK_MS = 2000;

const LIFETIMES = [
  ["", "until it is withdrawn or the node ends"],
  ["3600", "for 1 hour"],
  ["86400", "for 1 day"],
];

const EXPOSED = "The connection is not encrypted: others on the same network can read the address and the content.";

const lifetime = () => h("select", { "aria-label": "Valid" }, ...LIFETIMES.map(([value, text]) => h("option", { value }, text)));
const seconds = (select) => (select.value === "" ? null : Number(select.value));

/** The link as text and as a QR code, and a button that withdraws it. */
function shown(link, what, ondone) {
  const qr = h("img", { class: "qr", alt: "The address as a QR code", onload: () => URL.revokeObjectURL(qr.src) });
  blob("/v1/qr", { text: link.urls[0] }).then(
    (url) => (qr.src = url),
    () => qr.remove(),
  );
  const addresses = link.urls.map((url) =>
    h("li", {}, h("code", {}, url), " ", h("button", { type: "button", onclick: () => copy(url, "Address") }, "Copy")),
  );
  const until = link.expires_unix_ms === null ? "until you withdraw it or the node ends" : `until ${moment(new Date(link.expires_unix_ms))}`;
  const withdraw = h("button", { type: "button", class: "danger", onclick: () => end() }, "Withdraw");
  const end = async () => {
    const done = await attempt(withdraw, () => call("DELETE", `/v1/web-links/${part(link.id)}`));
    if (done) ondone();
  };
  return h(
    "div",
    { class: "web-link" },
    qr,
    h("ul", { class: "addresses" }, addresses),
    h("p", {}, `Everyone who has an address can ${what}, ${until}. ${EXPOSED}`),
    h("footer", {}, withdraw),
  );
}

/** Shows the link by which browsers download a share, or makes one. */
export async function give(share) {
  const content = h("div");
  const box = dialog(
    "For a phone or a friend without Pelago",
    h("div", { class: "what" }, icon(share.kind), h("div", {}, h("strong", {}, name(share.name)), h("p", {}, bytes(share.size)))),
    content,
  );
  const show = (link) => content.replaceChildren(shown(link, "download this", () => box.close()));
  const valid = lifetime();
  const button = h("button", { class: "primary" }, "Make the link");
  const make = async (event) => {
    event.preventDefault();
    const request = { kind: "share", what: share.hash, for_seconds: seconds(valid) };
    const link = await attempt(button, () => call("POST", "/v1/web-links", request));
    if (link) show(link);
  };
  content.append(
    h("form", { onsubmit: make }, h("p", {}, `A browser on the same network downloads it. ${EXPOSED}`), h("label", {}, "Valid ", valid), h("footer", {}, button)),
  );
  const links = (await attempt(null, () => call("GET", "/v1/web-links"))) ?? [];
  const known = links.find(({ hash }) => hash === share.hash);
  if (known) show(known);
}

/** Makes a link by which browsers send files into a folder, and shows what arrives. */
export function receive() {
  const folder = h("input", { type: "text", required: true, spellcheck: "false", placeholder: "/home/me/received", "aria-label": "Folder" });
  const valid = lifetime();
  const button = h("button", { class: "primary" }, "Make the link");
  const content = h("div");
  const arrived = h("ul", { class: "addresses", "aria-live": "polite", "aria-label": "Received files" });
  let timer = null;
  const look = async (id) => {
    const links = await call("GET", "/v1/web-links").catch(() => null);
    const files = links?.find((link) => link.id === id)?.received ?? [];
    if (links) arrived.replaceChildren(...files.map(({ path, size }) => h("li", {}, harmless(path), ` ${bytes(size)}`)));
    if (box.isConnected) timer = setTimeout(() => look(id), LOOK_MS);
  };
  const make = async (event) => {
    event.preventDefault();
    const request = { kind: "receive", folder: folder.value.trim(), for_seconds: seconds(valid) };
    const link = await attempt(button, () => call("POST", "/v1/web-links", request));
    if (!link) return;
    const what = `send ${link.files_left} files of ${bytes(link.bytes_left)} together`;
    content.replaceChildren(shown(link, what, () => box.close()), arrived);
    look(link.id);
  };
  content.append(
    h(
      "form",
      { onsubmit: make },
      h("p", {}, `A friend sends files from a browser on the same network. They are not shared on. ${EXPOSED}`),
      h("label", {}, "Folder ", h("small", {}, "on the node's machine, which is not shared"), folder),
      h("label", {}, "Valid ", valid),
      h("footer", {}, button),
    ),
  );
  const box = dialog("Receive files", content);
  box.addEventListener("close", () => clearTimeout(timer));
  folder.focus();
}
