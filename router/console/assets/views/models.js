// Read models: generations, checkpoints, lag; rebuild, swap, rollback, drop, verify and repair.

import { events, get, post } from '../api.js';
import { badge, card, confirm, empty, loading, notice, pageHead, problem, progress, table, toast } from '../components.js';
import { h, replace, text } from '../dom.js';
import { ago, count, duration, number, time } from '../format.js';

export async function show(root, at, signal) {
  const jobsBox = h('div.view');
  const modelsBox = h('div.view', loading());
  const models = new Map(); // by name: the card, and what changes each second
  const act = (path, body, ask) => async () => {
    if (ask && !(await confirm(ask))) return;
    try {
      await post(path, body, { signal });
    } catch (err) {
      if (!signal.aborted) toast(err.detail || err.message, 'bad');
    }
  };
  const verify = (names, repair) => act('/api/verify', { readModels: names, repair }, repair && {
    title: `Repair ${names.length === 0 ? 'all read models' : names.join(', ')}?`, action: 'Verify and repair', tone: '',
    text: ['The log is folded anew. Rows that differ get the values of the log, and no other row changes.', 'Updates wait while rows are written.'],
  });
  replace(root,
    pageHead('Read models', 'Rows made of the log, in generations: a rebuild fills a new generation while the live one answers.',
      h('button', { onclick: verify([], false) }, 'Verify all'), h('button', { onclick: verify([], true) }, 'Verify and repair all')),
    jobsBox, modelsBox);

  const fill = async () => {
    try {
      const { readModels } = await get('/api/read-models', { signal });
      for (const m of readModels) {
        const known = models.get(m.name);
        if (known) known.fill(m);
        else models.set(m.name, model(m, act, verify));
      }
      replace(modelsBox, [...models.values()].map((m) => m.element));
    } catch (err) {
      if (!signal.aborted) replace(modelsBox, problem(err, fill));
    }
  };
  await fill();

  const earlierBox = h('div.view');
  const earlierJobs = h('details.more', h('summary', ''), earlierBox);
  let states = null;
  let later = 0;
  const shown = new Map(); // the cards of jobs, by id
  events('/api/read-models/events', {
    signal,
    on: {
      status: (all) => { for (const s of all) models.get(s.name)?.status(s); },
      jobs: (jobs) => {
        for (const j of jobs) {
          if (shown.has(j.id)) shown.get(j.id).set(j);
          else shown.set(j.id, job(j, signal));
        }
        // The jobs that run, and the last that has ended; the others on demand.
        const ended = jobs.filter((j) => j.state !== 'running');
        const cards = jobs.filter((j) => j.state === 'running' || j === ended[0]).map((j) => shown.get(j.id).element);
        const earlier = ended.slice(1);
        text(earlierJobs.firstChild, count(earlier.length, 'earlier job'));
        fillWith(earlierBox, earlier.map((j) => shown.get(j.id).element));
        fillWith(jobsBox, earlier.length > 0 ? [...cards, earlierJobs] : cards);
        const now = jobs.map((j) => j.id + j.state).join();
        if (states !== null && now !== states) {
          fill();
          clearTimeout(later); // a rebuild makes its generation a moment after its beginning
          if (jobs.some((j) => j.state === 'running')) later = setTimeout(() => signal.aborted || fill(), 800);
        }
        states = now;
      },
    },
  });
}

// fillWith puts nodes in a box, unless the box has just these nodes.
function fillWith(box, nodes) {
  if (nodes.length !== box.children.length || nodes.some((n, i) => box.children[i] !== n)) replace(box, nodes);
}

const stateTones = { live: 'ok', building: 'info', ready: 'info', old: 'mute' };

