// What waits for an operator: parked commands, streams parked in read models, dead letters.

import { get, post } from '../api.js';
import { badge, card, confirm, copy, empty, json, loading, notice, pageHead, pager, problem, table, toast } from '../components.js';
import { h, replace } from '../dom.js';
import { ago, bytes, count, number, time } from '../format.js';
import { finished } from '../jobs.js';

export async function show(root, at, signal) {
  const [kind, one, two] = at.path;
  if (kind === 'parked' && two !== undefined) return parkedStream(root, one, two, at, signal);
  if (kind === 'dead-letters' && two !== undefined) return deadLetter(root, one, two, signal);
  const boxes = [h('div'), h('div'), h('div'), h('div')];
  const fill = () => Promise.all([
    part(boxes[0], 'Parked commands', at, signal, () => parked(at, signal)),
    part(boxes[1], 'Streams parked in read models', at, signal, () => inModels(at, signal, fill)),
    part(boxes[2], 'Streams parked in reactions', at, signal, () => inReactions(signal, fill)),
    part(boxes[3], 'Dead letters', at, signal, () => letters(at, signal)),
  ]);
  replace(root, pageHead('Trouble', 'Commands, events and messages that wait until somebody mends a fault.',
    h('button', { onclick: fill }, 'Refresh')), boxes);
  await fill();
}

// part fills a card. A part that another process has names the peers.
async function part(box, title, at, signal, make) {
  if (!box.firstChild) replace(box, card(title, loading()));
  try {
    const made = await make();
    if (!signal.aborted) replace(box, card(title, made));
  } catch (err) {
    if (!signal.aborted) replace(box, card(title, problem(err), err.status === 503 && peers(at, 'trouble')));
  }
}

function peers(at, view) {
  if (at.process.peers.length === 0) return h('p.mute', 'The setting admin.peers can name the other processes.');
  return h('p', 'Other processes: ', at.process.peers.map((p) => h('a.peer', { href: `${p.url}/#/${view}` }, p.name)));
}

// pathOf is the path of a stream: the aggregate's name, and the encoded id.
function pathOf(stream) {
  const [aggregate, ...id] = stream.split('/');
  return `${encodeURIComponent(aggregate)}/${encodeURIComponent(id.join('/'))}`;
}

// hashWith is the address of this page with another value of a parameter.
function goTo(at, name, value) {
  const query = new URLSearchParams(at.query);
  if (value) query.set(name, value);
  else query.delete(name);
  location.hash = `#/trouble?${query}`;
}

async function parked(at, signal) {
  const after = at.query.get('parked') ?? '';
  const page = await get(`/api/parked?${new URLSearchParams({ after, limit: 25 })}`, { signal });
  if (page.total === 0) return empty('No command is parked.');
  return [
    table([
      { title: 'Stream', cell: (s) => h('a', { href: `#/trouble/parked/${pathOf(s.stream)}` }, s.stream) },
      { title: 'Waiting', class: 'num tight', cell: (s) => number(s.waiting) },
      { title: 'Since', class: 'tight extra', cell: (s) => ago(s.first.time) },
      { title: 'First command', class: 'extra', cell: (s) => h('span.mono', s.first.type) },
      { title: 'Reason', class: 'reason', cell: (s) => (s.parked ? s.first.reason : [badge('another binary', 'info'), ` ${s.first.reason}`]) },
    ], page.streams, { label: 'Parked commands' }),
    (after || page.next) && pager({
      first: after ? () => goTo(at, 'parked', '') : null,
      next: page.next ? () => goTo(at, 'parked', page.next) : null,
      note: `${count(page.total, 'stream')} in all`,
    }),
  ];
}

