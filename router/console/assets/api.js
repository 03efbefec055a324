// Requests to the API of this address, and streams of events.

// Problem is the answer to a failed request (RFC 9457).
export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || body.title || `The answer has status ${status}.`);
    this.status = status;
    this.title = body.title || 'Request failed';
    this.detail = body.detail || '';
    this.type = body.type || '';
    this.errors = body.errors || [];
    this.retryAfter = 0;
  }
}

let needLogin = () => {};

// onLogin sets the function that runs when a request needs a login.
export function onLogin(f) { needLogin = f; }

export const get = (path, options) => request('GET', path, undefined, options);
export const post = (path, body = {}, options) => request('POST', path, body, options);
export const del = (path, options) => request('DELETE', path, undefined, options);

async function request(method, path, body, { signal } = {}) {
  let answer;
  try {
    answer = await fetch(path, {
      method, signal, credentials: 'same-origin', redirect: 'error',
      headers: body === undefined ? {} : { 'Content-Type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (err) {
    if (err.name === 'AbortError') throw err;
    throw new Problem(0, { title: 'No answer', detail: 'The process does not answer. It may be stopping, or the network is away.' });
  }
  const type = answer.headers.get('Content-Type') ?? '';
  const json = type.includes('json') ? await answer.json().catch(() => ({})) : null;
  if (!answer.ok) {
    const problem = new Problem(answer.status, json ?? {});
    problem.retryAfter = Number(answer.headers.get('Retry-After')) || 0;
    if (answer.status === 401 && path !== '/api/session') needLogin();
    throw problem;
  }
  return json;
}

// events follows a stream of events until the signal ends: on has a function for each event,
// status is told 'open', 'waiting' and 'hidden'. A hidden tab has no stream, for a browser keeps
// at most six connections to an address without HTTP/2.
export function events(path, { signal, on, status = () => {} }) {
  let source = null;
  let timer = 0;
  const close = () => { clearTimeout(timer); source?.close(); source = null; };
  const open = () => {
    if (source || signal.aborted) return;
    if (document.hidden) { status('hidden'); return; }
    source = new EventSource(path);
    source.onopen = () => status('open');
    source.onerror = async () => {
      status('waiting');
      if (source?.readyState !== EventSource.CLOSED) return; // the browser comes again by itself
      close();
      try { await get('/api/console', { signal }); } catch { /* a 401 shows the login */ }
      timer = setTimeout(open, 2000 + Math.random() * 2000);
    };
    for (const [name, f] of Object.entries(on)) {
      source.addEventListener(name, (event) => f(JSON.parse(event.data)));
    }
  };
  const visible = () => { if (document.hidden) { close(); status('hidden'); } else open(); };
  document.addEventListener('visibilitychange', visible, { signal });
  signal.addEventListener('abort', close, { once: true });
  open();
}
