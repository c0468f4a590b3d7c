// The node's API: calls, and the stream of events.

import { bearer, relative, renew } from "./session.js";

/** An error that the node reports (RFC 9457 problem details). */
export class Problem extends Error {
  constructor(status, { detail, title, code, hint, choices }) {
    super(detail || title || `the node responded with status ${status}`);
    this.status = status;
    this.code = code;
    this.hint = hint;
    this.choices = choices || [];
  }
}

/** The node did not respond. */
const GONE = { detail: "the node does not respond", code: "gone" };

async function request(method, path, body, signal) {
  const sent = bearer();
  const headers = sent ? { Authorization: `Bearer ${sent}` } : {};
  const options = { method, signal, headers, credentials: "omit", cache: "no-store" };
  if (body instanceof Blob) {
    options.body = body;
    headers["Content-Type"] = "application/octet-stream";
  } else if (body !== undefined) {
    options.body = JSON.stringify(body);
    headers["Content-Type"] = "application/json";
  }
  let response;
  try {
    response = await fetch(relative(path), options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, GONE);
  }
  if (response.ok) return response;
  // The node may have restarted.
  if (response.status === 401 && (await renew(sent))) return request(method, path, body, signal);
  const problem = await response.json().catch(() => ({}));
  throw new Problem(response.status, problem);
}

/** Calls the API. Resolves to the JSON of the response, or to nothing. */
export async function call(method, path, body, signal) {
  const response = await request(method, path, body, signal);
  const type = response.headers.get("Content-Type") || "";
  return type.includes("json") ? response.json() : undefined;
}

/** Fetches all pages of a list, and passes each to `onpage`. */
export async function pages(path, onpage, signal) {
  let next = path;
  while (next) {
    const response = await request("GET", next, undefined, signal);
    onpage(await response.json());
    next = /<([^>]+)>;\s*rel="?next"?/.exec(response.headers.get("Link") || "")?.[1];
  }
}

/** Fetches the response to `body`, if any, into memory. Resolves to a URL, which the caller has to revoke. */
export async function blob(path, body) {
  const response = await request(body === undefined ? "GET" : "POST", path, body);
  return URL.createObjectURL(await response.blob());
}

/** Passes each line of a response of JSON lines to `onevent`. `signal` aborts the call. */
export async function lines(method, path, body, onevent, signal) {
  const response = await request(method, path, body, signal);
  await each(response, "\n", (line) => {
    const event = JSON.parse(line);
    if (event.error && event.event === "error") {
      throw new Problem(200, { ...event.error, detail: event.error.message });
    }
    onevent(event);
  });
}

/** Splits a response at `end`, and passes each piece to `onpiece` when it arrives. */
async function each(response, end, onpiece) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let unfinished = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const whole = (unfinished + value).split(end);
    unfinished = whole.pop();
    whole.forEach(onpiece);
  }
}

/** Encodes a value as a segment of a path. */
export const part = encodeURIComponent;

// How long the stream may be silent. The node sends something every 15 s.
const SILENCE_MS = 40_000;
const RETRY_MS = 1000;
// A rejected stream stays rejected until a person signs in, logs in or closes another page.
const REJECTED_MS = { "signed-out": 30_000, full: 5000, locked: 1000 };

/**
 * The stream of events, while the page is visible. Browsers open few connections to one host, so a
 * hidden tab closes its own. `listeners` maps events to functions. `onstate` gets `connecting`,
 * `live`, `gone`, `signed-out`, `locked` or `full`. `open` of the returned object reconnects immediately.
 */
export function events(topics, listeners, onstate) {
  const path = `/v1/events?of=${topics.join(",")}`;
  let stream = null;
  let timer = null;
  let isRejected = false;

  const close = () => {
    clearTimeout(timer);
    stream?.abort();
    stream = null;
    isRejected = false;
  };
  const retry = (state) => {
    close();
    if (document.hidden) return;
    onstate(state);
    isRejected = state in REJECTED_MS;
    timer = setTimeout(open, REJECTED_MS[state] ?? RETRY_MS);
  };
  const received = () => {
    clearTimeout(timer);
    timer = setTimeout(() => retry("connecting"), SILENCE_MS);
  };
  // `EventSource` cannot send a bearer.
  async function read({ signal }) {
    const response = await request("GET", path, undefined, signal);
    await each(response, "\n\n", (frame) => {
      if (signal.aborted) return;
      received();
      const event = /^event: (.*)$/m.exec(frame)?.[1];
      const data = /^data: (.*)$/m.exec(frame)?.[1];
      if (event === "hello") onstate("live");
      if (data !== undefined) listeners[event]?.(JSON.parse(data));
    });
  }
  async function open() {
    close();
    const mine = (stream = new AbortController());
    const began = performance.now();
    received();
    const state = await read(mine).then(
      () => "connecting",
      (problem) => {
        if (problem.status === 401 || problem.status === 403) return "signed-out";
        if (problem.status === 423) return "locked";
        return problem.status === 503 ? "full" : "gone";
      },
    );
    if (mine.signal.aborted) return;
    // A stream that had worked for a while ends because the node does: retry immediately.
    if (!["signed-out", "locked"].includes(state) && performance.now() - began > RETRY_MS) open();
    else retry(state);
  }
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  // A person may have signed in with another tab.
  addEventListener("focus", () => isRejected && open());
  if (!document.hidden) open();
  return { close, open };
}