async function parkedStream(root, aggregate, id, at, signal) {
  const path = `/api/parked/${encodeURIComponent(aggregate)}/${encodeURIComponent(id)}`;
  const back = h('a', { href: '#/trouble' }, 'All trouble');
  const box = h('div.view', loading());
  replace(root, pageHead('Parked commands', `${aggregate}/${id}`, back), box);
  const load = async () => {
    const after = Number(at.query.get('after')) || 0;
    const q = await get(`${path}?${new URLSearchParams({ after, limit: 25 })}`, { signal });
    const first = after === 0 ? q.commands[0] : null;
    const goOn = (n) => { location.hash = `#/trouble/parked/${pathOf(q.stream)}${n ? `?after=${n}` : ''}`; };
    const act = (what, body, text) => async (e) => {
      if (text && !(await confirm(text))) return;
      e.target.disabled = true;
      try {
        released(await post(`${path}/${what}`, body, { signal }));
      } catch (err) {
        if (!signal.aborted) toast(err.detail || err.message, 'bad');
      }
      if (!signal.aborted) await reload();
    };
    replace(box,
      notice(q.parked ? 'bad' : 'info',
        h('strong', q.parked ? 'The first command could not be decided' : 'The first command waits for another binary'),
        h('p', q.parked
          ? 'The commands of this stream wait in order, and other streams go on. Mend the fault, roll out the binary, and requeue.'
          : 'Commands go on by themselves when a binary that knows the command or the event takes over the partition.')),
      h('div.actions',
        q.parked && h('button.primary', { onclick: act('requeue', {}) }, `Requeue ${count(q.waiting, 'command')}`),
        first && h('button', {
          onclick: act('drop', { command: first.id }, {
            title: `Drop ${first.type}?`, action: 'Drop the command',
            text: [`Command ${first.id} of ${q.stream} ends as refused, for good.`, q.waiting > 1 ? `${count(q.waiting - 1, 'command')} behind go on.` : 'No command waits behind.'],
          }),
        }, 'Drop the first'),
        h('a', { href: `#/streams/${pathOf(q.stream)}` }, 'Show the stream')),
      q.commands.map((c, i) => waiting(c, after + i + 1)),
      (after > 0 || q.next) && pager({
        first: after > 0 ? () => goOn(0) : null, next: q.next ? () => goOn(q.next) : null, note: `${count(q.waiting, 'command')} in all`,
      }));
  };
  const reload = async () => {
    try {
      await load();
    } catch (err) {
      if (signal.aborted) return;
      replace(box, err.status === 404 ? notice('ok', `No command of ${aggregate}/${id} waits.`, h('p', h('a', { href: `#/streams/${pathOf(`${aggregate}/${id}`)}` }, 'Show the stream'))) : problem(err, reload));
    }
  };
  await reload();
}

function waiting(c, n) {
  return card(null,
    h('div.row', badge(`${n}.`, n === 1 ? 'bad' : 'mute'), h('strong', c.type), h('span.mute', `accepted ${ago(c.time)}`), h('span.mono', c.id), copy(c.id)),
    h('p.reason', c.reason),
    c.expectedVersion !== undefined && h('p.mute', `expects version ${c.expectedVersion}`),
    c.payload === undefined ? h('pre.text', { tabindex: 0 }, c.text || 'empty') : json(c.payload, `Payload ${n}`),
    c.stack && h('details.more', { open: n === 1 }, h('summary', 'Stack'), h('pre.text', { tabindex: 0, role: 'region', 'aria-label': `Stack ${n}` }, c.stack)));
}

function released(r) {
  const behind = r.behind > 0 ? ` ${count(r.behind, 'command')} behind go on.` : '';
  if (r.outcome === 'parked') toast(`${r.type} is parked again.`, 'bad');
  else if (r.outcome === 'refused') toast(`${r.type} is refused: ${r.detail}.${behind}`, 'warn');
  else toast(`${r.type} succeeded: version ${r.version}.${behind}`);
}

