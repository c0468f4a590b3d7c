// The session of this tab.
//
// The secret stays in the memory of this page and is never sent. The page sends a bearer, which is
// valid for one run of the node at this address, and stores it for a reload of the tab. So another
// program that listens here while the node is down learns nothing that the node accepts later.

const STORED = "pelago-bearer";
const PURPOSE = "pelago/page/1";

let secret = null;
let current = sessionStorage.getItem(STORED);

/** The bearer of this tab, or null. */
export const bearer = () => current;

function store(bearer) {
  current = bearer;
  sessionStorage.setItem(STORED, bearer);
}

/** A path of the API, relative to the page, which a proxy may serve below a path of its own. */
export const relative = (path) => path.slice(1);

async function answer(path, request) {
  const response = await fetch(relative(path), { credentials: "omit", cache: "no-store", ...request }).catch(() => null);
  return response?.ok ? response.json().catch(() => null) : null;
}

/** Exchanges a code for a session. If the code is invalid, an earlier session stays. */
export async function begin(code) {
  const session = await answer("/v1/session", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ code }),
  });
  if (!session) return;
  secret = session.secret;
  store(session.bearer);
}

/** Fetches the secret again after a reload of the page. */
export async function recall() {
  if (!current || secret) return;
  const session = await answer("/v1/session", { headers: { Authorization: `Bearer ${current}` } });
  secret = session?.secret ?? null;
}

/**
 * Derives a bearer for the current run of the node. Resolves to true if there is another bearer
 * than `rejected`.
 */
export async function renew(rejected) {
  if (current !== rejected) return true;
  // Browsers have `crypto.subtle` for loopback and https only. Elsewhere, people open the page again
  // after a restart.
  if (!secret || !globalThis.crypto?.subtle) return false;
  const run = (await answer("/v1/run"))?.run;
  if (!/^[0-9a-f]{64}$/.test(run ?? "")) return false;
  const text = new TextEncoder();
  const hmac = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", text.encode(secret), hmac, false, ["sign"]);
  const code = await crypto.subtle.sign("HMAC", key, text.encode(`${PURPOSE}\n${run}\n${location.host}`));
  const derived = [...new Uint8Array(code)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  if (derived === rejected) return false;
  store(derived);
  return true;
}
