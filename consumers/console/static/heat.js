// Incidents by street and hour: cells coloured by count on the map, and beside it an hour, a legend and a table that says the same.
import { $, el, svg } from './dom.js';
import { asked, keepInAddress, nameOf } from './filters.js';
import { ask, state, whyUnknown } from './store.js';
import { minutes, number, t } from './words.js';

const ALL = -1;
const MOST_ROWS = 200;
const CLOSE_ZOOM = 13.5; // from there on cells are drawn as squares, below it as dots
const COLOURS = { light: ['#f7c948', '#f08c2e', '#e0522d', '#b81f24', '#6d0f1c'], dark: ['#8a5a14', '#c77a1a', '#f0913a', '#ffb870', '#fff0d0'] };
const EMPTY = { type: 'FeatureCollection', features: [] };
let found = null;
let read = '';
let failure = null;
let version = 0;
let map = null;
let isShown = false;

const hourAsked = () => { const hour = Number.parseInt(asked('hour') ?? '', 10); return hour >= 0 && hour < 24 ? hour : ALL; };
const hour = () => Number($('heat-hour').value);
const clockOf = (h) => `${String(h).padStart(2, '0')}:00–${String(h + 1).padStart(2, '0')}:00`;
const counted = (cell) => cell.counts.filter(([h, rule]) => (hour() === ALL || h === hour()) && (!$('f-rule').value || rule === $('f-rule').value));
const sum = (counts) => counts.reduce((total, [, , n]) => total + n, 0);

/** Where each of five colours begins, for counts up to a largest one: each count its own, or in equal ratios. */
export function classesOf(largest) {
  if (largest <= 5) return [1, 2, 3, 4, 5].slice(0, Math.max(1, largest));
  return [...new Set([0, 1, 2, 3, 4].map((place) => Math.round((largest + 1) ** (place / 5))))];
}

export async function loadHeat() {
  try {
    const heat = await ask('/api/heat'), text = JSON.stringify(heat);
    if (text !== read) [found, read, version] = [heat, text, version + 1];
  } catch (error) { failure = error; } // what was there stays
}

/** Have the map draw it, too; without one the table stands alone. */
export function attachHeat(live) {
  map = live.map;
  map.on('style.load', () => drawHeatLayer(isShown));
}

function addLayers() {
  const byCount = ['step', ['get', 'n'], 'transparent'];
  for (const name of ['heat-cells', 'heat-dots']) if (!map.getSource(name)) map.addSource(name, { type: 'geojson', data: EMPTY });
  if (map.getLayer('heat-dots')) return;
  const above = map.getLayer('vehicles') ? 'vehicles' : undefined;
  map.addLayer({ id: 'heat-cells', type: 'fill', source: 'heat-cells', minzoom: CLOSE_ZOOM, paint: { 'fill-color': [...byCount, 1, '#f00'], 'fill-opacity': 0.75, 'fill-outline-color': 'rgba(27, 39, 51, 0.5)' } }, above);
  map.addLayer({ id: 'heat-dots', type: 'circle', source: 'heat-dots', maxzoom: CLOSE_ZOOM, paint: { 'circle-color': [...byCount, 1, '#f00'], 'circle-opacity': 0.9, 'circle-stroke-color': '#1b2733', 'circle-stroke-opacity': 0.45, 'circle-stroke-width': 1, 'circle-radius': ['interpolate', ['linear'], ['zoom'], 9, 3, 13, 6] } }, above);
}

/** Show or hide the cells; while they are shown the vehicles are not. */
export function drawHeatLayer(shows) {
  isShown = shows;
  if (!map?.getLayer('zones')) return;
  addLayers();
  for (const name of ['vehicles', 'clusters']) if (map.getLayer(name)) map.setLayoutProperty(name, 'visibility', shows ? 'none' : 'visible');
  const cells = shows && found ? found.cells.map((cell) => ({ ...cell, n: sum(counted(cell)) })).filter((cell) => cell.n) : [];
  const colours = COLOURS[window.prefs.theme], classes = classesOf(Math.max(0, ...cells.map((cell) => cell.n)));
  const byCount = ['step', ['get', 'n'], 'transparent', ...classes.flatMap((least, place) => [least, colours[place]])];
  map.setPaintProperty('heat-cells', 'fill-color', byCount);
  map.setPaintProperty('heat-dots', 'circle-color', byCount);
  const features = (shape) => ({ type: 'FeatureCollection', features: cells.map((cell) => ({ type: 'Feature', properties: { n: cell.n }, geometry: shape(cell) })) });
  map.getSource('heat-cells').setData(features(({ box: [west, south, east, north] }) => ({ type: 'Polygon', coordinates: [[[west, south], [east, south], [east, north], [west, north], [west, south]]] })));
  map.getSource('heat-dots').setData(features(({ lon, lat }) => ({ type: 'Point', coordinates: [lon, lat] })));
}

