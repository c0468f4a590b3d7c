// The node's API: calls, and the stream of what changes.

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
  const request = { method, signal, credentials: "same-origin", cache: "no-store" };
  if (body instanceof Blob) {
    request.body = body;
    request.headers = { "Content-Type": "application/octet-stream" };
  } else if (body !== undefined) {
    request.body = JSON.stringify(body);
    request.headers = { "Content-Type": "application/json" };
  }
  let response;
  try {
    response = await fetch(path, request);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, GONE);
  }
  if (response.ok) return response;
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

/** The events of a call that answers in lines of JSON, until `onevent` is given the last; `signal` ends it. */
export async function lines(method, path, body, onevent, signal) {
  const response = await fetched(method, path, body, signal);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const whole = (rest + value).split("\n");
    rest = whole.pop();
    for (const line of whole) {
      const event = JSON.parse(line);
      if (event.error && event.event === "error") {
        throw new Problem(200, { ...event.error, detail: event.error.message });
      }
      onevent(event);
    }
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
  let source = null;
  let timer = null;
  let isRefused = false;

  const close = () => {
    clearTimeout(timer);
    source?.close();
    source = null;
    isRefused = false;
  };
  const heard = () => {
    clearTimeout(timer);
    timer = setTimeout(failed, SILENCE_MS);
  };
  const retry = (state) => {
    clearTimeout(timer);
    isRefused = state in REFUSED_MS;
    timer = setTimeout(open, REFUSED_MS[state] ?? RETRY_MS);
  };
  async function failed() {
    close();
    // An event source does not tell why it was refused; another call does.
    const probe = new AbortController();
    const state = await call("GET", path, undefined, probe.signal).then(
      () => "connecting",
      (problem) => {
        if (problem.status === 401 || problem.status === 403) return "signed-out";
        return problem.status === 503 ? "full" : "gone";
      },
    );
    probe.abort();
    if (document.hidden) return;
    onstate(state);
    retry(state);
  }
  function open() {
    close();
    source = new EventSource(path);
    source.onerror = failed;
    for (const [event, listen] of Object.entries(listeners)) {
      source.addEventListener(event, ({ data }) => {
        heard();
        listen(JSON.parse(data));
      });
    }
    source.addEventListener("hello", () => onstate("live"));
    heard();
  }
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  // Somebody may have signed in by another tab.
  addEventListener("focus", () => isRefused && open());
  if (!document.hidden) open();
  return { close, open };
}