// model is the card of a read model.
function model(first, act, verify) {
  const path = `/api/read-models/${encodeURIComponent(first.name)}`;
  const lag = badge('', 'mute');
  const parked = h('span');
  const generations = h('div');
  const partitions = h('div.partitions', { role: 'list', 'aria-label': `Lag of ${first.name} by partition` });
  const actions = h('div.actions');
  const element = h('section.card', { 'aria-label': first.name },
    h('div.row', h('h2.model-name', first.name), lag, parked, actions),
    generations,
    h('details.more', h('summary', 'Checkpoints and lag by partition'), partitions));

  const fill = (m) => {
    const live = m.generations.find((g) => g.state === 'live');
    const old = m.generations.some((g) => g.state === 'old');
    replace(actions,
      h('button.small', { onclick: act(`${path}/rebuild`, {}, { title: `Rebuild ${m.name}?`, action: 'Rebuild', tone: '', text: ['The whole log is folded into a new generation, and then the two are swapped. Queries go on.', 'The generation that is live now stays, for a rollback.'] }) }, 'Rebuild'),
      h('button.small', { onclick: act(`${path}/rebuild`, { noSwap: true }) }, 'Fill only'),
      h('button.small', { onclick: verify([m.name], false) }, 'Verify'),
      h('button.small', { onclick: verify([m.name], true) }, 'Repair'),
      old && h('button.small', { onclick: act(`${path}/rollback`, {}, { title: `Roll ${m.name} back?`, action: 'Roll back', text: 'The newest old generation catches up with the log and becomes live.' }) }, 'Roll back'));
    replace(generations, m.generations.length === 0
      ? empty('There is no generation yet: no query service has run on this store.')
      : table([
        { title: 'Generation', class: 'num tight', cell: (g) => h('span', { title: g.definition }, number(g.generation)) },
        { title: 'State', class: 'tight', cell: (g) => badge(g.state, stateTones[g.state]) },
        { title: 'Since', class: 'tight extra', cell: (g) => h('span', { title: time(g.since) }, ago(g.since)) },
        { title: 'Rows', class: 'num', cell: (g) => number(g.rows) },
        { title: 'Behind', class: 'num extra', cell: (g) => number(g.lag) },
        { title: 'Parked', class: 'num', cell: (g) => (g.parked > 0 ? badge(number(g.parked), 'bad') : '0') },
        { title: 'Actions', class: 'tight', cell: (g) => generationActions(m, g, path, act) },
      ], [...m.generations].reverse(), { label: `Generations of ${m.name}` }));
    if (live) status({ lag: live.lag, parked: { count: live.parked }, partitions: live.partitions });
  };
  const status = (s) => {
    const behind = s.lag ?? null;
    lag.textContent = behind === null ? 'lag unknown' : behind === 0 ? 'up to date' : `${count(behind, 'record')} behind`;
    lag.dataset.tone = behind === null ? 'mute' : behind === 0 ? 'ok' : 'warn';
    replace(parked, s.parked.count > 0 && h('a.badge', { href: '#/trouble', 'data-tone': 'bad' }, `${count(s.parked.count, 'stream')} parked`));
    const most = Math.max(1, ...s.partitions.map((p) => p.lag ?? 0));
    while (partitions.children.length > s.partitions.length) partitions.lastChild.remove();
    s.partitions.forEach((p, i) => {
      const cell = partitions.children[i] ?? partitions.appendChild(partition());
      cell.set(p, most);
    });
  };
  fill(first);
  return { element, fill, status };
}

// partition shows the checkpoint and the lag of a partition.
function partition() {
  const name = h('span.mute');
  const at = h('span.mono');
  const behind = h('span');
  const run = h('span.run');
  const el = h('div', { role: 'listitem' }, h('div.row', name, at), h('span.lane', { 'aria-hidden': 'true' }, run), behind);
  el.set = (p, most) => {
    name.textContent = `Partition ${p.partition}`;
    at.textContent = number(p.checkpoint);
    behind.textContent = p.lag === undefined ? 'lag unknown' : p.lag === 0 ? 'no lag' : `${number(p.lag)} behind`;
    run.style.setProperty('width', `${(100 * (p.lag ?? 0)) / most}%`);
  };
  return el;
}

function generationActions(m, g, path, act) {
  if (g.state === 'live') return h('span.mute', 'none');
  const body = { generation: g.generation };
  return h('div.actions',
    g.state !== 'building' && h('button.small', {
      'aria-label': `Swap ${m.name} to generation ${g.generation}`,
      onclick: act(`${path}/swap`, body, { title: `Make generation ${g.generation} live?`, action: 'Swap', tone: '', text: 'The generation catches up with the log, and then answers queries. The generation that is live now stays.' }),
    }, 'Swap'),
    h('button.small', {
      'aria-label': `Drop generation ${g.generation} of ${m.name}`,
      onclick: act(`${path}/drop`, body, { title: `Drop generation ${g.generation} of ${m.name}?`, action: 'Drop', text: `${count(g.rows, 'row')} are deleted. The log can make them again.` }),
    }, 'Drop'));
}

const jobWords = { rebuild: 'Rebuild', swap: 'Swap', rollback: 'Rollback', drop: 'Drop', retry: 'Retry', verify: 'Verify', repair: 'Verify and repair' };
const jobTones = { running: 'info', done: 'ok', failed: 'bad', cancelled: 'mute' };

