// Elements: creating them, and those that all views share.
//
// Text becomes text nodes, never markup. This page does not use innerHTML, so a hostile name stays
// text.

import { harmless } from "./format.js";

/**
 * Creates an element. `properties` are attributes, except `on…` (listeners) and `dataset`. Children
 * are elements, texts, or nothing (null, undefined, false).
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "dataset") Object.assign(element.dataset, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/**
 * An element with a name that another person chose, isolated so that it cannot reorder its
 * surroundings.
 */
export function name(text) {
  const element = h("bdi", { class: "name" });
  setName(element, text);
  return element;
}

/** Changes the text of an element that `name` created. */
export function setName(element, text) {
  const shown = harmless(text) || "(no name)";
  if (element.textContent === shown) return;
  element.textContent = shown;
  element.title = shown;
}

/** Changes an element's text if it differs, as setting the same text costs a layout. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const SVG = "http://www.w3.org/2000/svg";

// Each icon is one path in a square of 24 by 24, drawn with a stroke of 1.75.
const ICONS = {
  download: "M12 4v11m0 0 4.5-4.5M12 15l-4.5-4.5M5 20h14",
  share: "M12 15V4m0 0L7.5 8.5M12 4l4.5 4.5M5 20h14",
  network: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18Zm0 0c-5 5-5 13 0 18m0-18c5 5 5 13 0 18M3.5 9h17m-17 6h17",
  peers: "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7Zm-6.5 9c0-3.6 2.9-6 6.5-6s6.5 2.4 6.5 6M16 4.5a3.3 3.3 0 0 1 0 6.2m2.500 3.800c2 .9 3 2.900 3 5.500",
  groups: "M12 10.500a3 3 0 1 0 0-6 3 3 0 0 0 0 6Zm-5.500 9c0-3 2.500-5.500 5.500-5.500s5.500 2.500 5.500 5.500M5 12.500a2.300 2.300 0 1 0-.1-4.500M2 18.500c0-2 .9-3.500 2.500-4.200M19 12.500a2.300 2.300 0 1 1 .1-4.500M22 18.500c0-2-.9-3.500-2.500-4.200",
  back: "M19.500 12h-15m0 0 5.500-5.500M4.500 12l5.500 5.500",
  settings: "M4 7h9m5 0h2M4 17h2m5 0h9M15.500 9.500a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5Zm-7 10a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5Z",
  log: "M5 6h14M5 12h14M5 18h8",
  pause: "M9 5.500v13m6-13v13",
  resume: "M8 5.500v13l10.500-6.500L8 5.500Z",
  cancel: "m6.500 6.500 11 11m0-11-11 11",
  remove: "M5 7h14M10 7V4.500h4V7m-7.500 0 .8 12.500h9.400L17.500 7M10.500 10.500v5.500m3-5.500v5.500",
  link: "M10 14a4 4 0 0 0 5.700 0l3.100-3.100a4 4 0 0 0-5.700-5.700L12 6.300M14 10a4 4 0 0 0-5.700 0l-3.100 3.100a4 4 0 0 0 5.700 5.700l1.100-1.100",
  open: "M14 4.500h5.500V10m0-5.500L11 13M17.500 13.500v6h-13v-13h6",
  goto: "M4.500 12h15m0 0-5.500-5.500M19.500 12l-5.500 5.500",
  up: "M12 19V5m0 0-5.500 5.500M12 5l5.500 5.500",
  down: "M12 5v14m0 0 5.500-5.500M12 19l-5.500-5.500",
  file: "M6.500 3.500h7l4 4v13h-11v-17Zm7 0v4h4",
  folder: "M3.500 6.500h6l2 2.500h9v10.500h-17v-13Z",
  again: "M18.500 9.500A7 7 0 1 0 19 13M19 5v4.500h-4.500",
  copy: "M8.500 8.500h11v11h-11v-11Zm-3 7h-1v-11h11v1",
  plus: "M12 5v14m-7-7h14",
  user: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8Zm-7.500 8.500c0-4 3.400-6.500 7.500-6.500s7.500 2.500 7.500 6.500",
  lock: "M6 10.500h12v9.500h-12v-9.500Zm2.500 0v-3a3.500 3.500 0 0 1 7 0v3",
  search: "M11 17.500a6.500 6.500 0 1 0 0-13 6.500 6.500 0 0 0 0 13Zm5-1.500 4.500 4.500",
};

/** An icon. It is hidden from screen readers: the element that holds it has a label. */
export function icon(which) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[which]);
  svg.append(path);
  return svg;
}

