// Every element of the console is made here. A string becomes a text node, never HTML: the
// Content-Security-Policy forbids innerHTML (Trusted Types), for the text of users is only text.

const svgNames = new Set(['svg', 'path', 'g', 'circle', 'rect', 'line']);

// h makes an element: h('button.primary', {onclick: f, disabled: true}, 'text', node, [nodes]).
// The first word is a tag with classes and an id. on… members are listeners, true and false
// are attributes with and without, null and undefined are left out; `style` is an object.
export function h(what, ...rest) {
  const [, tag, marks] = /^([a-z0-9-]*)(.*)$/.exec(what);
  const name = tag || 'div';
  const el = svgNames.has(name)
    ? document.createElementNS('http://www.w3.org/2000/svg', name)
    : document.createElement(name);
  for (const mark of marks.match(/[.#][^.#]+/g) ?? []) {
    if (mark[0] === '#') el.id = mark.slice(1);
    else el.classList.add(mark.slice(1));
  }
  if (isAttributes(rest[0])) set(el, rest.shift());
  append(el, rest);
  return el;
}

const isAttributes = (v) => v !== null && typeof v === 'object' && !Array.isArray(v) && !(v instanceof Node);

// set sets attributes and listeners of an element.
export function set(el, attributes) {
  for (const [name, v] of Object.entries(attributes)) {
    if (name.startsWith('on')) {
      if (typeof v !== 'function') throw new TypeError(`${name} is no function`);
      el.addEventListener(name.slice(2), v);
    } else if (name === 'style') {
      for (const [property, value] of Object.entries(v)) el.style.setProperty(property, value);
    } else if (name === 'value') {
      el.value = v ?? '';
    } else if (name === 'href') {
      el.setAttribute('href', safeURL(v));
    } else if (v === true) {
      el.setAttribute(name, '');
    } else if (v !== false && v !== null && v !== undefined) {
      el.setAttribute(name, v);
    }
  }
  return el;
}

// safeURL lets addresses of pages through, and no javascript:.
function safeURL(text) {
  return /^(#|\/|https?:\/\/)/.test(text) ? text : '#';
}

function append(el, children) {
  for (const child of children) {
    if (Array.isArray(child)) append(el, child);
    else if (child !== null && child !== undefined && child !== false) el.append(child instanceof Node ? child : String(child));
  }
}

// replace puts new children in the place of all children.
export function replace(el, ...children) {
  const fresh = document.createDocumentFragment();
  append(fresh, children);
  el.replaceChildren(fresh);
  return el;
}

// text changes an element's text, if the text is another one.
export function text(el, value) {
  const now = String(value);
  if (el.textContent !== now) el.textContent = now;
  return el;
}
