// Settings: the configuration in force, the build, topics and consumer groups.

import { get } from '../api.js';
import { h, replace } from '../dom.js';
import { badge, card, field, pageHead, problem, table } from '../components.js';
import { ago, number, time } from '../format.js';

export async function show(root, at, signal) {
  const { build, started, settings } = await get('/api/settings', { signal });
  const kafka = h('div.view', card('Topics and groups', h('p.mute', { role: 'status' }, 'Asking Kafka…')));
  const search = h('input', { type: 'search', autocomplete: 'off', spellcheck: 'false', oninput: () => list() });
  const changed = h('input', { type: 'checkbox', onchange: () => list() });
  const rows = table([
    { title: 'Key', class: 'mono', cell: (s) => s.key },
    { title: 'Value', class: 'mono', cell: (s) => s.value || h('span.mute', 'empty') },
    { title: 'From', cell: (s) => (s.source === 'default' ? h('span.mute', 'default') : badge(s.source, 'info')) },
    { title: 'Meaning', class: 'meaning', cell: (s) => h('span.mute', s.description) },
  ], [], { label: 'Settings', stack: true, none: 'No key matches.' });
  const list = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    rows.fill(settings.filter((s) => (!changed.checked || s.source !== 'default')
      && words.every((w) => `${s.key} ${s.value} ${s.source} ${s.description}`.toLowerCase().includes(w))));
  };
  list();
  root.classList.add('settings');
  replace(root,
    pageHead('Settings', `Up since ${time(started)}, ${ago(started)}`),
    card('Build', h('dl.pairs',
      h('dt', 'Version'), h('dd', build.version),
      h('dt', 'Revision'), h('dd.mono', build.revision),
      h('dt', 'Go'), h('dd', build.goVersion),
      h('dt', 'Roles'), h('dd', at.process.roles.join(', ')),
      at.process.peers.length > 0 && [h('dt', 'Peers'), h('dd', at.process.peers.map((p) => h('a.peer', { href: p.url }, p.name)))])),
    kafka,
    card('Configuration in force',
      h('div.filters', field('Find a key', search), h('label.check', changed, ' Changed only')), rows));
  try {
    const { topics, groups } = await get('/api/topics', { signal });
    replace(kafka,
      h('div.grid',
        card('Topics', table([
          { title: 'Topic', class: 'mono', cell: (t) => t.name },
          { title: 'Messages', class: 'num', cell: (t) => number(t.kept) },
          { title: 'Partitions', class: 'num', cell: (t) => number(t.partitions.length) },
          { title: 'Fullest', class: 'num', cell: (t) => number(Math.max(...t.partitions.map((p) => p.end - p.first))) },
        ], topics, { label: 'Topics', stack: true })),
        card('Consumer groups', table([
          { title: 'Group', class: 'mono', cell: (g) => g.name },
          { title: 'Topic', class: 'mono', cell: (g) => g.topic },
          { title: 'Not marked', class: 'num', cell: (g) => number(g.lag) },
        ], groups, { label: 'Consumer groups', stack: true }))));
  } catch (err) {
    if (!signal.aborted) replace(kafka, problem(err));
  }
}