/** How many there are by hour, above the slider. */
function bars() {
  const byHour = new Array(24).fill(0);
  for (const cell of found.cells) for (const [h, rule, n] of cell.counts) if (!$('f-rule').value || rule === $('f-rule').value) byHour[h] += n;
  const most = Math.max(1, ...byHour);
  return svg('svg', { viewBox: '0 0 240 40', class: 'hours', 'aria-hidden': 'true', preserveAspectRatio: 'none' }, ...byHour.map((n, h) => svg('rect', { x: h * 10 + 1, width: 8, y: 40 - Math.max(n ? 2 : 0.6, (n / most) * 40), height: Math.max(n ? 2 : 0.6, (n / most) * 40), class: h === hour() ? 'chosen' : hour() === ALL ? '' : 'other' })));
}

function legend(largest) {
  const colours = COLOURS[window.prefs.theme], classes = classesOf(largest);
  const range = (place) => { const next = classes[place + 1]; return next === undefined ? (classes[place] < largest ? `${number(classes[place])}+` : number(classes[place])) : next - 1 > classes[place] ? `${number(classes[place])}–${number(next - 1)}` : number(classes[place]); };
  return classes.map((_, place) => { const mark = el('i'); mark.style.setProperty('--c', colours[place]); return el('li', {}, mark, range(place)); });
}

function placeOf(cell) {
  const where = `${cell.lat.toFixed(4)}, ${cell.lon.toFixed(4)}`;
  const show = () => map?.easeTo({ center: [cell.lon, cell.lat], zoom: Math.max(15, map.getZoom()), duration: matchMedia('(prefers-reduced-motion: reduce)').matches ? 0 : 500 });
  return el('button.link', { type: 'button', title: t('locate'), onclick: show }, cell.zone_id ? nameOf.zone(cell.zone_id) : where, cell.zone_id ? el('small', {}, where) : null);
}

/** What the table's contents come from: as long as that is the same, rows are not taken from under a pointer. */
export const heatContents = () => JSON.stringify(['heat', version, failure?.message, hour(), $('f-rule').value, window.prefs.lang, window.prefs.theme, state.zones.length]);

/** The table of places, and the bar above it brought up to date. */
export function heatTable() {
  drawHeatLayer(true);
  if (!found) return [el('p.empty', {}, failure ? whyUnknown(failure) : t('loading'))];
  const cells = found.cells.map((cell) => ({ cell, counts: counted(cell) }));
  const largest = Math.max(0, ...cells.map(({ counts }) => sum(counts))), total = cells.reduce((all, { counts }) => all + sum(counts), 0);
  $('heat-when').textContent = hour() === ALL ? t('allHours') : clockOf(hour());
  $('heat-hour').setAttribute('aria-valuetext', $('heat-when').textContent);
  $('heat-bars').replaceChildren(bars());
  $('heat-legend').replaceChildren(...(largest ? legend(largest) : []));
  $('heat-note').textContent = [found.from_ms === null ? '' : minutes(found.from_ms, found.until_ms), found.placeless ? t('placeless', number(found.placeless)) : ''].filter(Boolean).join(' · ');
  $('count').textContent = t('countedAt', number(total), number(cells.filter(({ counts }) => counts.length).length));
  $('clear').hidden = !$('f-rule').value;
  const rows = cells.flatMap(({ cell, counts }) => counts.map(([h, rule, n]) => ({ cell, h, rule, n }))).sort((a, b) => b.n - a.n || a.h - b.h || (a.rule < b.rule ? -1 : 1));
  if (!rows.length) return [el('p.empty', {}, t(found.number ? 'noneThen' : 'noIncidents'))];
  const row = ({ cell, h, rule, n }) => el('tr', {}, el('th', { scope: 'row' }, placeOf(cell)), el('td', {}, clockOf(h).slice(0, 5)), el('td.num', {}, number(n)), el('td', {}, nameOf.rule(rule)));
  const heads = ['place', 'hour', 'countOf', 'rule'].map((key) => el('th', { scope: 'col' }, t(key)));
  return [el('table.heat', {}, el('thead', {}, el('tr', {}, heads)), el('tbody', {}, rows.slice(0, MOST_ROWS).map(row))), rows.length > MOST_ROWS ? el('p.empty', {}, t('newestRows', number(MOST_ROWS), number(rows.length))) : null];
}

/** Begin: the hour that the address says; it is kept there when it changes. */
export function prepareHeat() {
  $('heat-hour').value = String(hourAsked());
  $('heat-hour').addEventListener('input', () => keepInAddress({ hour: hour() === ALL ? '' : String(hour()) }));
}