// inModels lists the parked streams of each read model that has some.
async function inModels(at, signal, refresh) {
  if (!at.process.views.find((v) => v.name === 'models')?.available) {
    return [h('p', 'This process has no store: a query service or a read API shows these streams.'), peers(at, 'trouble')];
  }
  const { readModels } = await get('/api/read-models', { signal });
  const some = readModels.filter((m) => m.generations.some((g) => g.state === 'live' && g.parked > 0));
  if (some.length === 0) return empty('No stream is parked in a read model.');
  const retry = (name, stream) => async (e) => {
    e.target.disabled = true;
    try {
      const job = await finished(await post(`/api/read-models/${name}/retry`, { stream }, { signal }), signal);
      if (job.state === 'done') toast(`${count(job.result.streams, 'stream')} of ${name} ${job.result.streams === 1 ? 'goes' : 'go'} on.`);
      else toast(job.detail || job.state, 'bad');
    } catch (err) {
      if (signal.aborted) return;
      toast(err.detail || err.message, 'bad');
    }
    refresh();
  };
  return Promise.all(some.map(async (m) => {
    const name = encodeURIComponent(m.name);
    const after = at.query.get(`in.${m.name}`) ?? '';
    const page = await get(`/api/read-models/${name}/parked?${new URLSearchParams({ after, limit: 25 })}`, { signal });
    return h('div',
      h('div.row', h('h3', `Read model ${m.name}`), badge(count(page.total, 'stream'), 'bad'),
        h('button.small', { onclick: retry(name, '') }, 'Retry all')),
      table([
        { title: 'Stream', cell: (s) => h('a', { href: `#/streams/${pathOf(s.stream)}` }, s.stream) },
        { title: 'At version', class: 'num tight extra', cell: (s) => number(s.version) },
        { title: 'Record', class: 'mono tight extra', cell: (s) => `${s.partition}/${s.offset}` },
        { title: 'Reason', class: 'reason', cell: (s) => reason(s.reason) },
        { title: 'Action', class: 'tight', cell: (s) => h('button.small', { 'aria-label': `Retry ${s.stream}`, onclick: retry(name, s.stream) }, 'Retry') },
      ], page.streams, { label: `Streams parked in ${m.name}` }),
      (after || page.next) && pager({
        first: after ? () => goTo(at, `in.${m.name}`, '') : null, next: page.next ? () => goTo(at, `in.${m.name}`, page.next) : null, note: `${count(page.total, 'stream')} in all`,
      }));
  }));
}

// inReactions lists the streams that are parked in reactions.
async function inReactions(signal, refresh) {
  const { reactions, streams } = await get('/api/reactions/parked', { signal });
  if (streams.length === 0) return empty(reactions.length === 0 ? 'This service has no reactions.' : 'No stream is parked in a reaction.');
  const act = (what, c, body, question) => async (e) => {
    if (question && !(await confirm(question))) return;
    e.target.disabled = true;
    try {
      const now = await post(`/api/reactions/${encodeURIComponent(c.reaction)}/${what}`, { stream: c.stream, ...body }, { signal });
      if (now.parked) toast(`${c.stream} is parked again: ${now.reason}`, 'bad');
      else toast(`Reaction ${c.reaction} has answered all records of ${c.stream}.`);
    } catch (err) {
      if (signal.aborted) return;
      toast(err.detail || err.message, 'bad');
    }
    refresh();
  };
  return table([
    { title: 'Reaction', cell: (c) => c.reaction },
    { title: 'Stream', cell: (c) => h('a', { href: `#/streams/${pathOf(c.stream)}` }, c.stream) },
    { title: 'Offset', class: 'num tight extra', cell: (c) => number(c.offset) },
    { title: 'Reason', class: 'reason', cell: (c) => (c.parked ? reason(c.reason) : badge('goes on', 'info')) },
    {
      title: 'Action', class: 'tight', cell: (c) => c.parked && h('div.row',
        h('button.small', { 'aria-label': `Retry ${c.stream} in ${c.reaction}`, onclick: act('retry', c, {}) }, 'Retry'),
        h('button.small', {
          'aria-label': `Skip a record of ${c.stream} in ${c.reaction}`,
          onclick: act('skip', c, { offset: c.offset }, {
            title: 'Skip the record?', action: 'Skip the record',
            text: `Reaction ${c.reaction} never answers record ${c.offset} of ${c.stream}: what should follow from the record is not sent. The records behind are answered.`,
          }),
        }, 'Skip')),
    },
  ], streams, { label: 'Streams parked in reactions', stack: true });
}

