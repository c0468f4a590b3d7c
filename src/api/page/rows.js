// A virtual list: only visible rows exist, so ten thousand rows cost as much as twenty.

import { h } from "./dom.js";

/** Rows beyond each edge that also exist, so that scrolling shows no gaps. */
const BEYOND = 6;

export class Rows {
  #items = [];
  #shown = new Map();
  #make;
  #key;
  #height = 0;
  #focused = null;
  #space;

  /**
   * `make(item)` creates a row, `{ element, update(item) }`. `key(item)` identifies it. `label`
   * names the list. `--row` is the height of a row. `onopen(item)` handles Enter.
   * `onmove(item, by)` handles Alt with an arrow key, by -1 or 1.
   */
  constructor({ make, key, label, onopen, onmove }) {
    this.#make = make;
    this.#key = key;
    this.#space = h("div", { class: "rows-space" });
    this.element = h("div", { class: "rows", role: "list", "aria-label": label }, this.#space);
    this.element.addEventListener("scroll", () => this.#draw(), { passive: true });
    this.element.addEventListener("keydown", (event) => this.#keyed(event, onopen, onmove));
    this.element.addEventListener("focusin", ({ target }) => {
      this.#focused = target.closest(".row")?.dataset.key ?? this.#focused;
    });
    new ResizeObserver(() => {
      this.#height = 0;
      this.#draw();
    }).observe(this.element);
  }

  /** Shows `items` in their order. */
  set(items) {
    this.#items = items;
    this.#draw();
  }

  #rowHeight() {
    // Read once per size, as reading a style can cost a layout.
    this.#height ||= Number.parseFloat(getComputedStyle(this.element).getPropertyValue("--row")) || 56;
    return this.#height;
  }

  #draw() {
    const visible = this.element.clientHeight;
    // A hidden list draws nothing. When it appears, its size changes and it is drawn.
    if (visible === 0) return;
    const height = this.#rowHeight();
    const total = `${this.#items.length * height}px`;
    if (this.#space.style.height !== total) this.#space.style.height = total;
    const top = this.element.scrollTop;
    const first = Math.max(0, Math.floor(top / height) - BEYOND);
    const last = Math.min(this.#items.length, Math.ceil((top + visible) / height) + BEYOND);
    const kept = new Set(this.#items.slice(first, last).map(this.#key));
    // Removing rows first leaves the others in place. A row that moves in the document loses the
    // focus.
    for (const [key, { element }] of this.#shown) {
      if (kept.has(key)) continue;
      element.remove();
      this.#shown.delete(key);
    }
    const held = document.activeElement;
    const isHeld = this.#space.contains(held);
    let before = null;
    for (let at = first; at < last; at += 1) {
      const item = this.#items[at];
      const key = this.#key(item);
      const row = this.#shown.get(key) ?? this.#add(item, key);
      row.update(item);
      this.#place(row.element, at, height, before);
      before = row.element;
    }
    // A row that moved in the document has lost the focus.
    if (isHeld && held !== document.activeElement) held.focus({ preventScroll: true });
    this.#chooseTabStop();
  }

  #add(item, key) {
    const row = this.#make(item);
    row.element.classList.add("row");
    row.element.setAttribute("role", "listitem");
    row.element.tabIndex = -1;
    row.element.dataset.key = key;
    this.#shown.set(key, row);
    return row;
  }

  // The order in the document is the visible order, for keyboards and screen readers.
  #place(element, at, height, before) {
    const next = before ? before.nextSibling : this.#space.firstChild;
    if (next !== element) this.#space.insertBefore(element, next);
    const place = `translateY(${at * height}px)`;
    if (element.style.transform !== place) element.style.transform = place;
    element.setAttribute("aria-posinset", at + 1);
    element.setAttribute("aria-setsize", this.#items.length);
  }

  // Tab reaches one row, and the arrow keys move from there.
  #chooseTabStop() {
    const rows = [...this.#space.children];
    const stop = rows.find((row) => row.dataset.key === this.#focused) ?? rows[0];
    for (const row of rows) row.tabIndex = row === stop ? 0 : -1;
  }

  #keyed(event, onopen, onmove) {
    const row = event.target.closest(".row");
    if (!row) return;
    const at = Number(row.getAttribute("aria-posinset")) - 1;
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -at, End: this.#items.length };
    if (event.altKey) {
      const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
      if (!by || !onmove) return;
      event.preventDefault();
      onmove(this.#items[at], by);
    } else if (event.key in steps) {
      event.preventDefault();
      this.#focus(Math.min(this.#items.length - 1, Math.max(0, at + steps[event.key])));
    } else if (onopen && event.key === "Enter" && event.target === row) {
      onopen(this.#items[at]);
    }
  }

  #focus(at) {
    const height = this.#rowHeight();
    const { scrollTop, clientHeight } = this.element;
    if (at * height < scrollTop) this.element.scrollTop = at * height;
    else if ((at + 1) * height > scrollTop + clientHeight) {
      this.element.scrollTop = (at + 1) * height - clientHeight;
    }
    this.#draw();
    this.#shown.get(this.#key(this.#items[at]))?.element.focus({ preventScroll: true });
  }
}
