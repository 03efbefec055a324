// Scans: answers that go on until their end, read once. An EventSource would begin again by itself,
// and tells no reason of a refusal.

import { get, Problem } from './api.js';

// scan reads a stream of events to its end: on has a function for each event. The signal ends the
// scan, at the server too.
export async function scan(path, { signal, on }) {
  let answer;
  try {
    answer = await fetch(path, { signal, credentials: 'same-origin', redirect: 'error', headers: { Accept: 'text/event-stream' } });
  } catch (err) {
    if (err.name === 'AbortError') throw err;
    throw new Problem(0, { title: 'No answer', detail: 'The process does not answer. It may be stopping, or the network is away.' });
  }
  if (!answer.ok) {
    if (answer.status === 401) await get('/api/console', { signal }); // shows the login
    throw new Problem(answer.status, await answer.json().catch(() => ({})));
  }
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    rest += value;
    const whole = rest.split('\n\n');
    rest = whole.pop();
    for (const event of whole) tell(event, on);
  }
}

function tell(event, on) {
  let name = '';
  let data = '';
  for (const line of event.split('\n')) {
    if (line.startsWith('event: ')) name = line.slice(7);
    if (line.startsWith('data: ')) data += line.slice(6);
  }
  if (on[name]) on[name](JSON.parse(data));
}
