// One stream: its records with the gate's word, its state at any version, and two versions compared.

import { get, Problem } from '../api.js';
import { badge, card, copy, empty, field, json, notice, pageHead, pager, problem, progress, stat, table } from '../components.js';
import { h, replace } from '../dom.js';
import { count, number, time } from '../format.js';
import { scan } from '../scan.js';
import { cancelButton, zone } from '../scheduled.js';

const pageSize = 50;

export async function show(root, at, signal) {
  const { aggregates } = await get('/api/streams', { signal });
  const [aggregate = aggregates[0]?.name, id = ''] = at.path;
  const of = h('select', { name: 'aggregate' }, aggregates.map((a) => h('option', { value: a.name }, a.name)));
  of.value = aggregate;
  const input = h('input', { name: 'id', value: id, required: true, maxlength: 128, spellcheck: 'false', autocapitalize: 'off', autocomplete: 'off' });
  const form = h('form.card.find', {
    onsubmit: (e) => {
      e.preventDefault();
      const to = `#/streams/${encodeURIComponent(of.value)}/${encodeURIComponent(input.value)}`;
      if (location.hash === to) dispatchEvent(new HashChangeEvent('hashchange'));
      else location.hash = to;
    },
  }, field('Aggregate', of), field('Id', input), h('button.primary', { type: 'submit' }, 'Open'));
  const found = h('div.view');
  replace(root, pageHead('Streams', 'A stream is the history of one aggregate: its records, its chain, and its state at every version.'), form, found);
  if (!id) {
    replace(found, empty('Choose an aggregate and write an id, such as 1.'));
    input.focus();
    return;
  }
  await stream(found, aggregate, id, at.query, signal);
}

const pathOf = (aggregate, id) => `/api/streams/${encodeURIComponent(aggregate)}/${encodeURIComponent(id)}`;

// read scans the log for a stream, and shows the progress with a button that ends the scan.
async function read(box, path, parameters, signal) {
  const stop = new AbortController();
  const bar = progress(0, 0, 'Reading the log');
  replace(box, h('section.card', { role: 'status' }, h('p', 'Reading the partition of the stream…'), bar,
    h('div.actions', h('button', { onclick: () => stop.abort() }, 'Cancel'))));
  const records = [];
  let end = null;
  let failed = null;
  await scan(`${path}?${parameters}`, {
    signal: AbortSignal.any([signal, stop.signal]),
    on: {
      record: (r) => records.push(r),
      progress: (p) => bar.set(p.read, p.all),
      stream: (s) => { end = s; },
      failed: (p) => { failed = new Problem(p.status, p); },
    },
  });
  if (failed) throw failed;
  if (!end) throw new Problem(0, { title: 'The scan broke off', detail: 'The process ended the answer before the end of the log.' });
  return { ...end, records, total: end.records };
}

async function stream(box, aggregate, id, query, signal) {
  const path = pathOf(aggregate, id);
  const after = Number(query.get('after')) || 0;
  let s;
  try {
    s = await read(box, path, new URLSearchParams({ after, limit: pageSize }), signal);
  } catch (err) {
    if (signal.aborted) return;
    const again = () => stream(box, aggregate, id, query, signal);
    if (err.name === 'AbortError') replace(box, notice('info', 'The scan was cancelled.', h('div.actions', h('button', { onclick: again }, 'Read again'))));
    else replace(box, problem(err, again));
    return;
  }
  if (s.total === 0) {
    replace(box, empty(`The log has no record of ${s.stream}. ${count(s.read, 'record')} of partition ${s.partition} were read.`));
    return;
  }
  const goTo = (n) => { location.hash = `#/streams/${encodeURIComponent(aggregate)}/${encodeURIComponent(id)}${n ? `?after=${n}` : ''}`; };
  replace(box,
    h('h2.stream-name', s.stream),
    h('div.stats',
      stat('Version', number(s.version), 'events that count'),
      stat('Records', number(s.total), `in partition ${s.partition}`),
      stat('Ignored', number(s.ignored), s.ignored ? 'records that don’t count' : 'every record counts', s.ignored ? 'warn' : ''),
      stat('Chain', s.unreadable ? 'Stopped' : 'Whole', `${count(s.seq, 'link')} checked`, s.unreadable ? 'bad' : 'ok')),
    s.unreadable && notice('bad', h('strong', 'This binary can’t apply a record'), h('p', s.unreadable)),
    states(s, path, query, signal),
    s.waiting > 0 && scheduled(s, () => stream(box, aggregate, id, query, signal)),
    card('Records',
      recordTable(s),
      (after > 0 || s.more) && pager({
        first: after > 0 ? () => goTo(0) : null,
        next: s.more ? () => goTo(after + pageSize) : null,
        note: `Records ${number(after + 1)} to ${number(after + s.records.length)} of ${number(s.total)}`,
      })));
}

