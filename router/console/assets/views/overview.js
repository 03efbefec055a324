// Overview: how the process does, now and in the last 15 minutes.

import { events, get } from '../api.js';
import { chart } from '../chart.js';
import { h, replace, text } from '../dom.js';
import { badge, card, pageHead, stat, table } from '../components.js';
import { count, duration, none, number, rate } from '../format.js';

// span is the time in the charts, in seconds.
const span = 15 * 60;

const outcomes = [
  { name: 'succeeded', colour: '--c5' },
  { name: 'unchanged', colour: '--c6' },
  { name: 'refused', colour: '--c2' },
  { name: 'parked', colour: '--c4' },
  { name: 'queued', colour: '--c3' },
  { name: 'scheduled', colour: '--c1' },
];
const colours = ['--c1', '--c2', '--c3', '--c5', '--c6', '--c4'];

export async function show(root, at, signal) {
  let [figures, samples] = await Promise.all([get('/api/overview', { signal }), get('/api/overview/samples', { signal })]);
  const live = h('span.live', { role: 'status' });
  const health = h('div.health');
  const tiles = h('div.stats');
  const charts = h('div.grid.even');
  const tables = h('div.grid');
  replace(root, pageHead('Overview', at.process.roles.join(' · '), live), health, tiles, charts, tables);

  const other = new AbortController(); // ends when the process has other parts
  const ends = AbortSignal.any([signal, other.signal]);
  const draw = page(figures, { health, tiles, charts, tables }, ends);
  const fill = () => { draw.figures(figures); draw.samples(samples); };
  fill();

  events('/api/overview/events', {
    signal: ends,
    on: {
      sample: (fresh) => {
        if (draw.parts !== parts(fresh.figures)) {
          other.abort();
          show(root, at, signal).catch(() => { /* the next visit tells */ });
          return;
        }
        figures = fresh.figures;
        add(samples, fresh.samples);
        fill();
      },
    },
    status: async (now) => {
      live.dataset.tone = now === 'open' ? 'ok' : 'warn';
      text(live, { open: 'Live', waiting: 'No answer, trying again', hidden: 'Paused' }[now]);
      if (now !== 'open') return;
      try { // whatever happened while nobody listened
        samples = await get('/api/overview/samples', { signal: ends });
        fill();
      } catch { /* the stream has the rest */ }
    },
  });
}

// parts names the parts that the figures have. A process that starts gets parts one after another.
const parts = (f) => [f.commands && 'commands', f.gateway && 'gateway', f.state && 'state', f.readModels && 'models'].join();

