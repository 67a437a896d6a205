// The Live page: brings state, positions, map, lists and panels together; keys and links.
import { $, el } from './dom.js';
import { fleet, followPositions, renewIds, numberOf, STATES, vehicleCount } from './fleet.js';
import { clearFilters, filtered, keepFilters, keepInAddress, offerFilters, restoreFilters } from './filters.js';
import { drawHeader, sayFresh } from './header.js';
import { attachHeat, drawHeatLayer, loadHeat, prepareHeat } from './heat.js';
import { draw, lists, show, TABS } from './lists.js';
import { hasWebgl, LiveMap, THEMES } from './map.js';
import { close, incidentPanel, nothingKnown, open, vehiclePanel } from './panels.js';
import { Replay } from './replay.js';
import { OutletsView } from './outlets.js';
import { PolicyView } from './policy.js';
import { follow, on, state } from './store.js';
import { bringTiles } from './tiles.js';
import { drawView } from './views.js';
import { isWall, startWall } from './wall.js';
import { number, t, translate } from './words.js';

const map = hasWebgl() ? new LiveMap(({ number, zone }) => (zone ? showZone(zone) : go({ vehicle: fleet.rows[number]?.[0] }))) : null;
const replay = new Replay(map);
new PolicyView(map);
new OutletsView(map);
bringTiles(map);
let chosen = {}; // {incident: id} or {vehicle: id}

// --- what is chosen is in the address, so that it can be linked to ---
const asked = () => Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
const go = (target) => { const [[key, value]] = Object.entries(target); if (value) location.hash = `${key}=${encodeURIComponent(value)}`; };
const leave = () => { history.pushState(null, '', location.pathname + location.search); choose(); };

async function choose(goes = true) {
  const { incident, vehicle, view } = asked(), before = chosen, wasInPanel = $('panel').contains(document.activeElement);
  chosen = incident ? { incident } : vehicle ? { vehicle } : {};
  lists.chosen = incident ?? null;
  drawView(incident || vehicle ? null : view);
  replay.show(!incident && !vehicle && view === 'replay');
  draw();
  if (!incident && !vehicle) { close(); map?.mark({}); if (wasInPanel) focusRow(before); return; }
  await refresh(goes);
  if (isWriting()) return; // whoever was quicker than the answer stays where they are
  $('panel').scrollTop = 0;
  $('panel').focus({ preventScroll: true });
}
/** Back in the list: on the row that was looked at. */
function focusRow({ incident, vehicle }) {
  const row = $('list').querySelector(incident ? `[data-incident="${CSS.escape(incident)}"]` : `[data-vehicle="${CSS.escape(vehicle ?? '')}"]`);
  (row ?? $('list')).focus();
}
async function refresh(goes = false) {
  const { incident, vehicle } = chosen;
  try {
    const found = incident ? await incidentPanel(incident) : await vehiclePanel(vehicle);
    if (incident !== chosen.incident || vehicle !== chosen.vehicle) return;
    open(found);
    map?.mark(found.mark, goes);
  } catch (error) {
    const isOther = incident !== chosen.incident || vehicle !== chosen.vehicle;
    if (isOther || (error instanceof TypeError && $('panel').firstChild)) return; // without a connection what is shown stays
    open(nothingKnown(error.status === 404 ? t(incident ? 'unknownIncident' : 'unknownVehicle') : error.message));
  }
}
/** A reason that is being written is not taken away. */
const isWriting = () => document.activeElement?.matches('#panel .told input');

function showZone(zone) {
  if (chosen.incident || chosen.vehicle) leave();
  showTab('zones');
  const section = $(`zone-${zone}`);
  section?.scrollIntoView({ block: 'nearest' });
  section?.focus({ preventScroll: true });
}

// --- what changes is drawn: lists at most so often ---
let later = null;
const drawSoon = () => { later ??= setTimeout(() => { later = null; if (isBusy($('list'))) { drawSoon(); return; } offerFilters(); draw(); }, 150); };
on('loaded', () => { renewIds(); drawHeader(); offerFilters(); draw(); map?.drawZones(); map?.drawBasemap(); if (chosen.incident || chosen.vehicle) { if (!isWriting()) refresh(); } else if (location.hash) choose(); });
on('header', drawHeader);
on('views', () => { drawView(asked().view); if (lists.tab === 'heat') loadHeat().then(draw); });
on('zones', () => { map?.drawZones(); if (lists.tab === 'zones') draw(); });
on('basemap', () => map?.drawBasemap());
on('fresh', sayFresh);
on('incident', ({ detail }) => {
  drawSoon();
  if (detail.incident_id === chosen.incident) refreshAnswers(detail.incident_id);
});
const refreshAnswers = (id) => { if (!isWriting()) refresh(); else setTimeout(() => { if (chosen.incident === id && !isWriting()) refresh(); }, 3000); };
on('unmasked', () => refresh());
on('track', () => { if (chosen.vehicle && !isWriting()) refresh(); });
let ticks = 0;
on('tick', () => {
  map?.tick();
  ticks += 1;
  document.documentElement.dataset.ticks = ticks;
  if (lists.tab === 'vehicles' && !isBusy($('list')) && ticks % 2 === 0) draw();
  if (chosen.vehicle && ticks % 5 === 0 && !isWriting()) refresh();
  $('n-vehicles').textContent = number(vehicleCount());
});
on('vehicles', () => { if (lists.tab === 'vehicles') draw(); });
const isBusy = (element) => element.matches(':active');

