// Charts over time, drawn by uPlot. A chart loads uPlot when the chart is first shown.

import { h } from './dom.js';
import { none } from './format.js';

// colour is a colour of the style sheet as the theme has it now.
function colour(name) {
  const probe = h('span', { style: { color: `var(${name})` }, hidden: true });
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' });
const second = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });

// shortest is the least time in a chart, in seconds.
const shortest = 60;

// steps are the steps between the ticks of numbers.
const steps = [1, 2, 5].flatMap((n) => [0, 1, 2, 3, 4, 5, 6, 7, 8].map((e) => n * 10 ** e)).sort((a, b) => a - b);

// chart makes a card with a chart. Each series has label, colour (the name of a custom property), and
// value(v), the text of a figure. set(times, columns) draws: times in seconds, a column for each series.
// series can be changed by set's third parameter. A chart of numbers has no ticks between integers.
export function chart({ title, series, value, span = 900, note = '', integers = false }, signal) {
  const box = h('div.chart-box');
  const legend = h('ul.legend');
  const el = h('section.card.chart', h('h2', title, note && h('span.mute', ` ${note}`)), box, legend);
  let plot = null;
  let data = [[], ...series.map(() => [])];
  let shown = series;
  let figures = [];
  let at = h('span.mute');

  const drawLegend = () => {
    figures = shown.map(() => h('b.num', none));
    at = h('li.mute.when');
    legend.replaceChildren(...shown.map((s, i) => {
      const swatch = h('span.swatch', { style: { background: `var(${s.colour})` }, 'aria-hidden': 'true' });
      return h('li', swatch, s.label, ' ', figures[i]);
    }), at);
  };
  const say = (index) => {
    shown.forEach((_, i) => {
      const v = data[i + 1]?.[index];
      const text = v === null || v === undefined ? none : value(v);
      if (figures[i].textContent !== text) figures[i].textContent = text;
    });
    const t = data[0][index];
    const when = t === undefined || index === data[0].length - 1 ? '' : second.format(t * 1000);
    if (at.textContent !== when) at.textContent = when;
  };

  const size = () => ({ width: Math.max(box.clientWidth, 120), height: 150 });
  const draw = async () => {
    const { default: UPlot } = await import('./vendor/uPlot.js');
    if (signal.aborted) return;
    plot?.destroy();
    const axis = { stroke: colour('--mute'), grid: { stroke: colour('--line'), width: 1 }, ticks: { show: false }, font: '11px system-ui, sans-serif' };
    plot = new UPlot({
      ...size(),
      padding: [8, 26, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
      scales: {
        x: { time: true, range: (_, min, max) => (max === null ? [0, 1] : [Math.max(max - span, Math.min(min, max - shortest)), max]) },
        y: { range: (_, min, max) => [0, integers ? Math.max(Math.ceil(max * 1.08), 4) : max > 0 ? max * 1.08 : 1] },
      },
      axes: [
        { ...axis, size: 26, space: 80, values: (_, ticks) => ticks.map((t) => (t % 60 === 0 ? clock : second).format(t * 1000)) },
        { ...axis, size: 54, space: 30, ...(integers ? { incrs: steps } : {}), values: (_, ticks) => ticks.map((v) => value(v)) },
      ],
      series: [{}, ...shown.map((s) => ({
        label: s.label, stroke: colour(s.colour), width: 1.5, points: { show: false },
        fill: s.fill ? `color-mix(in srgb, ${colour(s.colour)} 14%, transparent)` : undefined,
      }))],
      hooks: { setCursor: [(u) => say(u.cursor.idx ?? data[0].length - 1)] },
    }, data, box);
  };
  drawLegend();

  el.set = (times, columns, other) => {
    data = [times, ...columns];
    if (other && other.map((s) => s.label).join('\n') !== shown.map((s) => s.label).join('\n')) {
      shown = other;
      drawLegend();
      draw();
    } else if (plot) {
      plot.setData(data);
    }
    if (!plot?.cursor || plot.cursor.idx === null || plot.cursor.idx === undefined) say(times.length - 1);
  };

  const resized = new ResizeObserver(() => { if (plot) plot.setSize(size()); else if (box.clientWidth > 0) draw(); });
  resized.observe(box);
  const again = () => { if (plot) draw(); };
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', again, { signal });
  document.addEventListener('themechange', again, { signal });
  signal.addEventListener('abort', () => { resized.disconnect(); plot?.destroy(); plot = null; }, { once: true });
  return el;
}
