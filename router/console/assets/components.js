// The parts that pages are made of.

import { h, replace } from './dom.js';
import { number } from './format.js';

// pageHead is the head of a page: the title, a line below, and actions at the right.
export function pageHead(title, note, ...actions) {
  document.title = `${title} · ${document.documentElement.dataset.service ?? 'Console'}`;
  return h('header.page-head',
    h('div', h('h1', title), note && h('p.mute', note)),
    actions.length > 0 && h('div.actions', actions));
}

export function card(title, ...body) {
  return h('section.card', title && h('h2', title), body);
}

// stat is a figure with its label. set(value, note, tone) changes the figure.
export function stat(label, value = '–', note = '', tone = '') {
  const figure = h('p.figure', value);
  const below = h('p.note', note);
  const el = h('div.stat', h('p.label', label), figure, below);
  el.set = (v, n = '', t = '') => {
    if (figure.textContent !== String(v)) figure.textContent = v;
    if (below.textContent !== n) below.textContent = n;
    el.dataset.tone = t;
  };
  el.dataset.tone = tone;
  return el;
}

// badge is a short word in a tone: ok, warn, bad, info, mute.
export const badge = (text, tone = 'mute') => h('span.badge', { 'data-tone': tone }, text);

// table makes a table of rows: each column has title, cell(row) -> text or node, and perhaps
// class ('num', 'mono', 'wide', 'tight'). A row of a table with open(row) can be opened by click
// and by Enter. With stack each row of a narrow window is a block.
export function table(columns, rows, { open, label, stack, none = 'There is nothing here.' } = {}) {
  const body = h('tbody');
  const el = h(`div.table-box${stack ? '.stack' : ''}`, { tabindex: 0, role: 'region', 'aria-label': label ?? 'Table' },
    h('table.table',
      h('thead', h('tr', columns.map((c) => h('th', { scope: 'col', class: c.class }, c.title)))),
      body));
  el.fill = (fresh) => {
    replace(body, fresh.length === 0
      ? h('tr.none', h('td', { colspan: columns.length }, none))
      : fresh.map((row) => el.row(row)));
    return el;
  };
  el.row = (row) => {
    const tr = h('tr', columns.map((c) => h('td', { class: c.class, 'data-title': c.title }, c.cell(row))));
    if (open) {
      tr.classList.add('opens');
      tr.tabIndex = 0;
      tr.addEventListener('click', (e) => { if (!e.target.closest('a, button, input')) open(row, tr); });
      tr.addEventListener('keydown', (e) => { if (e.key === 'Enter' && e.target === tr) open(row, tr); });
    }
    return tr;
  };
  el.body = body;
  return el.fill(rows);
}

// pager has the buttons of a long list. A missing function disables its button.
export function pager({ first, next, note }) {
  return h('nav.pager', { 'aria-label': 'Pages' },
    h('span.mute', note),
    h('button', { onclick: () => first?.(), disabled: !first }, 'First page'),
    h('button', { onclick: () => next?.(), disabled: !next }, 'Next page'));
}

// problem shows a failed request.
export function problem(err, again) {
  return h('div.notice', { 'data-tone': 'bad', role: 'alert' },
    h('strong', err.title ?? 'Something went wrong'),
    h('p', err.detail || err.message),
    (err.errors ?? []).map((e) => h('p.mono', `${e.pointer ?? e.parameter ?? ''} ${e.detail}`)),
    again && h('div.actions', h('button', { onclick: again }, 'Try again')));
}

export const notice = (tone, ...body) => h('div.notice', { 'data-tone': tone }, body);
export const empty = (...body) => h('div.empty', body);
export const loading = (text = 'Loading…') => h('div.empty', { role: 'status' }, text);