function drawLegend() {
  const theme = THEMES[window.prefs.theme];
  const key = (kind, name, colour) => { const mark = el(`i.${kind}.${name}`); mark.style.setProperty('--c', colour); return el('li', {}, mark, t(name)); };
  const levels = new Set(state.zones.map((zone) => zone.level));
  $('legend').replaceChildren(...STATES.map((name, place) => key('mark', name, theme.states[place])), ...Object.entries(theme.zones).filter(([level]) => levels.has(level)).map(([level, colour]) => key('area', level, colour)),
    el('li', {}, el('button.link', { type: 'button', onclick: () => map?.fit() }, t('fit'))), el('li', {}, el('a', { href: '?wall' }, t('wall'))));
}
on('loaded zones', drawLegend);

// --- language and theme ---
addEventListener('prefs', () => { translate(); drawView(asked().view); $('lang').textContent = window.prefs.lang === 'zh' ? 'En' : '中'; drawHeader(); offerFilters(); draw(); drawLegend(); sayNoMap(); map?.restyle(); if (chosen.incident || chosen.vehicle) refresh(); });
$('lang').addEventListener('click', () => window.prefs.set('lang', window.prefs.lang === 'zh' ? 'en' : 'zh'));
$('theme').addEventListener('click', () => window.prefs.set('theme', window.prefs.theme === 'dark' ? 'light' : 'dark'));
let isLost = false; // the browser has taken the map's drawing away, as it does when the machine wakes or its graphics start anew
function sayNoMap() {
  $('no-map').hidden = Boolean(map) && !isLost;
  $('no-map').textContent = !map ? t('noWebgl') : isLost ? t('webglLost') : '';
  document.body.classList.toggle('without-map', !map);
}

// --- hands ---
document.addEventListener('click', (event) => {
  const target = event.target.closest('[data-incident],[data-vehicle],[data-close]');
  if (!target) return;
  if ('close' in target.dataset) leave();
  else go(target.dataset.incident ? { incident: target.dataset.incident } : { vehicle: target.dataset.vehicle });
});
const showTab = (name) => {
  show(name);
  keepInAddress({ tab: name === 'heat' ? name : '' });
  drawHeatLayer(name === 'heat');
  if (name === 'heat') loadHeat().then(draw);
};
for (const name of TABS) $(`tab-${name}`).addEventListener('click', () => { if (chosen.incident || chosen.vehicle) leave(); showTab(name); });
$('filters').addEventListener('input', () => { lists.shown = 150; keepFilters(); draw(); });
$('clear').addEventListener('click', () => { clearFilters(); draw(); $('search').focus(); });
$('filters').addEventListener('submit', (event) => event.preventDefault());
addEventListener('hashchange', () => choose());
addEventListener('popstate', () => { if (!location.hash) choose(); });

function move(step) {
  if (document.activeElement?.role !== 'tab') return false;
  const next = TABS[(TABS.indexOf(lists.tab) + step + TABS.length) % TABS.length];
  showTab(next);
  $(`tab-${next}`).focus();
  return true;
}
function moveInList(step) {
  const { activeElement: focused } = document, rows = [...$('list').querySelectorAll('[data-incident],[data-vehicle]')];
  if (!rows.length || !(focused === document.body || $('side').contains(focused)) || !$('list').checkVisibility() || !$('panel').hidden) return false;
  const at = rows.indexOf(focused);
  rows[at < 0 ? 0 : Math.max(0, Math.min(rows.length - 1, at + step))].focus();
  return true;
}
function search() {
  if (!document.querySelector('main').checkVisibility() || !$('side').checkVisibility()) return false;
  if (chosen.incident || chosen.vehicle) leave();
  if (!$('search').checkVisibility()) showTab('incidents');
  $('search').focus();
  return true;
}
document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const isTyping = ['INPUT', 'TEXTAREA', 'SELECT'].includes(event.target.tagName);
  if (event.key === 'Escape' && (chosen.incident || chosen.vehicle)) leave();
  if (isTyping || replay.isOpen) return;
  const keys = { '/': search, ArrowDown: () => moveInList(1), ArrowUp: () => moveInList(-1), j: () => moveInList(1), k: () => moveInList(-1), ArrowLeft: () => move(-1), ArrowRight: () => move(1) };
  if (event.target.closest('#map') || !keys[event.key]) return;
  if (keys[event.key]()) event.preventDefault();
});
// Where a region has the keyboard because a script put it there, a ring around it says so to those who use keys.
document.addEventListener('keydown', () => { document.documentElement.dataset.keys = ''; }, true);
document.addEventListener('pointerdown', () => { delete document.documentElement.dataset.keys; }, true);
/** What the link at the page's beginning leads to: the panel, the view or the list, whichever is there. */
document.querySelector('.skip').addEventListener('click', (event) => {
  event.preventDefault();
  ['panel', 'view', 'policy-panel', 'replay', 'outlets-side', 'list'].map($).find((one) => one?.checkVisibility())?.focus();
});

for (const event of ['webglcontextlost', 'webglcontextrestored']) map?.map.on(event, () => { isLost = event === 'webglcontextlost'; sayNoMap(); });

translate();
$('lang').textContent = window.prefs.lang === 'zh' ? 'En' : '中';
sayNoMap();
restoreFilters();
prepareHeat();
if (map) attachHeat(map);
showTab(new URLSearchParams(location.search).get('tab') === 'heat' ? 'heat' : 'incidents');
drawView(asked().view);
drawHeader();
follow();
followPositions();
if (isWall()) startWall(map);
window.yicheng = { fleet, numberOf, filtered, state, map, replay };
