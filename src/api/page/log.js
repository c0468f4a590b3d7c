// Log: the lines that the node logs.

import { dialog, h, setText } from "./dom.js";
import { count, harmless } from "./format.js";
import { Rows } from "./rows.js";
import { observe, state } from "./state.js";

const LEVELS = ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"];

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 });

const fields = (line) => Object.entries(line.fields ?? {}).map(([key, value]) => `${key}=${value}`).join(" ");

const text = (line) => harmless([line.message, fields(line)].filter(Boolean).join("  "));

function row(line) {
  const element = h(
    "div",
    {
      class: "line",
      dataset: { level: line.level.toUpperCase() },
      title: `${line.target}: ${text(line)}`,
      // A person who selects text does not want a dialog.
      onclick: () => getSelection().isCollapsed && show(line),
    },
    h("time", {}, clock.format(line.unix_ms)),
    h("b", {}, line.level.toLowerCase()),
    h("span", {}, text(line)),
  );
  return { element, update() {} };
}

// Shows a line in full.
function show(line) {
  dialog(
    `${clock.format(line.unix_ms)} ${line.level.toLowerCase()}`,
    h("p", { class: "hint" }, line.target),
    h("p", { class: "said" }, text(line)),
  );
}

function open() {
  let number = 0;
  const numbers = new WeakMap();
  const key = (line) => {
    if (!numbers.has(line)) numbers.set(line, String((number += 1)));
    return numbers.get(line);
  };
  const level = h("select", { "aria-label": "Lowest level", onchange: () => draw() }, LEVELS.map((name) => h("option", { value: name, selected: name === "INFO" }, name.toLowerCase())));
  const filter = h("input", { type: "search", placeholder: "Filter", "aria-label": "Filter the log", oninput: () => draw() });
  const summary = h("p", { class: "summary" });
  const rows = new Rows({ make: row, key, label: "Log", onopen: show });
  rows.element.classList.add("lines");
  const element = h("div", { class: "view" }, h("div", { class: "bar" }, filter, level, summary), rows.element);

  function draw() {
    const most = LEVELS.indexOf(level.value);
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (line) => {
      if (LEVELS.indexOf(line.level.toUpperCase()) > most) return false;
      const searched = `${line.target} ${line.message} ${fields(line)}`.toLowerCase();
      return words.every((word) => searched.includes(word));
    };
    const list = state.log.filter(fits);
    // Follow new lines if the end was visible. Otherwise, keep the scroll position.
    const { scrollTop, scrollHeight, clientHeight } = rows.element;
    const isAtEnd = scrollHeight - scrollTop - clientHeight < 40;
    rows.set(list);
    setText(summary, count(list.length, "line"));
    if (isAtEnd) {
      rows.element.scrollTop = rows.element.scrollHeight;
      rows.set(list);
    }
  }
  observe("log", draw);
  return { element, shown: draw };
}

export const log = { id: "log", title: "Log", icon: "log", open };
