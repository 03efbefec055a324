// A form for each command, made of its JSON Schema; the answer; and the command's way.

import { get, post } from '../api.js';
import { badge, card, copy, empty, field, json, loading, notice, pageHead, problem, table } from '../components.js';
import { h, replace } from '../dom.js';
import { duration, number, time } from '../format.js';
import { cancelButton, zone } from '../scheduled.js';
import { formOf, labelled, mark } from '../schema_form.js';

export async function show(root, at, signal) {
  const { commands } = await get('/api/commands', { signal });
  const chosen = commands.find((c) => c.type === at.path[0]) ?? commands[0];
  const type = h('select', { name: 'type', onchange: () => { location.hash = `#/send/${encodeURIComponent(type.value)}`; } },
    Object.entries(Object.groupBy(commands, (c) => c.aggregate)).map(([aggregate, of]) =>
      h('optgroup', { label: aggregate }, of.map((c) => h('option', { value: c.type }, c.type)))));
  type.value = chosen.type;
  const payload = formOf(chosen.schema, chosen.example);
  const id = h('input', { name: 'id', maxlength: 128, pattern: '[A-Za-z0-9._~:\\-]+', spellcheck: 'false', autocomplete: 'off', placeholder: 'made by the console' });
  const expected = h('input', { name: 'expectedVersion', type: 'number', min: 0, placeholder: 'any' });
  const notBefore = h('input', { name: 'notBefore', type: 'datetime-local', step: 1 });
  const wait = h('input', { name: 'wait', type: 'number', min: 0, max: 30, value: 5 });
  const line = h('pre.text.curl', { tabindex: 0, role: 'region', 'aria-label': 'The command line' });
  const options = new Map(); // by pointer
  const option = (pointer, label, control, hint) => labelled({ pointer, label, required: true, fields: options }, {}, control, hint);
  const more = h('details.more', h('summary', 'Options'),
    h('div.options',
      option('/id', 'Command id', id, 'Safe to send again with the same id.'),
      option('/expectedVersion', 'Expected version', expected, 'The version that the stream must have; 0: must not exist.'),
      option('/notBefore', 'Not before', notBefore, `The earliest time of the decision, in the time zone ${zone}. Empty: now.`),
      field('Wait for the outcome, seconds', wait, '0: the answer is 202 at once.')));
  const result = h('div.view', empty('The answer and the way of the command come here.'));

  const command = () => {
    const c = { type: chosen.type, payload: payload.value() };
    if (id.value) c.id = id.value;
    if (expected.value !== '') c.expectedVersion = Number(expected.value);
    const at = new Date(notBefore.value); // a time without a zone is of the browser's zone
    if (!Number.isNaN(at.getTime())) c.notBefore = at.toISOString();
    return c;
  };
  const update = () => { line.textContent = commandLine(at.process, command(), Number(wait.value)); };
  const button = h('button.primary', { type: 'submit' }, 'Send');
  const form = h('form.card', {
    oninput: update, onchange: update, onclick: () => queueMicrotask(update),
    onsubmit: async (e) => {
      e.preventDefault();
      const sent = command();
      payload.mark([]);
      mark(options, []);
      button.disabled = true;
      replace(result, loading('Sending…'));
      try {
        const answer = await post('/api/send', { command: sent, wait: Number(wait.value) || 0 }, { signal });
        replace(result, scheduled(answer, sent), shown(answer));
        payload.mark(answer.body?.errors ?? []);
        if (mark(options, answer.body?.errors ?? [])) more.open = true;
      } catch (err) {
        if (!signal.aborted) replace(result, problem(err));
      } finally {
        button.disabled = false;
      }
    },
  },
  field('Command', type),
  h('fieldset', h('legend', 'Payload'), payload.element),
  more,
  h('div.actions', button, chosen.idMember && h('button', { type: 'button', onclick: () => { location.hash = `#/streams/${streamPath(chosen, payload.value())}`; } }, 'Show the stream')),
  h('div', h('h2', 'The same on the command line'), line, copy(() => line.textContent)));
  replace(root, pageHead('Send', 'A command goes to the command service, with your token.'), h('div.grid.send', form, result));
  update();
}