// states has the slider, the state at the chosen version, and the comparison with another version.
function states(s, path, query, signal) {
  const known = new Map([[0, undefined], [s.version, s.state]]);
  for (const r of s.records) if (r.counts) known.set(r.version, r.state);
  const within = (v, otherwise) => (v === null || !/^\d+$/.test(v) ? otherwise : Math.min(Number(v), s.version));
  const slider = h('input', { type: 'range', min: 0, max: s.version, value: within(query.get('version'), s.version), 'aria-label': 'Version' });
  const exact = h('input.version', { type: 'number', min: 0, max: s.version, value: slider.value, 'aria-label': 'Version as a number' });
  const other = h('input.version', { type: 'number', min: 0, max: s.version, value: within(query.get('with'), ''), 'aria-label': 'The other version', placeholder: 'none' });
  const shown = h('div');
  let wanted = 0;

  const state = async (version) => {
    if (!known.has(version)) { // of another page: the log is read once more
      const fresh = await read(shown, path, new URLSearchParams({ limit: 0, version }), signal);
      for (const at of fresh.states ?? []) known.set(at.version, at.state);
    }
    return known.get(version);
  };
  const update = async () => {
    const turn = ++wanted;
    const version = Number(slider.value);
    const compared = other.value === '' ? null : Math.min(Number(other.value), s.version);
    const address = new URLSearchParams(location.hash.split('?')[1] ?? '');
    address.set('version', version);
    if (compared === null) address.delete('with');
    else address.set('with', compared);
    history.replaceState(null, '', `${location.hash.split('?')[0]}?${address}`);
    try {
      const one = await state(version);
      const two = compared === null ? null : await state(compared);
      if (turn !== wanted) return;
      replace(shown, compared === null ? whole(one, version) : differences(one, two, version, compared));
    } catch (err) {
      if (!signal.aborted && turn === wanted) replace(shown, err.name === 'AbortError' ? empty('Cancelled.') : problem(err));
    }
  };
  // While the slider moves, only states that are here are shown.
  slider.addEventListener('input', () => { exact.value = slider.value; if (known.has(Number(slider.value))) update(); });
  slider.addEventListener('change', update);
  exact.addEventListener('change', () => { slider.value = exact.value; exact.value = slider.value; update(); });
  other.addEventListener('change', update);
  update();
  return card('State',
    h('div.slide',
      h('label.row', 'Version', exact), slider, h('span.mute', `of ${number(s.version)}`),
      h('label.row', 'Compare with version', other)),
    shown);
}

function whole(state, version) {
  return state === undefined
    ? empty(version === 0 ? 'There is no state before the first event.' : 'The state is the zero value.')
    : json(state, `The state at version ${version}`);
}

// differences lists the members that differ between two states.
function differences(one, two, version, compared) {
  const a = flat(one);
  const b = flat(two);
  const paths = [...new Set([...a.keys(), ...b.keys()])].filter((p) => a.get(p) !== b.get(p));
  const text = (v) => (v === undefined ? h('span.mute', 'nothing') : h('span.mono', v));
  return table([
    { title: 'Member', class: 'mono', cell: (p) => p || 'the state' },
    { title: `Version ${compared}`, cell: (p) => text(b.get(p)) },
    { title: `Version ${version}`, cell: (p) => text(a.get(p)) },
  ], paths, { label: 'Differences', none: 'The two versions have the same state.' });
}

// flat has each member of a value that is no object and no list, by its JSON Pointer.
function flat(value, path = '', out = new Map()) {
  if (value === undefined) return out;
  if (value === null || typeof value !== 'object' || Object.keys(value).length === 0) return out.set(path, JSON.stringify(value));
  for (const [name, member] of Object.entries(value)) flat(member, `${path}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`, out);
  return out;
}

