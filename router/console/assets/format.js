// Figures as people read figures. The unit of a time is the second.

const plain = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const one = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });

// none stands in the place of an unknown figure.
export const none = '–';

const known = (v) => v !== null && v !== undefined && Number.isFinite(v);

export const number = (v) => (known(v) ? plain.format(v) : none);

// rate is a number a second: one digit behind the point below 10.
export const rate = (v) => (known(v) ? (v < 10 ? one : plain).format(v) : none);

// duration is a time in the unit that suits: 0.4 ms, 12 ms, 3.2 s, 5 min, 2 h, 3 d.
export function duration(seconds) {
  if (!known(seconds)) return none;
  const s = Math.abs(seconds);
  if (s === 0) return '0';
  if (s < 0.01) return `${one.format(s * 1e3)} ms`;
  if (s < 1) return `${plain.format(s * 1e3)} ms`;
  if (s < 100) return `${one.format(s)} s`;
  if (s < 7200) return `${plain.format(s / 60)} min`;
  if (s < 172800) return `${plain.format(s / 3600)} h`;
  return `${plain.format(s / 86400)} d`;
}

export function bytes(n) {
  if (!known(n)) return none;
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let i = 0;
  while (n >= 1024 && i < units.length - 1) { n /= 1024; i++; }
  return `${(i === 0 ? plain : one).format(n)} ${units[i]}`;
}

const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const day = new Intl.DateTimeFormat('en-CA', { year: 'numeric', month: '2-digit', day: '2-digit' });

// time is a time of this day as 09:30:01, another time as 2026-03-01 09:30:01, in the browser's zone.
export function time(iso, withMillis = false) {
  const at = new Date(iso);
  if (Number.isNaN(at.getTime())) return none;
  const millis = withMillis ? `.${String(at.getMilliseconds()).padStart(3, '0')}` : '';
  const today = day.format(at) === day.format(new Date());
  return (today ? '' : `${day.format(at)} `) + clock.format(at) + millis;
}

// ago is the time since then: "3 min ago".
export function ago(iso, now = Date.now()) {
  const seconds = (now - new Date(iso).getTime()) / 1000;
  if (!known(seconds)) return none;
  return seconds < 1 ? 'now' : `${duration(seconds)} ago`;
}

// count is a number with its noun: "1 stream", "2 streams".
export const count = (n, noun, plural = `${noun}s`) => `${number(n)} ${n === 1 ? noun : plural}`;