// streamPath is the address of the stream of a command.
function streamPath(command, payload) {
  return `${encodeURIComponent(command.aggregate)}/${encodeURIComponent(String(payload?.[command.idMember] ?? ''))}`;
}

// commandLine is the command line of a command.
function commandLine(process, command, wait) {
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  return [
    `curl -X POST ${process.commands || 'http://localhost:3001'}/commands`,
    "-H 'Content-Type: application/json'",
    wait > 0 && `-H 'Prefer: wait=${wait}'`,
    process.login && '-H "Authorization: Bearer $TOKEN"',
    `-d ${quoted(JSON.stringify(command))}`,
  ].filter(Boolean).join(' \\\n  ');
}

// scheduled says until when a command waits, with a button that cancels the command.
function scheduled(answer, { type, notBefore }) {
  if (!answer.way.some((s) => s.record === 'commandScheduled')) return null;
  const line = h('div.row', badge('scheduled', 'info'), h('span', `Waits until ${time(notBefore)} (${zone}).`),
    cancelButton({ stream: answer.stream, commandId: answer.id, type, notBefore }, (cancelled) => {
      replace(line, badge(cancelled ? 'cancelled' : 'ended', 'warn'), h('span', cancelled ? 'The command is cancelled, and ends as refused.' : 'The command was not scheduled any more.'));
    }));
  return card('Scheduled', line);
}

const words = { 200: 'Succeeded', 202: 'Accepted', 400: 'Invalid', 500: 'Parked or failed' };

function shown(a) {
  const tone = a.status < 300 ? 'ok' : a.status < 500 ? 'warn' : 'bad';
  const stream = (a.stream ?? '').split('/');
  const to = `#/streams/${encodeURIComponent(stream[0])}/${encodeURIComponent(stream.slice(1).join('/'))}`;
  return [
    card('Answer',
      h('div.row', badge(`${a.status} ${words[a.status] ?? (a.status < 500 ? 'Refused' : 'Failed')}`, tone), h('span.mute', `after ${duration(a.seconds)}`),
        a.stream && h('a', { href: to }, a.stream)),
      json(a.body, 'The answer'),
      h('dl.pairs', h('dt', 'Command id'), h('dd.mono', a.id),
        Object.entries(a.headers).map(([name, value]) => [h('dt', name), h('dd.mono', value)]))),
    card('The command’s way', a.noWay ? notice('info', `There is no way to show: ${a.noWay}.`) : way(a.way)),
  ];
}

const names = {
  accepted: () => 'Accepted by the gateway',
  commands: (s) => `In topic commands, ${s.partition}/${s.offset}`,
  events: (s) => (s.partition === undefined ? 'In topic events' : `${s.record === 'commandScheduled' ? 'Scheduled' : 'Decided'}, in topic events, ${s.partition}/${s.offset}`),
  folded: () => 'Folded by the state store',
  visible: (s) => ['Visible in read model ', h('strong', s.readModel)],
};

// way is the list of steps with times: bars for the eye, and figures.
function way(steps) {
  const longest = Math.max(...steps.map((s) => s.seconds), 0.001);
  return table([
    { title: 'Step', cell: (s) => [names[s.step]?.(s) ?? s.step, s.time && h('span.lane', { 'aria-hidden': 'true' }, h('span.run', { style: { width: `${Math.max(1, 100 * s.seconds / longest)}%` } }))] },
    { title: 'Time', class: 'tight', cell: (s) => (s.time ? time(s.time, true) : badge(s.unknown || 'unknown', 'warn')) },
    { title: 'Since accepted', class: 'num tight', cell: (s) => (s.time ? `${number(Math.round(s.seconds * 1000))} ms` : '') },
  ], steps, { label: 'The steps of the command' });
}
