// Settings: the value of each, its origin, and a field to change it.

import { call } from "./api.js";
import { attempt, complain, confirm, h, setText, toast } from "./dom.js";
import { harmless } from "./format.js";
import { observe, state } from "./state.js";

const ORIGINS = {
  default: "default",
  file: "from the file",
  kept: "set here",
  environment: "from the environment",
  flag: "from the command line",
};

const SECTIONS = { transfer: "Transfers", network: "Network", storage: "Storage", api: "Local API", gateway: "Gateway", user: "User", logging: "Log" };

const RATES = [[1e12, "TB"], [1e9, "GB"], [1e6, "MB"], [1e3, "kB"]];

/** A rate as a person would type it, such as `1500 kB` for 1500000; empty for no limit. */
function typed(rate) {
  if (!rate) return "";
  const [bytes, unit] = RATES.find(([bytes]) => rate % bytes === 0) ?? [1, ""];
  return `${rate / bytes} ${unit}`.trim();
}

const shown = ({ kind, value }) => {
  if (kind === "rate") return typed(value);
  return Array.isArray(value) ? value.join("\n") : String(value ?? "");
};

/**
 * The title of a setting: “Upload limit per peer” for `transfer.upload_limit_per_peer`. Omits the
 * unit, which follows the value.
 */
function title({ name, unit }) {
  const words = name.split(".").pop().split("_");
  if (unit && words.length > 1 && words.at(-1) === unit.toLowerCase()) words.pop();
  const text = words.join(" ");
  return text === "mdns" ? "mDNS" : sentence(text);
}

const sentence = (text) => text[0].toUpperCase() + text.slice(1);

/** The valid values, unless the description holds them. */
const allowed = ({ kind, allowed, description }) =>
  kind === "bool" || kind === "choice" || description.includes(allowed) ? "" : `Allowed: ${allowed}.`;

function field(setting) {
  const common = { id: setting.name, disabled: !setting.changeable || Boolean(setting.locked), "aria-describedby": `${setting.name}-about ${setting.name}-refused` };
  if (setting.kind === "bool") return h("input", { ...common, type: "checkbox", role: "switch" });
  if (setting.kind === "choice") {
    return h("select", common, setting.choices.map((choice) => h("option", { value: choice }, choice)));
  }
  if (setting.kind === "number") return h("input", { ...common, type: "number" });
  return h("input", { ...common, type: "text", spellcheck: "false", placeholder: setting.kind === "rate" ? "unlimited" : "" });
}

function line(first) {
  let setting = first;
  const input = field(first);
  const origin = h("span", { class: "origin" });
  const about = h("p", { id: `${first.name}-about`, class: "hint" });
  const refusal = h("p", { id: `${first.name}-refused`, class: "problem", role: "alert", hidden: true });
  const back = h("button", { type: "button", class: "quiet", onclick: () => save(null) }, "Undo");
  const element = h(
    "div",
    { class: "setting" },
    h("label", { for: first.name }, title(first), h("code", {}, first.name)),
    h("div", { class: "value" }, input, first.unit && first.kind !== "rate" && h("span", {}, first.unit)),
    h("div", { class: "about" }, origin, back),
    refusal,
    about,
  );
  // A rejected value stays in the field, marked, until it changes.
  let isRejected = false;
  const mark = (text) => {
    isRejected = Boolean(text);
    refusal.hidden = !text;
    setText(refusal, harmless(text));
    if (text) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
  };

  const value = () => {
    if (setting.kind === "bool") return input.checked;
    if (setting.kind === "number") return input.valueAsNumber;
    const text = input.value.trim();
    return setting.kind === "rate" ? text || "off" : text;
  };

  async function save(to) {
    try {
      const settings = await call("PATCH", "/v1/settings", { [setting.name]: to });
      const changed = settings.find(({ name }) => name === setting.name);
      mark("");
      if (changed) update(changed);
      toast(`${title(setting)}: ${to === null ? "as before" : "changed"}`);
    } catch (problem) {
      if (problem.code === "bad-setting") return mark(problem.message);
      complain(problem);
      update(setting);
    }
  }
  input.addEventListener("input", () => isRejected && mark(""));
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !isRejected) return;
    mark("");
    input.value = shown(setting);
  });
  input.addEventListener("change", () => {
    const typed = value();
    // An empty number field keeps the setting.
    if (!Number.isNaN(typed)) save(typed);
    else if (input.validity.badInput) mark(`Not a number: expected ${setting.allowed}`);
    else update(setting);
  });

  function update(now) {
    setting = now;
    if (now.kind === "bool") input.checked = now.value;
    // Do not overwrite a field while a person types in it.
    else if (!isRejected && (document.activeElement !== input || input.disabled)) input.value = shown(now);
    const source = now.origin.source ? ` (${now.origin.source})` : "";
    setText(origin, `${ORIGINS[now.origin.kind] ?? now.origin.kind}${source}`);
    origin.dataset.kind = now.origin.kind;
    setText(about, harmless([now.description, allowed(now), now.locked && `${sentence(now.locked)}.`].filter(Boolean).join(" ")));
    back.hidden = now.origin.kind !== "kept";
  }
  update(first);
  return { element, update };
}

/** Restarts the node, which then reads its settings again. The page reconnects by itself. */
async function restart(button) {
  const what = "Downloads continue after a few seconds. Settings of files, variables and flags are read again.";
  if (!(await confirm("Restart the node?", what, "Restart it", "Not now"))) return;
  await attempt(button, async () => {
    await call("POST", "/v1/restart");
    toast("The node restarts");
  });
}

function open() {
  const known = new Map();
  const again = h("button", { type: "button", onclick: () => restart(again) }, "Restart node");
  const bar = h("div", { class: "bar" }, h("p", { class: "summary" }, "Locked settings apply after a restart."), again);
  const list = h("div", { class: "sections" });
  const element = h("div", { class: "view settings" }, bar, list);

  function draw() {
    const sections = new Map();
    for (const setting of state.settings) {
      const section = setting.name.split(".")[0];
      if (!sections.has(section)) sections.set(section, []);
      sections.get(section).push(setting);
    }
    // Changeable settings come first.
    const isNew = state.settings.some(({ name }) => !known.has(name));
    for (const setting of state.settings) known.get(setting.name)?.update(setting);
    if (!isNew) return;
    known.clear();
    const order = [...sections].sort(([one], [other]) => rank(one) - rank(other));
    list.replaceChildren(
      ...order.map(([section, settings]) => {
        const lines = settings
          .sort((one, other) => Number(other.changeable) - Number(one.changeable))
          .map((setting) => {
            const created = line(setting);
            known.set(setting.name, created);
            return created.element;
          });
        return h("fieldset", {}, h("legend", {}, SECTIONS[section] ?? section), lines);
      }),
    );
  }
  const rank = (section) => {
    const at = Object.keys(SECTIONS).indexOf(section);
    return at < 0 ? 99 : at;
  };
  observe("settings", draw);
  draw();
  return { element };
}

export const settings = { id: "settings", title: "Settings", icon: "settings", open };