// progress is a bar with figures. set(done, total) moves the bar.
export function progress(done = 0, total = 0, label = 'Progress') {
  const bar = h('progress', { 'aria-label': label });
  const figures = h('span.mute');
  const el = h('div.progress', bar, figures);
  el.set = (d, t) => {
    if (t > 0) { bar.max = t; bar.value = Math.min(d, t); } else bar.removeAttribute('value');
    figures.textContent = t > 0 ? `${number(d)} of ${number(t)} · ${Math.floor((100 * Math.min(d, t)) / t)} %` : number(d);
    return el;
  };
  return el.set(done, total);
}

// confirm asks before an action that can't be taken back: true for the action.
export function confirm({ title, text, action = 'Yes', otherwise = 'Cancel', tone = 'bad' }) {
  return new Promise((resolve) => {
    const dialog = h('dialog', { 'aria-labelledby': 'confirm-title' },
      h('form', { method: 'dialog' },
        h('h2#confirm-title', title),
        (Array.isArray(text) ? text : [text]).map((t) => h('p', t)),
        h('div.actions',
          h('button', { value: 'no' }, otherwise),
          h('button.primary', { value: 'yes', 'data-tone': tone }, action))));
    // form-action 'none' forbids forms that send; a form of a dialog only closes the dialog.
    dialog.addEventListener('close', () => { resolve(dialog.returnValue === 'yes'); dialog.remove(); });
    document.body.append(dialog);
    dialog.showModal();
  });
}

// toast says something for some seconds, to screen readers too.
export function toast(text, tone = 'ok') {
  const box = document.getElementById('toasts');
  const el = h('div.toast', { 'data-tone': tone }, text);
  box.append(el);
  setTimeout(() => el.remove(), 6000);
}

// json shows a value as indented JSON, with colours.
export function json(value, label = 'JSON') {
  const pre = h('pre.json', { tabindex: 0, role: 'region', 'aria-label': label });
  const parts = JSON.stringify(value, null, 2) ?? 'undefined';
  const token = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(?:true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
  let at = 0;
  for (const m of parts.matchAll(token)) {
    pre.append(parts.slice(at, m.index));
    const kind = m[2] ? 'key' : m[1] ? 'text' : 'value';
    pre.append(h(`span.json-${kind}`, m[1] ?? m[0]));
    if (m[2]) pre.append(m[2]);
    at = m.index + m[0].length;
  }
  pre.append(parts.slice(at));
  return pre;
}

// copy is a button that copies a text.
export function copy(text, label = 'Copy') {
  const button = h('button.small', {
    onclick: async () => {
      try {
        await navigator.clipboard.writeText(typeof text === 'function' ? text() : text);
        button.textContent = 'Copied';
      } catch {
        button.textContent = 'Not allowed';
      }
      setTimeout(() => { button.textContent = label; }, 1500);
    },
  }, label);
  return button;
}

// field is a labelled input, with a hint below.
let fields = 0;
export function field(label, input, hint) {
  const id = input.id || `field-${++fields}`;
  input.id = id;
  const below = hint && h('p.hint', { id: `${id}-hint` }, hint);
  if (below) input.setAttribute('aria-describedby', `${id}-hint`);
  return h('div.field', h('label', { for: id }, label), input, below);
}

// tabs shows one panel of several: each has title and make() -> node.
export function tabs(label, panels, chosen = 0) {
  const panel = h('div.tab-panel', { role: 'tabpanel', tabindex: 0 });
  const buttons = panels.map((p, i) => h('button', {
    role: 'tab', type: 'button', onclick: () => choose(i),
    onkeydown: (e) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
      if (!step) return;
      const next = (i + step + panels.length) % panels.length;
      choose(next);
      buttons[next].focus();
    },
  }, p.title));
  const choose = (i) => {
    buttons.forEach((b, j) => { b.setAttribute('aria-selected', String(i === j)); b.tabIndex = i === j ? 0 : -1; });
    panel.setAttribute('aria-label', panels[i].title);
    replace(panel, panels[i].make());
  };
  choose(chosen);
  return h('div.tabs', h('div.tab-list', { role: 'tablist', 'aria-label': label }, buttons), panel);
}