// scheduled lists the commands that wait for their time.
function scheduled(s, again) {
  return card('Scheduled commands',
    h('p.mute', `${count(s.waiting, 'command waits for its time', 'commands wait for their times')}${s.waiting > s.scheduled.length ? `, and these are the first ${number(s.scheduled.length)}` : ''}. Times are in the time zone ${zone}.`),
    table([
      { title: 'Not before', class: 'tight', cell: (c) => time(c.notBefore) },
      { title: 'Command', cell: (c) => c.type },
      { title: 'Command id', class: 'mono', cell: (c) => c.commandId },
      { title: 'Action', class: 'tight', cell: (c) => cancelButton({ stream: s.stream, ...c }, again) },
    ], s.scheduled, { label: 'Scheduled commands', stack: true }));
}

const tones = { succeeded: 'ok', unchanged: 'mute', refused: 'warn', parked: 'bad', queued: 'warn', requeued: 'info', dropped: 'info', scheduled: 'info', cancelled: 'info' };

function recordTable(s) {
  return table([
    { title: 'Seq', class: 'num tight', cell: (r) => (r.counts ? number(r.seq) : h('s.mute', number(r.seq))) },
    { title: 'Version', class: 'num tight', cell: (r) => (r.counts ? number(r.version) : '') },
    { title: 'Record', cell: (r) => [opener(r, s), r.counts && r.outcome === 'scheduled' && h('span.note', `${r.body.commandType}, not before ${time(r.body.notBefore)}`), !r.counts && h('span.why', r.ignored)] },
    { title: 'Outcome', class: 'tight', cell: (r) => (r.counts ? badge(r.outcome, tones[r.outcome]) : badge('ignored', 'bad')) },
    { title: 'Time', class: 'tight extra', cell: (r) => time(r.accepted || r.appended, true) },
    { title: 'Offset', class: 'num tight extra', cell: (r) => number(r.offset) },
  ], s.records, { label: 'Records' });
}

// opener is the button that opens and closes the details below a record.
function opener(r, s) {
  const button = h('button.opener', {
    'aria-expanded': 'false',
    onclick: () => {
      const row = button.closest('tr');
      const open = row.nextElementSibling?.classList.contains('details');
      button.setAttribute('aria-expanded', String(!open));
      if (open) row.nextElementSibling.remove();
      else row.after(h('tr.details', h('td', { colspan: row.children.length }, details(r, s))));
    },
  }, r.type || 'no type');
  return button;
}

function details(r, s) {
  const pair = (name, ...value) => [h('dt', name), h('dd', value)];
  return h('div.detail',
    h('dl.pairs',
      pair('Counts', r.counts ? 'yes: the gate accepts the record' : `no: ${r.ignored}`),
      pair('Place', h('span.mono', `partition ${r.partition}, offset ${r.offset}`)),
      r.commandId && pair('Command', h('span.mono', r.commandId), ' ', copy(r.commandId)),
      r.commandPosition && pair('In topic commands', h('span.mono', r.commandPosition)),
      r.accepted && pair(/^(commandScheduled|scheduledCancelled)$/.test(r.type) ? 'Accepted' : 'Accepted, or due', h('span.mono', r.accepted)),
      pair('Appended', h('span.mono', r.appended)),
      pair('Digest', h('span.mono', r.digest)),
      pair('Digest before', h('span.mono', r.prev), ' ', link(r, s)),
      r.unreadable && pair('Unreadable', r.unreadable)),
    h('div.grid',
      h('div', h('h3', 'Body'), r.body === undefined ? h('pre.text', { tabindex: 0 }, r.text || 'empty') : json(r.body, 'Body')),
      r.counts && h('div', h('h3', 'State after the record'), r.state === undefined ? empty('The zero value.') : json(r.state, 'State'))));
}

// link says whether a record is linked to the record before, if the page has that record.
function link(r, s) {
  if (/^0+$/.test(r.prev)) return r.seq === 1 ? badge('the first link', 'ok') : badge('no record before', 'bad');
  const before = s.records.find((other) => other.counts && other.digest === r.prev);
  if (before) return badge(`is record ${before.seq}`, r.counts ? 'ok' : 'mute');
  return r.counts ? badge('on an earlier page', 'mute') : badge('is no record that counts', 'bad');
}