// job is the card of a job.
function job(first, signal) {
  const state = badge('', 'mute');
  const bar = progress(0, 0, `Progress of ${jobWords[first.kind]} ${first.readModels.join(', ')}`);
  const result = h('div.view');
  const cancel = h('button.small', {
    onclick: () => post(`/api/jobs/${first.id}/cancel`, {}, { signal }).catch((err) => toast(err.detail || err.message, 'bad')),
  }, 'Cancel');
  const when = h('span.mute');
  const element = h('section.card.job', { 'aria-label': `Job ${first.id}` },
    h('div.row', h('strong', `${jobWords[first.kind] ?? first.kind} ${first.readModels.join(', ')}`), state, when, cancel), bar, result);
  let last = '';
  const set = (j) => {
    state.textContent = tellState(j);
    state.dataset.tone = verdictTone(j);
    const running = j.state === 'running';
    when.textContent = running ? `for ${duration((Date.now() - new Date(j.began)) / 1000)}` : `${ago(j.ended)}, took ${duration((new Date(j.ended) - new Date(j.began)) / 1000)}`;
    bar.hidden = !running;
    cancel.hidden = !running;
    bar.set(j.done, j.all);
    if (j.state === last) return;
    last = j.state;
    replace(result, running ? null : resultOf(j));
  };
  set(first);
  return { element, set };
}

const proofs = (j) => (j.kind === 'verify' || j.kind === 'repair') && Array.isArray(j.result);

function tellState(j) {
  if (!proofs(j) || j.state !== 'done') return j.state;
  return j.result.some((p) => p.verdict === 'differs') ? 'differs' : j.result.some((p) => p.verdict === 'not proven') ? 'not proven' : 'proven';
}

function verdictTone(j) {
  const word = tellState(j);
  return word === 'differs' || word === 'not proven' ? 'bad' : word === 'proven' ? 'ok' : jobTones[j.state];
}

function resultOf(j) {
  if (proofs(j)) return proofTable(j.result);
  const r = j.result ?? {};
  return [
    j.detail && notice('bad', j.detail),
    j.kind === 'rebuild' && r.generation && h('p', `Generation ${r.generation} has ${count(r.rows, 'row')}`, r.live ? `, and is live. Generation ${r.kept} is kept for a rollback.` : '. It is ready to swap.'),
    r.live && j.kind !== 'rebuild' && h('p', `Generation ${r.live} is live. Generation ${r.kept} is kept.`),
    j.kind === 'drop' && r.generation && h('p', `Generation ${r.generation} is dropped.`),
    j.kind === 'retry' && r.streams > 0 && h('p', `${count(r.streams, 'stream')} tried, ${number(r.again)} parked again.`),
  ];
}

const verdicts = { proven: 'ok', mended: 'ok', differs: 'bad', 'not proven': 'bad' };

function proofTable(list) {
  return [
    table([
      { title: 'Read model', cell: (p) => h('strong', p.readModel) },
      { title: 'Verdict', class: 'tight', cell: (p) => badge(p.verdict === 'mended' ? 'mended, and proven' : p.verdict, verdicts[p.verdict]) },
      { title: 'Records', class: 'num', cell: (p) => number(p.records) },
      { title: 'Ignored', class: 'num extra', cell: (p) => number(p.ignored) },
      { title: 'Rows', class: 'num', cell: (p) => number(p.rows) },
      { title: 'Streams', class: 'num extra', cell: (p) => number(p.streams) },
      { title: 'Parked', class: 'num extra', cell: (p) => number(p.parkedStreams) },
      { title: 'Time', class: 'num extra', cell: (p) => duration(p.seconds) },
    ], list, { label: 'Proofs' }),
    list.filter((p) => p.differ > 0).map((p) => lines(`${p.readModel}: ${count(p.differ, 'place')} differ`, p.differences, p.differ)),
    list.filter((p) => p.mended > 0).map((p) => lines(`${p.readModel}: ${count(p.mended, 'place')} mended`, p.repaired, p.mended)),
    list.filter((p) => p.elsewhere > 0).map((p) => notice('bad', `${p.readModel}: ${count(p.elsewhere, 'record')} in other partitions than their streams’: the log proves nothing.`)),
  ];
}

function lines(title, texts, all) {
  return h('div', h('h3', title), h('pre.text', { tabindex: 0, role: 'region', 'aria-label': title }, texts.join('\n') + (all > texts.length ? `\nand ${number(all - texts.length)} more` : '')));
}