// page makes the parts of the page, and returns the functions that fill the parts.
function page(first, { health, tiles, charts, tables }, signal) {
  const tile = {
    rate: first.commands && stat('Commands a second'),
    outcome: first.commands && stat('Until the outcome, p99'),
    visible: first.readModels && stat('Until visible, p99'),
    undecided: first.gateway && stat('Undecided'),
    late: first.readModels && stat('Latest read model'),
    parked: first.state && stat('Streams parked'),
    parkedModels: first.readModels && stat('Parked in read models'),
    letters: stat('Dead letters'),
  };
  replace(tiles, Object.values(tile).filter(Boolean));

  const drawn = {
    rate: first.commands && chart({
      title: 'Commands', note: 'a second', value: rate, integers: true, span,
      series: [{ label: 'accepted', colour: '--c1', fill: true }, ...outcomes.map((o) => ({ label: o.name, colour: o.colour }))],
    }, signal),
    outcome: first.commands && chart({
      title: 'From a command to its outcome', value: duration, span,
      series: [{ label: 'p50', colour: '--c1', fill: true }, { label: 'p99', colour: '--c2' }],
    }, signal),
    visible: first.readModels && chart({
      title: 'From a command to the slowest read model', value: duration, span,
      series: [{ label: 'p50', colour: '--c1', fill: true }, { label: 'p99', colour: '--c2' }],
    }, signal),
    lag: first.readModels && chart({
      title: 'Behind the log', note: 'records', value: number, integers: true, span,
      series: modelSeries(first.readModels.map((m) => m.name)),
    }, signal),
  };
  replace(charts, Object.values(drawn).filter(Boolean));

  const byOutcome = first.commands && table([
    { title: 'Outcome', cell: (o) => o.name },
    { title: 'A second', class: 'num', cell: (o) => rate(o.rate) },
    { title: 'Since start', class: 'num', cell: (o) => number(o.total) },
  ], [], { label: 'Outcomes' });
  const models = first.readModels && table([
    { title: 'Read model', class: 'mono', cell: (m) => m.name },
    { title: 'Behind', class: 'num', cell: (m) => (m.lag === null ? none : m.lag === 0 ? '0' : `${number(m.lag)} (${duration(m.lagSeconds)})`) },
    { title: 'Visible, p99', class: 'num', cell: (m) => duration(m.visibleSeconds.p99) },
    { title: 'Generation', class: 'num', cell: (m) => [number(m.generation), m.rebuildLag !== undefined && badge('rebuilding', 'info')] },
    { title: 'Parked', class: 'num', cell: (m) => (m.parkedStreams > 0 ? badge(number(m.parkedStreams), 'bad') : '0') },
  ], [], { label: 'Read models', stack: true });
  const inside = first.state && h('dl.pairs');
  replace(tables,
    (models || inside) && h('div.view', models && card('Read models', models), inside && card('Inside', inside)),
    byOutcome && card('Outcomes', byOutcome));

  return {
    parts: parts(first),
    figures(f) {
      replace(health,
        badge(f.ready ? 'Ready' : 'Not ready', f.ready ? 'ok' : 'bad'),
        f.checks.map((c) => (c.ready
          ? h('span.check-ok', c.name)
          : h('span.check-bad', h('b', c.name), ` ${c.waitingFor ?? ''}`))));
      const c = f.commands;
      tile.rate?.set(rate(c.acceptedPerSecond), `${number(c.accepted)} since start`);
      tile.outcome?.set(duration(c.outcomeSeconds.p99), c.outcomeSeconds.p50 === null ? 'no command for 10 s' : `p50 ${duration(c.outcomeSeconds.p50)}`);
      const slowest = slower(f.readModels ?? []);
      tile.visible?.set(duration(slowest?.visibleSeconds.p99), slowest ? `p50 ${duration(slowest.visibleSeconds.p50)} · ${slowest.name}` : 'no record for 10 s');
      tile.undecided?.set(number(f.gateway.undecided), `of ${number(f.gateway.undecidedLimit)}`, f.gateway.undecided > f.gateway.undecidedLimit / 2 ? 'warn' : '');
      const late = latest(f.readModels ?? []);
      tile.late?.set(late ? duration(late.lagSeconds) : none, late ? (late.lag > 0 ? `${late.name}, ${count(late.lag, 'record')}` : 'all are at the end') : 'unknown', late?.lagSeconds > 10 ? 'warn' : '');
      tile.parked?.set(number(f.state.parkedStreams), count(f.state.deferredCommands, 'command waits', 'commands wait'), f.state.parkedStreams > 0 ? 'bad' : '');
      const parkedModels = (f.readModels ?? []).reduce((n, m) => n + m.parkedStreams, 0);
      tile.parkedModels?.set(number(parkedModels), parkedModels > 0 ? f.readModels.filter((m) => m.parkedStreams > 0).map((m) => m.name).join(', ') : 'streams', parkedModels > 0 ? 'bad' : '');
      tile.letters.set(number(f.deadLetters), f.deadLetters === null ? 'unknown' : 'not dropped', f.deadLetters > 0 ? 'warn' : '');
      byOutcome?.fill(outcomes.map((o) => ({ name: o.name, rate: c.outcomesPerSecond[o.name], total: c.outcomes[o.name] })));
      models?.fill(f.readModels);
      if (inside) {
        replace(inside, pairs([
          ['Streams', number(f.state.streams)],
          ['State store behind', f.state.lag === null ? none : count(f.state.lag, 'record')],
          ['Partitions here', number(f.processors?.partitions)],
          ['In processors', count(f.processors?.commands ?? 0, 'command')],
          ['On the way to Kafka', f.gateway && `${number(f.gateway.inFlight)} of ${number(f.gateway.inFlightLimit)}`],
          ['Ignored records', number(f.state.ignoredRecords)],
          ['Stopped streams', f.state.stoppedStreams > 0 && number(f.state.stoppedStreams)],
          ['Streams waiting for a binary', f.state.waitingStreams > 0 && number(f.state.waitingStreams)],
          ['Failed appends', c?.failedAppends > 0 && number(c.failedAppends)],
        ]));
      }
    },
    samples(s) {
      drawn.rate?.set(s.time, [s.acceptedPerSecond, ...outcomes.map((o) => s.outcomesPerSecond[o.name])]);
      drawn.outcome?.set(s.time, [s.outcomeP50, s.outcomeP99]);
      drawn.visible?.set(s.time, [s.visibleP50, s.visibleP99]);
      const names = Object.keys(s.lag).sort();
      drawn.lag?.set(s.time, names.map((n) => s.lag[n]), modelSeries(names));
    },
  };
}

const modelSeries = (names) => [...names].sort().map((name, i) => ({ label: name, colour: colours[i % colours.length] }));

const pairs = (all) => all.filter(([, v]) => v).map(([k, v]) => [h('dt', k), h('dd.num', v)]);

const largest = (models, of) => models.reduce((best, m) => (of(m) !== null && (!best || of(m) > of(best)) ? m : best), null);
const latest = (models) => largest(models, (m) => m.lagSeconds);
const slower = (models) => largest(models, (m) => m.visibleSeconds.p99);

// add adds the newest samples to the columns, and drops samples that are too old.
function add(columns, fresh) {
  const from = fresh.time.findIndex((t) => t > (columns.time.at(-1) ?? 0));
  if (from < 0) return;
  const length = columns.time.length;
  const old = columns.time.findIndex((t) => t >= fresh.time.at(-1) - span);
  const join = (a, b) => {
    const all = a.concat(b.slice(from));
    return old > 0 ? all.slice(old) : all;
  };
  const blank = (n) => Array(n).fill(null);
  for (const [name, column] of Object.entries(fresh)) {
    if (Array.isArray(column)) {
      columns[name] = join(columns[name], column);
      continue;
    }
    for (const key of new Set([...Object.keys(column), ...Object.keys(columns[name])])) {
      columns[name][key] = join(columns[name][key] ?? blank(length), column[key] ?? blank(fresh.time.length));
    }
  }
}