// reason shows the first line, and the other lines on demand.
function reason(text) {
  const [first, ...rest] = text.split('\n');
  return rest.length === 0 ? first : h('details.more', h('summary', first), h('pre.text', { tabindex: 0 }, rest.join('\n')));
}

async function letters(at, signal) {
  const after = at.query.get('letters') ?? '';
  const page = await get(`/api/dead-letters?${new URLSearchParams({ after, limit: 25 })}`, { signal });
  if (page.letters.length === 0 && !after) return empty('There are no dead letters.');
  return [
    table([
      { title: 'Letter', class: 'mono tight', cell: (l) => h('a', { href: `#/trouble/dead-letters/${l.partition}/${l.offset}` }, `${l.partition}/${l.offset}`) },
      { title: 'Since', class: 'tight extra', cell: (l) => ago(l.time) },
      { title: 'From', class: 'mono extra', cell: (l) => l.from },
      { title: 'Key', class: 'mono extra', cell: (l) => l.key || h('span.mute', 'none') },
      { title: 'Size', class: 'num tight extra', cell: (l) => bytes(l.size) },
      { title: 'Reason', class: 'reason', cell: (l) => l.reason },
    ], page.letters, { label: 'Dead letters' }),
    (after || page.next) && pager({ first: after ? () => goTo(at, 'letters', '') : null, next: page.next ? () => goTo(at, 'letters', page.next) : null, note: '' }),
  ];
}

async function deadLetter(root, partition, offset, signal) {
  const path = `/api/dead-letters/${encodeURIComponent(partition)}/${encodeURIComponent(offset)}`;
  replace(root, pageHead('Dead letter', `${partition}/${offset}`), loading());
  const l = await get(path, { signal });
  const drop = h('button', {
    onclick: async () => {
      const sure = await confirm({
        title: 'Drop the dead letter?', action: 'Drop',
        text: [`Dead letter ${partition}/${offset} and all earlier dead letters of partition ${partition} are deleted: Kafka deletes from the front of a partition only.`],
      });
      if (!sure) return;
      drop.disabled = true;
      try {
        const { dropped } = await post(`${path}/drop`, {}, { signal });
        toast(`${count(dropped, 'dead letter')} dropped.`);
        location.hash = '#/trouble';
      } catch (err) {
        drop.disabled = false;
        if (!signal.aborted) toast(err.detail || err.message, 'bad');
      }
    },
  }, 'Drop');
  const headers = Object.entries(l.headers ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  replace(root,
    pageHead('Dead letter', `${l.partition}/${l.offset}`, h('a', { href: '#/trouble' }, 'All trouble'), drop),
    notice('warn', h('strong', l.reason)),
    card('Message', h('dl.pairs',
      h('dt', 'From'), h('dd.mono', l.from),
      h('dt', 'Written'), h('dd', time(l.time, true)),
      h('dt', 'Key'), h('dd.mono', l.key || h('span.mute', 'none')),
      h('dt', 'Size'), h('dd', bytes(l.size)),
      l.digest && [h('dt', 'SHA-256'), h('dd.mono', l.digest)])),
    card('Headers', table([
      { title: 'Header', class: 'mono', cell: ([name]) => name },
      { title: 'Value', class: 'mono wide', cell: ([, value]) => value },
    ], headers, { label: 'Headers', none: 'The message has no headers.' })),
    card(l.base64 ? 'Body, in base64' : 'Body', l.digest
      ? empty('The message was too large for the dead letters; the message itself is at its former place.')
      : body(l)));
}

function body(l) {
  if (!l.base64) {
    try { return json(JSON.parse(l.text), 'Body'); } catch { /* no JSON */ }
  }
  return h('pre.text', { tabindex: 0, role: 'region', 'aria-label': 'Body' }, l.base64 || l.text || 'The body is empty.');
}
