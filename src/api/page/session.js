// What this tab shows to be let in.
//
// The secret stays in this page's memory and is never sent. What is sent, and kept for when the tab is
// loaded anew, is a bearer that is good for one run of the node at this address. Another program that listens
// here while the node is down learns nothing that opens the node later.

const KEPT = "pelago-bearer";
const PURPOSE = "pelago/page/1";

let secret = null;
let current = sessionStorage.getItem(KEPT);

/** What a request shows, if there is anything. */
export const bearer = () => current;

function keep(shown) {
  current = shown;
  sessionStorage.setItem(KEPT, shown);
}

async function answer(path, request) {
  const response = await fetch(path, { credentials: "omit", cache: "no-store", ...request }).catch(() => null);
  return response?.ok ? response.json().catch(() => null) : null;
}

/** Exchanges a code for a session. A session that there was goes on if the code is no good. */
export async function begin(code) {
  const session = await answer("/v1/session", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ code }),
  });
  if (!session) return;
  secret = session.secret;
  keep(session.bearer);
}

/** Learns the secret again, which a page that is loaded anew has lost. */
export async function recall() {
  if (!current || secret) return;
  const session = await answer("/v1/session", { headers: { Authorization: `Bearer ${current}` } });
  secret = session?.secret ?? null;
}

/**
 * Makes the bearer for the run that the node is in. True if there is another than `refused`, which was
 * shown in vain.
 */
export async function renew(refused) {
  if (current !== refused) return true;
  // Browsers have it for loopback; beyond that, a page is opened anew after each start of the node.
  if (!secret || !globalThis.crypto?.subtle) return false;
  const run = (await answer("/v1/run"))?.run;
  if (!/^[0-9a-f]{64}$/.test(run ?? "")) return false;
  const text = new TextEncoder();
  const hmac = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", text.encode(secret), hmac, false, ["sign"]);
  const code = await crypto.subtle.sign("HMAC", key, text.encode(`${PURPOSE}\n${run}\n${location.host}`));
  const made = [...new Uint8Array(code)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  if (made === refused) return false;
  keep(made);
  return true;
}
