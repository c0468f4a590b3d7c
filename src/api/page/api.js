// The node's API: calls, and the stream of what changes.

import { bearer, renew } from "./session.js";

/** A failure in the node's own words (RFC 9457 problem details). */
export class Problem extends Error {
  constructor(status, { detail, title, code, hint, choices }) {
    super(detail || title || `the node answered ${status}`);
    this.status = status;
    this.code = code;
    this.hint = hint;
    this.choices = choices || [];
  }
}

/** The node did not answer at all. */
const GONE = { detail: "the node does not answer", code: "gone" };

async function fetched(method, path, body, signal) {
  const shown = bearer();
  const headers = shown ? { Authorization: `Bearer ${shown}` } : {};
  const request = { method, signal, headers, credentials: "omit", cache: "no-store" };
  if (body instanceof Blob) {
    request.body = body;
    headers["Content-Type"] = "application/octet-stream";
  } else if (body !== undefined) {
    request.body = JSON.stringify(body);
    headers["Content-Type"] = "application/json";
  }
  let response;
  try {
    response = await fetch(path, request);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, GONE);
  }
  if (response.ok) return response;
  // The node may have been started anew.
  if (response.status === 401 && (await renew(shown))) return fetched(method, path, body, signal);
  const problem = await response.json().catch(() => ({}));
  throw new Problem(response.status, problem);
}

/** A call that answers JSON, or nothing. */
export async function call(method, path, body, signal) {
  const response = await fetched(method, path, body, signal);
  const type = response.headers.get("Content-Type") || "";
  return type.includes("json") ? response.json() : undefined;
}

/** All of a list, however many pages it has: `onpage` is given each as it comes. */
export async function pages(path, onpage, signal) {
  let next = path;
  while (next) {
    const response = await fetched("GET", next, undefined, signal);
    onpage(await response.json());
    next = /<([^>]+)>;\s*rel="?next"?/.exec(response.headers.get("Link") || "")?.[1];
  }
}

/** What a call answers, as the URL of something in memory; it is for one use. */
export async function blob(path) {
  const response = await fetched("GET", path);
  return URL.createObjectURL(await response.blob());
}

/** The events of a call that answers in lines of JSON, until `onevent` is given the last; `signal` ends it. */
export async function lines(method, path, body, onevent, signal) {
  const response = await fetched(method, path, body, signal);
  await each(response, "\n", (line) => {
    const event = JSON.parse(line);
    if (event.error && event.event === "error") {
      throw new Problem(200, { ...event.error, detail: event.error.message });
    }
    onevent(event);
  });
}

/** Gives `onpiece` each piece of an answer that ends with `end`, as it comes. */
async function each(response, end, onpiece) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const whole = (rest + value).split(end);
    rest = whole.pop();
    whole.forEach(onpiece);
  }
}

/** What a path names, so that it can be part of one. */
export const part = encodeURIComponent;

// How long the stream may be silent: the node says something every 15 s.
const SILENCE_MS = 40_000;
const RETRY_MS = 1000;
// Who is refused is refused again until something else happens: a person signs in, or closes a page.
const REFUSED_MS = { "signed-out": 30_000, full: 5000 };

/**
 * The stream of what changes, for as long as the page is looked at: browsers open few connections to one
 * host, so a hidden tab gives its own up. `listeners` are by event; `onstate` is told `live`, `gone`,
 * `signed-out` or `full`. `open` of what is returned tries again at once.
 */
export function events(topics, listeners, onstate) {
  const path = `/v1/events?of=${topics.join(",")}`;
  let stream = null;
  let timer = null;
  let isRefused = false;

  const close = () => {
    clearTimeout(timer);
    stream?.abort();
    stream = null;
    isRefused = false;
  };
  const retry = (state) => {
    close();
    if (document.hidden) return;
    onstate(state);
    isRefused = state in REFUSED_MS;
    timer = setTimeout(open, REFUSED_MS[state] ?? RETRY_MS);
  };
  const heard = () => {
    clearTimeout(timer);
    timer = setTimeout(() => retry("connecting"), SILENCE_MS);
  };
  // A browser's own reader of events can show nothing but cookies.
  async function read({ signal }) {
    const response = await fetched("GET", path, undefined, signal);
    await each(response, "\n\n", (frame) => {
      if (signal.aborted) return;
      heard();
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
    heard();
    const state = await read(mine).then(
      () => "connecting",
      (problem) => {
        if (problem.status === 401 || problem.status === 403) return "signed-out";
        return problem.status === 503 ? "full" : "gone";
      },
    );
    if (mine.signal.aborted) return;
    // A stream that was read for a while ended because the node did: whether it is back shows at once.
    if (state !== "signed-out" && performance.now() - began > RETRY_MS) open();
    else retry(state);
  }
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  // Somebody may have signed in by another tab.
  addEventListener("focus", () => isRefused && open());
  if (!document.hidden) open();
  return { close, open };
}
