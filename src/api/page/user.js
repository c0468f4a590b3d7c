// The user of the node: the lock screen, and the dialog about the user.

import { call } from "./api.js";
import { attempt, copy, dialog, h, icon, name, setText, toast } from "./dom.js";
import { harmless } from "./format.js";
import { change, observe, state } from "./state.js";

const UNPROTECTED = "Without a passphrase, everyone who can read the data folder, or a copy of it, can act as this user.";

/** Fetches the user and the state of the user. */
async function load() {
  const status = await call("GET", "/v1/user").catch(() => null);
  if (!status) return;
  state.user = status;
  change("user");
}

const password = (label, autocomplete) =>
  h("label", {}, label, h("input", { type: "password", autocomplete, maxlength: "1024" }));

const typed = (label) => label.querySelector("input").value;

/** A form with an error below its fields. `onsubmit` may throw a problem, which the form shows. */
function form(verb, onsubmit, ...fields) {
  const refusal = h("p", { class: "problem", role: "alert", hidden: true });
  const button = h("button", { class: "primary" }, verb);
  const element = h("form", {}, ...fields, refusal, h("footer", {}, button));
  element.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    refusal.hidden = true;
    try {
      await onsubmit();
    } catch (problem) {
      setText(refusal, harmless(problem.message));
      refusal.hidden = false;
    }
    button.disabled = false;
  });
  return element;
}

/** The new passphrase in two fields, or null if the box is checked. Throws if the two differ. */
function newPassphrase() {
  const [first, again] = [password("New passphrase", "new-password"), password("The same again", "new-password")];
  const none = h("input", { type: "checkbox" });
  const note = h("p", { class: "hint", hidden: true }, UNPROTECTED);
  none.addEventListener("change", () => {
    note.hidden = !none.checked;
    first.hidden = again.hidden = none.checked;
  });
  const value = () => {
    if (none.checked) return null;
    if (typed(first) !== typed(again)) throw new Error("The two passphrases differ.");
    return typed(first);
  };
  return { fields: [first, again, h("label", { class: "check" }, none, "Without a passphrase"), note], value };
}

/** Opens the dialog in which a person creates the user of the node. */
export function createUser() {
  const called = h("label", {}, "Name, which other people see", h("input", { type: "text", maxlength: "128", autocomplete: "off" }));
  const passphrase = newPassphrase();
  const create = async () => {
    await call("POST", "/v1/user", { name: typed(called).trim(), passphrase: passphrase.value() });
    box.close();
    toast("The node restarts under its new key");
  };
  const box = dialog(
    "Create a user",
    h("p", { class: "hint" }, "A user can belong to groups. The keys are sealed with a passphrase: nothing can restore a forgotten one. The node gets a new key and restarts."),
    form("Create", create, called, ...passphrase.fields),
  );
  box.querySelector("input").focus();
}

/** Does what takes a user. Without one, a person first creates one. */
export const withUser = (action) => (state.user?.state === "none" ? createUser() : action());

/** Opens the dialog about the user. */
function about({ user }) {
  const called = h("label", {}, "Name", h("input", { type: "text", maxlength: "128", autocomplete: "off", value: user.name }));
  const rename = async () => {
    state.user = await call("PATCH", "/v1/user", { name: typed(called).trim() });
    change("user");
    toast("Renamed");
  };
  const current = user.has_passphrase && password("Passphrase so far", "current-password");
  const passphrase = newPassphrase();
  const seal = async () => {
    const now = current ? typed(current) : null;
    state.user = await call("PUT", "/v1/user/passphrase", { current: now, new: passphrase.value() });
    change("user");
    box.close();
    toast("The keys are sealed with the new passphrase");
  };
  const out = h("button", { type: "button", class: "danger", onclick: () => attempt(out, logOut) }, "Log out");
  const logOut = async () => {
    await call("POST", "/v1/logout");
    box.close();
  };
  const box = dialog(
    "User",
    h("p", {}, h("button", { type: "button", class: "hash-button", title: "Copy the key", onclick: () => copy(user.key, "Key") }, user.key)),
    form("Rename", rename, called),
    h("details", {}, h("summary", {}, "Change the passphrase"), form("Change", seal, current, ...passphrase.fields)),
    h("footer", {}, h("span", { class: "hint" }, "The network ends until the next login."), out),
  );
}

/** The lock screen: the only thing that shows while the user is logged out. */
function lockScreen(stream) {
  const title = name("");
  const passphrase = password("Passphrase", "current-password");
  const field = passphrase.querySelector("input");
  const logIn = async () => {
    await call("POST", "/v1/login", { passphrase: state.user?.user?.has_passphrase ? field.value : null });
    field.value = "";
    stream.open();
  };
  document.getElementById("lock").append(
    icon("lock"),
    h("h2", {}, title),
    h("p", { class: "hint" }, "The user is logged out: the network is off."),
    form("Log in", logIn, passphrase),
  );
  observe("user", () => {
    const user = state.user?.user;
    if (!user) return;
    setText(title, harmless(user.name));
    passphrase.hidden = !user.has_passphrase;
    if (state.connection === "locked") field.focus();
  });
}

/** Shows the user in the header, and the lock screen while the user is logged out. */
export function showUser(stream) {
  const label = h("bdi", {});
  const open = () => (state.user?.user ? about(state.user) : createUser());
  const button = h("button", { type: "button", class: "quiet user", hidden: true, onclick: open }, icon("user"), label);
  document.getElementById("node").append(button);
  lockScreen(stream);

  let wasLive = false;
  const show = () => {
    const isLocked = state.connection === "locked";
    // Nothing that the page showed before stays in it.
    if (isLocked && wasLive) return location.reload();
    document.getElementById("lock").hidden = !isLocked;
    document.body.classList.toggle("locked", isLocked);
    wasLive ||= state.connection === "live";
    if (isLocked || state.connection === "live") load();
    return undefined;
  };
  observe("connection", show);
  observe("user", () => {
    const user = state.user.user;
    button.hidden = state.user.state === "locked";
    button.title = user ? "The user of this node" : "Create a user";
    setText(label, user ? harmless(user.name) : "");
  });
  show();
}
