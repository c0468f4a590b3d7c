// A list that is fetched again and again while it is visible.

import { pages } from "./api.js";
import { complain, h } from "./dom.js";
import { Rows } from "./rows.js";
import { observe, state } from "./state.js";

/** How often the list is fetched. */
const PERIOD_MS = 4000;

/**
 * The list at `path`. `make` and `key` are those of `Rows`, `why()` takes the place of an empty list,
 * and `topic` names events after which it is fetched again. `before` are elements above the list.
 */
export function polled({ path, make, key, label, why, topic, before = [] }) {
  let items = [];
  let timer = null;
  let isShown = false;
  const rows = new Rows({ make, key, label });
  const nothing = h("div");
  const element = h("div", { class: "part" }, ...before, nothing, rows.element);

  function draw() {
    rows.element.hidden = items.length === 0;
    nothing.hidden = items.length > 0;
    if (items.length === 0) nothing.replaceChildren(why());
    rows.set(items);
  }

  async function fetch() {
    clearTimeout(timer);
    if (isShown && !document.hidden && state.connection === "live") {
      const list = [];
      try {
        await pages(path, (page) => list.push(...page));
        items = list;
        draw();
      } catch (problem) {
        if (problem.code !== "gone" && items.length === 0) complain(problem);
      }
    }
    clearTimeout(timer);
    if (isShown) timer = setTimeout(fetch, PERIOD_MS);
  }

  observe(topic, () => isShown && fetch());
  draw();
  return {
    element,
    fetch,
    shown: () => {
      isShown = true;
      fetch();
    },
    hidden: () => {
      isShown = false;
      clearTimeout(timer);
    },
  };
}