/** Changes the icon and the label of a button that `iconButton` created. */
export function setIcon(button, which, label) {
  if (button.dataset.icon === which && button.title === label) return;
  button.dataset.icon = which;
  button.replaceChildren(icon(which));
  button.title = label;
  button.setAttribute("aria-label", label);
}

/** A button that shows an icon. */
export function iconButton(which, label, onclick) {
  const button = h("button", { type: "button", class: "icon-button", onclick });
  setIcon(button, which, label);
  return button;
}

/** The placeholder of an empty view. */
export const empty = (title, ...text) => h("div", { class: "empty" }, h("h2", {}, title), h("p", {}, ...text));

/** Shows a short message at the edge of the window. Errors stay until a person closes them. */
export function toast(text, kind = "done") {
  const close = () => note.remove();
  const note = h(
    "div",
    { class: `toast ${kind}`, role: kind === "error" ? "alert" : "status" },
    h("span", {}, harmless(text)),
    iconButton("cancel", "Close", close),
  );
  const shelf = document.getElementById("toasts");
  shelf.append(note);
  // Showing it again places it above dialogs that opened later.
  if (shelf.matches(":popover-open")) shelf.hidePopover();
  shelf.showPopover();
  while (shelf.childElementCount > 4) shelf.firstElementChild.remove();
  if (kind !== "error") setTimeout(close, 5000);
}

/** Shows an error and its hint. */
export function complain(problem) {
  const hint = problem.hint ? ` — ${problem.hint}` : "";
  toast(`${problem.message}${hint}`, "error");
}

/** Runs the action of a button, which is disabled meanwhile, and shows its error. */
export async function attempt(button, action) {
  if (button) button.disabled = true;
  try {
    return await action();
  } catch (problem) {
    // A person aborted it by closing a dialog.
    if (problem.name !== "AbortError") complain(problem);
    return undefined;
  } finally {
    if (button) button.disabled = false;
  }
}

/** Shows a dialog with a title. Escape, a click on the backdrop and its close button close it. */
export function dialog(title, ...content) {
  const box = h(
    "dialog",
    { "aria-label": title, tabindex: -1 },
    h(
      "header",
      {},
      h("h2", {}, title),
      iconButton("cancel", "Close", () => box.close()),
    ),
    ...content,
  );
  box.addEventListener("close", () => box.remove());
  box.addEventListener("click", (event) => {
    if (event.target === box) box.close();
  });
  document.body.append(box);
  box.showModal();
  // By default, its close button would have the focus.
  box.focus();
  return box;
}

/** Asks for confirmation. Resolves to true if the person confirms. */
export function confirm(title, text, verb, otherwise = "Keep") {
  return new Promise((resolve) => {
    const yes = h("button", { class: "danger", type: "button", onclick: () => done(true) }, verb);
    const no = h("button", { type: "button", onclick: () => done(false), autofocus: true }, otherwise);
    const box = dialog(title, h("p", {}, text), h("footer", {}, no, yes));
    const done = (decision) => {
      resolve(decision);
      box.close();
    };
    box.addEventListener("close", () => resolve(false));
  });
}

/** Copies text to the clipboard, and shows a message. */
export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    toast(`${what} copied`);
  } catch {
    toast(`The browser did not copy the ${what.toLowerCase()}: select the text and copy it yourself`, "error");
  }
}
