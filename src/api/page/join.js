// Joining a group by its link.

import { call } from "./api.js";
import { attempt, dialog, h, toast } from "./dom.js";

const AUTO_ASKS = "Asked to join: the link admits people while the node of its owner runs; about people who were in the group before, an owner decides";

/** Whether a text is the link of a group. */
export const isGroupLink = (text) => /^pelago:group\//i.test(text);

/** Asks to join the group of a link. */
export function join(text = "") {
  const link = h("textarea", { rows: 3, required: true, spellcheck: "false", placeholder: "pelago:group/…", "aria-label": "Link" });
  link.value = text;
  const message = h("input", { type: "text", maxlength: 256, placeholder: "who you are", "aria-label": "Message" });
  const button = h("button", { class: "primary" }, "Join");
  const ask = async (event) => {
    event.preventDefault();
    const request = { link: link.value.trim(), message: message.value.trim() };
    const asked = await attempt(button, () => call("POST", "/v1/joins", request));
    if (!asked) return;
    box.close();
    location.hash = asked.status === "accepted" ? `#groups/${asked.group}` : "#groups";
    const isAuto = /[?&]mode=auto(&|$)/.test(request.link);
    if (asked.status === "pending") toast(isAuto ? AUTO_ASKS : "Asked to join: the node repeats the request until an owner answers");
  };
  const box = dialog(
    "Join a group",
    h(
      "form",
      { onsubmit: ask },
      h("label", {}, "Link ", h("small", {}, "from an owner of the group"), link),
      h("label", {}, "Message ", h("small", {}, "to the owners"), message),
      h("footer", {}, button),
    ),
  );
  (text ? message : link).focus();
}
