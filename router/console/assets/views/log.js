// Log: the records of topic events as they come.

import { events, get } from '../api.js';
import { h, replace, text } from '../dom.js';
import { badge, card, copy, empty, field, json, pageHead, problem } from '../components.js';
import { count, number, time } from '../format.js';

// kept is the number of records in the list.
const kept = 200;

// tones of the outcomes that are no events.
const tones = { commandRefused: 'warn', commandParked: 'bad', commandQueued: 'warn', commandUnchanged: 'mute', parkedDropped: 'mute', parkedRequeued: 'mute', commandScheduled: 'mute', scheduledCancelled: 'mute' };

export async function show(root, at, signal) {
  const live = h('span.live', { role: 'status' }, 'Connecting');
  const pause = h('button', { 'aria-pressed': 'false', onclick: () => setPaused(!paused) }, 'Pause');
  const stream = filterField('stream', 'user/1');
  const type = filterField('type', 'commandRefused');
  const contains = filterField('contains', 'Alice');
  const counted = h('p.mute.num', { role: 'status' });
  const list = h('ol.records', { 'aria-label': 'Records, the newest first' });
  const none = empty('No record yet.');

  let paused = false;
  let missed = 0;
  let passed = 0;
  let following = null;

  replace(root,
    pageHead('Log', 'Records of topic events, the newest first', live, pause),
    card(null,
      h('form.filters', { onsubmit: (e) => { e.preventDefault(); apply(); } },
        field('Stream begins with', stream), field('Type is', type), field('Body contains', contains),
        h('div.actions', h('button.primary', { type: 'submit' }, 'Filter'), h('button', { type: 'button', onclick: clear }, 'Clear'))),
      counted),
    h('section.card', list, none));

  function filterField(name, example) {
    return h('input', { name, value: at.query.get(name) ?? '', placeholder: example, autocomplete: 'off', spellcheck: 'false' });
  }

  function apply() {
    const query = new URLSearchParams();
    for (const input of [stream, type, contains]) if (input.value.trim()) query.set(input.name, input.value.trim());
    const to = `#/log${query.size > 0 ? `?${query}` : ''}`;
    if (to === location.hash) follow();
    else location.hash = to;
  }

  function clear() {
    for (const input of [stream, type, contains]) input.value = '';
    apply();
  }

  function setPaused(now) {
    paused = now;
    pause.textContent = paused ? 'Go on' : 'Pause';
    pause.setAttribute('aria-pressed', String(paused));
    live.dataset.tone = paused ? 'warn' : 'ok';
    text(live, paused ? 'Paused' : 'Live');
    say();
  }

  function say() {
    const parts = [];
    if (missed > 0) parts.push(`${count(missed, 'record')} not shown: the list shows at most 20 a second${paused ? ', and none while paused' : ''}.`);
    if (passed > 0) parts.push(`${count(passed, 'record')} not picked by the filter.`);
    text(counted, parts.join(' '));
  }

  const query = () => new URLSearchParams([stream, type, contains].filter((i) => i.value.trim()).map((i) => [i.name, i.value.trim()]));

  async function follow() {
    following?.abort();
    following = new AbortController();
    const ends = AbortSignal.any([signal, following.signal]);
    missed = 0;
    passed = 0;
    const seen = new Set();
    const add = (records) => {
      const fresh = records.filter((r) => {
        const key = `${r.partition}/${r.offset}`;
        if (seen.has(key)) return false;
        seen.add(key);
        return true;
      });
      if (fresh.length === 0) return;
      none.hidden = true;
      list.prepend(...fresh.map(item));
      while (list.children.length > kept) list.lastElementChild.remove();
      if (seen.size > 10 * kept) seen.clear();
    };
    list.replaceChildren();
    none.hidden = false;
    const fetchNewest = async () => {
      const { records } = await get(`/api/log?limit=50&${query()}`, { signal: ends });
      add(records);
    };
    events(`/api/log/events?${query()}`, {
      signal: ends,
      on: {
        records: (news) => {
          passed += news.passed;
          missed += news.counted + (paused ? news.records.length : 0);
          if (!paused) add(news.records.reverse());
          say();
        },
      },
      status: async (now) => {
        if (!paused) {
          live.dataset.tone = now === 'open' ? 'ok' : 'warn';
          text(live, { open: 'Live', waiting: 'No answer, trying again', hidden: 'Paused' }[now]);
        }
        if (now !== 'open' || list.children.length > 0) return;
        try {
          await fetchNewest();
        } catch (err) {
          if (!ends.aborted) replace(none, problem(err));
        }
      },
    });
  }

  follow();
}

// item is a record in the list, which opens.
function item(r) {
  const details = h('details', { ontoggle: () => { if (details.open && !details.dataset.asked) open(details, r); } },
    h('summary',
      h('span.num.when', time(r.time, true)),
      r.problem ? badge('no record', 'bad') : badge(r.type, tones[r.type] ?? 'info'),
      h('span.mono.stream', r.stream ?? ''),
      h('span.mute.num.version', r.problem ? '' : `v${number(r.version)}`),
      h('span.mono.mute.body', r.problem ?? r.body)));
  return h('li', details);
}

async function open(details, r) {
  details.dataset.asked = 'yes';
  const panel = h('div.raw', h('p.mute', { role: 'status' }, 'Loading…'));
  details.append(panel);
  try {
    const m = await get(`/api/log/${r.partition}/${r.offset}`);
    replace(panel,
      h('dl.pairs',
        h('dt', 'Place'), h('dd.mono', `partition ${m.partition}, offset ${m.offset}`),
        h('dt', 'Key'), h('dd.mono', m.key),
        h('dt', 'Sent by the producer'), h('dd.num', time(m.appended, true)),
        m.problem && [h('dt', 'Problem'), h('dd', m.problem)]),
      h('h3', 'Headers'),
      h('dl.pairs.mono', m.headers.map((x) => [h('dt', x.key), h('dd', x.value)])),
      h('h3', 'Body'),
      m.body !== undefined ? json(m.body, 'Body') : h('pre.text', { tabindex: 0, role: 'region', 'aria-label': 'Body' }, m.text ?? m.bodyBase64 ?? ''),
      h('div.actions', copy(() => JSON.stringify(m, null, 2), 'Copy as JSON')));
  } catch (err) {
    delete details.dataset.asked;
    replace(panel, problem(err));
  }
}
