// The speeds of the replayed vehicles as one drawing, with a cursor at the time that is played; a click goes there.
import { el, svg } from './dom.js';
import { SILENT_MS } from './replay_player.js';
import { clock, t } from './words.js';

const HEIGHT = 110, LEFT = 34, FOOT = 16, HEAD = 6;
const words = (text, given) => { const made = svg('text', given); made.textContent = text; return made; };

export class SpeedCurve {
  constructor(place, go) {
    Object.assign(this, { place, go, drawn: null, width: 0, fromMs: 0, untilMs: 0 });
    new ResizeObserver(() => { if (this.drawn && place.clientWidth !== this.width) this.draw(...this.drawn); }).observe(place);
    this.cursor = svg('line', { class: 'cursor', y1: HEAD - 4, y2: HEIGHT - FOOT });
  }

  x(ms) { return LEFT + ((ms - this.fromMs) / (this.untilMs - this.fromMs)) * (this.width - LEFT - 4); }

  /** ``vehicles``: with colour, points and stops; none: words in the place of the drawing. */
  draw(vehicles, fromMs, untilMs, followed) {
    Object.assign(this, { fromMs, untilMs, drawn: [vehicles, fromMs, untilMs, followed], width: Math.max(240, this.place.clientWidth) });
    if (!vehicles.some(({ points }) => points.length)) { this.place.replaceChildren(el('p.empty', {}, t('noSpeeds'))); return; }
    const top = Math.max(20, ...vehicles.flatMap(({ points }) => points.map((point) => point[3] ?? 0))) * 1.05;
    const y = (kmh) => HEAD + (1 - kmh / top) * (HEIGHT - HEAD - FOOT);
    const rules = [0, Math.round(top / 20) * 10].flatMap((kmh) => [svg('line', { class: 'rule', x1: LEFT, x2: this.width - 4, y1: y(kmh), y2: y(kmh) }), words(String(kmh), { x: LEFT - 5, y: y(kmh) + 4, 'text-anchor': 'end' })]);
    const times = [0, 1, 2, 3, 4].map((quarter) => { const ms = fromMs + ((untilMs - fromMs) * quarter) / 4; return words(clock(ms).slice(0, 5), { x: this.x(ms), y: HEIGHT - 3, 'text-anchor': ['start', 'middle', 'middle', 'middle', 'end'][quarter] }); });
    const stops = vehicles.flatMap(({ colour, stops: found }) => found.map((stop) => svg('rect', { class: 'stop', x: this.x(stop.from_ms), width: Math.max(2, this.x(stop.until_ms) - this.x(stop.from_ms)), y: HEIGHT - FOOT - 3, height: 3, fill: colour })));
    const lines = vehicles.map(({ vehicle_id: id, colour, points }) => { const line = svg('path', { class: id === followed ? 'way followed' : 'way', d: this.path(points, y) }); line.style.setProperty('--c', colour); return line; });
    const drawn = svg('svg', { viewBox: `0 0 ${this.width} ${HEIGHT}`, class: 'curve speeds', role: 'img', 'aria-label': t('replaySpeedCurve') }, words(t('replaySpeedCurve'), { x: LEFT + 4, y: HEAD + 6 }), ...rules, ...times, ...stops, ...lines, this.cursor);
    drawn.addEventListener('click', (event) => { const box = drawn.getBoundingClientRect(); this.go(fromMs + ((((event.clientX - box.left) / box.width) * this.width - LEFT) / (this.width - LEFT - 4)) * (untilMs - fromMs)); });
    this.place.replaceChildren(drawn);
    this.moveTo(this.atMs ?? fromMs);
  }

  path(points, y) {
    let before = null;
    return points.filter((point) => point[3] !== null).map(([ms, , , kmh]) => { const step = before === null || ms - before > SILENT_MS ? 'M' : 'L'; before = ms; return `${step}${this.x(ms).toFixed(1)} ${y(kmh).toFixed(1)}`; }).join('');
  }

  moveTo(ms) {
    this.atMs = ms;
    if (this.untilMs <= this.fromMs) return;
    const x = this.x(ms).toFixed(1); this.cursor.setAttribute('x1', x); this.cursor.setAttribute('x2', x);
  }
}
