// The shell: navigation, theme, login, and the view of the address.

import { get, post, del, onLogin } from './api.js';
import { h, replace, set } from './dom.js';
import { field, loading, notice, pageHead, problem } from './components.js';

// views are the pages in the order of the navigation. An address #/streams/user/1?version=3 shows the view
// streams: views/streams.js exports show(root, at, signal), with at.path ['user', '1'] and at.query.
// The navigation has the views that the process names.
const all = [
  { name: 'overview', title: 'Overview', icon: 'M4 13h4l2-6 4 10 2-4h4' },
  { name: 'streams', title: 'Streams', icon: 'M5 6h4v4H5zM15 6h4v4h-4zM5 15h4v4H5zM9 8h6M7 10v5' },
  { name: 'send', title: 'Send', icon: 'M4 12l16-7-5 15-4-6zM11 14l9-9' },
  { name: 'log', title: 'Log', icon: 'M4 7h16M4 12h16M4 17h10' },
  { name: 'trouble', title: 'Trouble', icon: 'M12 4l9 16H3zM12 10v4m0 3v.5' },
  { name: 'models', title: 'Read models', icon: 'M5 6c0-3 14-3 14 0v12c0 3-14 3-14 0zM5 6c0 3 14 3 14 0M5 12c0 3 14 3 14 0' },
  { name: 'settings', title: 'Settings', icon: 'M4 8h9m4 0h3M4 16h3m4 0h9M15 5.5v5M9 13.5v5' },
];

let views = [];

const app = document.getElementById('app');
const main = h('main#main', { tabindex: -1 });
let process = null;
let leave = new AbortController();

start();

async function start() {
  onLogin(showLogin);
  addEventListener('hashchange', () => route());
  try {
    process = await get('/api/console');
  } catch (err) {
    if (err.status !== 401) replace(app, h('div.alone', problem(err, () => location.reload())));
    return;
  }
  document.documentElement.dataset.service = process.title;
  const known = new Map(process.views.map((v) => [v.name, v]));
  views = all.filter((v) => known.has(v.name));
  replace(app,
    h('header.side',
      h('a.brand', { href: '#/' }, mark(), h('span', process.title)),
      h('nav', { 'aria-label': 'Views' }, views.map((v) => {
        const link = h('a', { href: `#/${v.name}`, 'data-view': v.name }, icon(v.icon), h('span', v.title));
        if (!known.get(v.name).available) link.classList.add('away');
        return link;
      })),
      h('div.side-foot',
        h('p.mute.roles', process.roles.map((r) => h('span', r))),
        process.peers.length > 0 && h('p.mute', 'Peers ', process.peers.map((p) => h('a', { href: p.url }, p.name))),
        themeChoice(),
        process.login && h('button.small', { onclick: logOut }, 'Log out'))),
    main,
    h('div#toasts', { role: 'status', 'aria-live': 'polite' }));
  route();
}

async function route() {
  if (!process) return;
  const [path, query = ''] = location.hash.replace(/^#\/?/, '').split('?');
  const [name = '', ...rest] = path.split('/').map(decode);
  const view = views.find((v) => v.name === (name || views[0].name));
  for (const link of app.querySelectorAll('nav [data-view]')) {
    if (link.dataset.view === view?.name) set(link, { 'aria-current': 'page' });
    else link.removeAttribute('aria-current');
  }
  app.querySelector('nav [aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  leave.abort();
  leave = new AbortController();
  const { signal } = leave;
  const root = h('div.view', loading());
  replace(main, root);
  scrollTo(0, 0);
  if (!view) {
    replace(root, pageHead('No such page'), notice('warn', 'There is nothing at this address.'));
    return;
  }
  const part = process.views.find((v) => v.name === view.name);
  if (!part.available) {
    replace(root, pageHead(view.title), elsewhere(part));
    return;
  }
  try {
    const { show } = await import(`./views/${view.name}.js`);
    if (signal.aborted) return;
    root.replaceChildren();
    await show(root, { path: rest, query: new URLSearchParams(query), process }, signal);
  } catch (err) {
    if (!signal.aborted && err.name !== 'AbortError' && err.status !== 401) replace(root, pageHead(view.title), problem(err, () => route()));
  }
}

function decode(part) {
  try { return decodeURIComponent(part); } catch { return part; }
}

// elsewhere says which process has a view.
function elsewhere(part) {
  return notice('info',
    h('p', `This process can’t show this view: the view needs ${part.needs}.`),
    process.peers.length > 0
      ? h('p', 'Other processes: ', process.peers.map((p) => h('a.peer', { href: `${p.url}/#/${part.name}` }, p.name)))
      : h('p.mute', 'The setting admin.peers can name the other processes.'));
}

function showLogin() {
  process = null;
  leave.abort();
  const token = h('input', { type: 'password', name: 'token', autocomplete: 'current-password', required: true, spellcheck: 'false' });
  const said = h('div');
  const form = h('form.login', {
    onsubmit: async (e) => {
      e.preventDefault();
      try {
        await post('/api/session', { token: token.value.trim() });
        start();
      } catch (err) {
        replace(said, problem(err));
        token.select();
      }
    },
  },
  h('div.brand', mark(), h('span', 'Console')),
  h('h1', 'Log in'),
  field('Token', token, 'A token with the scope operate. This browser keeps the token in a cookie until the browser ends or you log out.'),
  said,
  h('div.actions', h('button.primary', { type: 'submit' }, 'Log in')));
  document.title = 'Log in · Console';
  replace(app, h('main#main.alone', { tabindex: -1 }, form));
  token.focus();
}

async function logOut() {
  await del('/api/session');
  showLogin();
}

function themeChoice() {
  const choice = h('select', {
    'aria-label': 'Theme',
    onchange: () => {
      localStorage.setItem('theme', choice.value);
      if (choice.value === 'auto') delete document.documentElement.dataset.theme;
      else document.documentElement.dataset.theme = choice.value;
      document.dispatchEvent(new Event('themechange'));
    },
  }, [['auto', 'System theme'], ['light', 'Light'], ['dark', 'Dark']].map(([v, t]) => h('option', { value: v }, t)));
  choice.value = localStorage.getItem('theme') ?? 'auto';
  return choice;
}

function icon(d) {
  return h('svg.icon', { viewBox: '0 0 24 24', 'aria-hidden': 'true' }, h('path', { d }));
}

function mark() {
  return h('svg.mark', { viewBox: '0 0 32 32', 'aria-hidden': 'true' },
    h('rect', { width: 32, height: 32, rx: 7 }),
    ['M6 11c3.3-3 6.7-3 10 0s6.7 3 10 0', 'M6 17c3.3-3 6.7-3 10 0s6.7 3 10 0', 'M6 23c3.3-3 6.7-3 10 0s6.7 3 10 0'].map((d) => h('path', { d })));
}

