// A form for a JSON Schema. A form has the element, value() for the value as JSON, and mark(errors)
// for problems of the command service, whose pointers begin with /payload.

import { h, replace } from './dom.js';
import { field } from './components.js';

// formOf makes the form of a payload. An example fills the placeholders.
export function formOf(schema, example) {
  const fields = new Map(); // by pointer
  const top = member({ ...schema, $defs: undefined }, { defs: schema.$defs ?? {}, fields, pointer: '/payload', example, required: true, label: '' });
  return {
    element: top.element,
    value: () => top.value() ?? {},
    mark: (errors) => mark(fields, errors),
  };
}

// mark shows each error at the field of its pointer, and says how many errors have a field.
export function mark(fields, errors) {
  for (const f of fields.values()) f('');
  const known = errors.filter((e) => fields.has(e.pointer));
  for (const e of known) fields.get(e.pointer)(e.detail);
  return known.length;
}

// resolve follows references, and keeps a description beside the reference.
function resolve(schema, defs, depth = 0) {
  const to = /^#\/\$defs\/(.+)$/.exec(schema?.$ref ?? '')?.[1];
  if (!to || depth > 16) return schema ?? {};
  const { $ref, ...beside } = schema;
  return { ...resolve(defs[to], defs, depth + 1), ...beside };
}

const scalar = new Set(['string', 'integer', 'number', 'boolean', 'null']);
const typesOf = (schema) => [schema.type ?? []].flat();

// kindOf says which input a schema gets.
function kindOf(schema, defs) {
  if (schema.enum || schema.const !== undefined) return 'choice';
  const union = schema.oneOf ?? schema.anyOf;
  const types = union ? union.flatMap((s) => typesOf(resolve(s, defs))) : typesOf(schema);
  const some = types.filter((t) => t !== 'null');
  if (some.length === 0 || !types.every((t) => scalar.has(t))) {
    if (!union && types.length > 0 && some.length === 1 && some[0] === 'object' && schema.properties) return 'object';
    if (!union && some.length === 1 && some[0] === 'array') return 'array';
    return 'json';
  }
  if (some.length === 1 && some[0] === 'boolean') return 'boolean';
  if (some.every((t) => t === 'integer' || t === 'number')) return 'number';
  return some.includes('integer') || some.includes('number') ? 'mixed' : 'text';
}

function member(raw, at) {
  const schema = resolve(raw, at.defs);
  switch (kindOf(schema, at.defs)) {
    case 'object': return object(schema, at);
    case 'array': return array(schema, at);
    case 'boolean': return boolean(at, schema);
    case 'choice': return choice(schema, at);
    case 'number': return input(at, schema, { inputmode: 'decimal' }, (text) => numberOf(text));
    case 'mixed': return input(at, schema, {}, (text) => (/^(0|[1-9]\d{0,15})$/.test(text) && Number.isSafeInteger(Number(text)) ? Number(text) : text));
    case 'text': return input(at, schema, {}, (text) => text);
    default: return anyJSON(at, schema);
  }
}

// numberOf reads a number; another text stays as it is, for the command service to refuse.
function numberOf(text) {
  const n = Number(text);
  return text.trim() !== '' && Number.isFinite(n) ? n : text;
}

// labelled puts an input below its label, with a place for what is wrong.
export function labelled(at, schema, control, hint = schema.description) {
  const wrong = h('p.wrong', { role: 'alert' });
  const el = field(at.required || !at.label ? at.label || 'Value' : `${at.label} (optional)`, control, hint);
  el.append(wrong);
  at.fields.set(at.pointer, (text) => {
    wrong.textContent = text;
    if (text) control.setAttribute('aria-invalid', 'true');
    else control.removeAttribute('aria-invalid');
  });
  return el;
}

const placeholder = (example) => (example === undefined || typeof example === 'object' ? '' : String(example));

function input(at, schema, attributes, valueOf) {
  const long = schema.type === 'string' && (schema.maxLength > 400 || schema.contentMediaType);
  const control = h(long ? 'textarea' : 'input', {
    name: at.pointer, spellcheck: 'false', autocapitalize: 'off', autocomplete: 'off', placeholder: placeholder(at.example), ...attributes,
  });
  return {
    element: labelled(at, schema, control),
    value: () => (control.value === '' && !at.required ? undefined : valueOf(control.value)),
  };
}

function boolean(at, schema) {
  return select(at, schema, [['true', true], ['false', false]]);
}

function choice(schema, at) {
  const values = schema.const !== undefined ? [schema.const] : schema.enum;
  return select(at, schema, values.map((v) => [typeof v === 'string' ? v : JSON.stringify(v), v]));
}

function select(at, schema, pairs) {
  const control = h('select', { name: at.pointer }, !at.required && h('option', { value: '' }, 'left out'),
    pairs.map(([text], i) => h('option', { value: String(i) }, text)));
  return { element: labelled(at, schema, control), value: () => (control.value === '' ? undefined : pairs[Number(control.value)][1]) };
}

function object(schema, at) {
  const required = new Set(schema.required ?? []);
  const names = Object.keys(schema.properties).sort((a, b) => rank(a) - rank(b) || (required.has(b) - required.has(a)));
  function rank(name) { return name === 'id' ? 0 : 1; }
  const members = names.map((name) => [name, member(schema.properties[name], {
    ...at, pointer: `${at.pointer}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`, label: name, required: required.has(name), example: at.example?.[name],
  })]);
  const inner = h('div.members', members.map(([, m]) => m.element));
  const element = at.label ? h('fieldset', h('legend', at.required ? at.label : `${at.label} (optional)`), inner) : inner;
  return {
    element,
    value: () => {
      const out = {};
      for (const [name, m] of members) {
        const v = m.value();
        if (v !== undefined) out[name] = v;
      }
      return Object.keys(out).length === 0 && !at.required ? undefined : out;
    },
  };
}

function array(schema, at) {
  const items = [];
  const box = h('div.members');
  const draw = () => replace(box, items.map((item, i) => h('div.item', item.element,
    h('button.small', { type: 'button', 'aria-label': `Remove ${at.label} ${i + 1}`, onclick: () => { items.splice(i, 1); draw(); } }, 'Remove'))));
  const add = () => {
    const i = items.length;
    items.push(member(schema.items ?? {}, { ...at, pointer: `${at.pointer}/${i}`, label: `${at.label} ${i + 1}`, required: true, example: at.example?.[0] }));
    draw();
  };
  return {
    element: h('fieldset', h('legend', at.required ? at.label : `${at.label} (optional)`), box, h('button.small', { type: 'button', onclick: add }, 'Add')),
    value: () => (items.length === 0 && !at.required ? undefined : items.map((item) => item.value())),
  };
}

// anyJSON is the input for values of any form, as JSON.
function anyJSON(at, schema) {
  const control = h('textarea', { name: at.pointer, rows: 3, spellcheck: 'false', placeholder: at.example === undefined ? '' : JSON.stringify(at.example) });
  return {
    element: labelled(at, schema, control, 'JSON'),
    value: () => {
      if (control.value.trim() === '' && !at.required) return undefined;
      try { return JSON.parse(control.value); } catch { return control.value; }
    },
  };
}
