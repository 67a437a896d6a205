// The wall: Live, Rates and Outlets in turn, in figures that can be read from 5 m; nobody touches it, so it asks nothing and never stops.
import { me } from './access.js';
import { $, bullet, el } from './dom.js';
import { asked, nameOf } from './filters.js';
import { standsStillSince } from './header.js';
import { subjectOf } from './lists.js';
import { ask, on, state } from './store.js';
import { calendarDay, clock, lang, moment, number, percent, say, t } from './words.js';

const PAGES = ['live', 'rates', 'outlets'];
const EACH_S = 15, LONGEST_S = 3600;
const MOST_INCIDENTS = 5, MOST_ENTERPRISES = 6, MOST_OUTLETS = 8;
let map = null;
let views = null;
let page = 0;

export const isWall = () => asked('wall') !== null;
/** Seconds for each page: what the address says, if it is a number from 1 on. */
export const eachSeconds = (text) => { const seconds = Number(text); return Number.isFinite(seconds) && seconds >= 1 ? Math.min(seconds, LONGEST_S) : EACH_S; };
const isDismissed = (row) => row.answer === 'dismissed';
const open = () => state.newest.filter((row) => row.state === 'open' && !isDismissed(row));
const nowMs = () => state.header?.stream_ms || Date.now();

function live() {
  const rows = open();
  const row = (one) => el(`li.${one.severity}`, {}, el('b', {}, nameOf.rule(one.rule)), el('span', {}, subjectOf(one)), el('time', {}, moment(one.opened_at_ms, nowMs())));
  const left = rows.length - MOST_INCIDENTS;
  return [el('h2', {}, t('wallOpen', number(rows.length))), rows.length ? el('ol', {}, rows.slice(0, MOST_INCIDENTS).map(row)) : el('p', {}, t('wallNoneOpen')), left > 0 ? el('p.quiet', {}, t('wallMore', number(left))) : null];
}

/** Go where the open incidents are; where there are none, to the whole city. */
function fit() {
  const places = open().filter((row) => row.lon !== null && row.lat !== null).map((row) => [row.lon, row.lat]);
  if (!map) return;
  if (!places.length) { map.fit(); return; }
  const bounds = places.reduce((box, place) => box.extend(place), new window.maplibregl.LngLatBounds(places[0], places[0]));
  map.map.fitBounds(bounds, { padding: 90, maxZoom: 14, duration: map.layer.moves ? 800 : 0 });
}

function tile(measure, found) {
  const share = found?.rate, { held: target } = measure; // what the city itself is held against
  const isLow = share !== null && share !== undefined && target !== null && share < target;
  const notes = [measure.target === null ? null : t('target', percent(measure.target, 0)), measure.scope_words ? say(measure.scope_words) : null, found?.forecast === null || found?.forecast === undefined ? null : t('forecast', percent(found.forecast))].filter(Boolean);
  return el('div.tile', {}, el('h3', {}, say(measure)), el(`p.figure${isLow ? '.low' : ''}`, {}, share === null || share === undefined ? '–' : percent(share)), bullet(share, target), el('p', {}, notes.join(' · ')));
}

function rates() {
  const found = views?.rates, city = found?.rows.find((row) => row.enterprise_id === '*');
  if (!city) return [el('h2', {}, t('rates')), el('p', {}, t('noRates'))];
  const shown = found.measures.filter(({ feature, target }) => target !== null && feature in city.rates).slice(0, 2);
  const measures = shown.length ? shown : found.measures.slice(0, 2);
  const rate = (row, feature) => { const share = row.rates[feature]; return share === null || share === undefined ? '–' : percent(share); };
  const targetOf = (row, { feature }) => row.targets?.[feature] ?? null;
  const isLow = (row, measure) => targetOf(row, measure) !== null && typeof row.rates[measure.feature] === 'number' && row.rates[measure.feature] < targetOf(row, measure);
  const gap = (row) => Math.max(0, ...measures.map((measure) => (targetOf(row, measure) ?? 0) - (row.rates[measure.feature] ?? targetOf(row, measure) ?? 0)));
  const worst = found.rows.filter((row) => row.enterprise_id !== '*').sort((a, b) => gap(b) - gap(a) || (b.accepted ?? 0) - (a.accepted ?? 0)).slice(0, MOST_ENTERPRISES);
  return [el('h2', {}, t('ratesOf', calendarDay(found.date))), el('div.tiles', {}, measures.map((measure) => tile({ ...measure, held: city.targets?.[measure.feature] ?? null }, { rate: city.rates[measure.feature], forecast: state.header?.rates[measure.feature]?.forecast }))),
    el('table', {}, el('thead', {}, el('tr', {}, el('th', { scope: 'col' }, t('enterprise')), measures.map((measure) => el('th', { scope: 'col' }, say(measure))))),
      el('tbody', {}, worst.map((row) => el('tr', {}, el('th', { scope: 'row' }, nameOf.enterprise_id(row.enterprise_id)), measures.map((measure) => el(`td${isLow(row, measure) ? '.low' : ''}`, {}, rate(row, measure.feature)))))))];
}

function outlets() {
  const found = views?.outlets.outlets ?? [];
  if (!found.length) return [el('h2', {}, t('outlets')), el('p', {}, t('noOutlets'))];
  const figure = (word, chosen, kind = '') => el('div.tile', {}, el('h3', {}, t(word)), el(`p.figure${kind}`, {}, number(chosen.length)), el('p', {}, percent(chosen.length / found.length, 0)));
  const unfiled = found.filter((one) => one.filed === false);
  return [el('h2', {}, t('wallOutlets', number(found.length))),
    el('div.tiles', {}, figure('onFile', found.filter((one) => one.filed === true)), figure('notFiled', unfiled, unfiled.length ? '.low' : ''), figure('camera', found.filter((one) => one.camera === true)), figure('container', found.filter((one) => one.recycling_container === true))),
    unfiled.length ? el('h3', {}, t('notFiled')) : null, el('ul.names', {}, unfiled.slice(0, MOST_OUTLETS).map((one) => el('li', {}, [one.id, say(state.enterprises[one.enterprise_id]) || one.enterprise_id].filter(Boolean).join(' · ')))),
    unfiled.length > MOST_OUTLETS ? el('p.quiet', {}, t('wallMore', number(unfiled.length - MOST_OUTLETS))) : null];
}

function drawWall() {
  const name = PAGES[page];
  document.documentElement.dataset.wall = name;
  $('wall').lang = lang() === 'zh' ? 'zh-CN' : 'en';
  $('wall').replaceChildren(el('div.page', {}, { live, rates, outlets }[name]().filter(Boolean)));
  const since = standsStillSince(), note = me.isOut ? t('wallLoggedOut') : since === null ? '' : t('standsStill', clock(since));
  $('wall-note').hidden = !note;
  $('wall-note').textContent = note;
}
const load = () => ask('/api/views').then((found) => { views = found; }, () => {}); // what was there is shown until the connection is back; the line above says so
function turn() {
  page = (page + 1) % PAGES.length;
  drawWall();
  if (PAGES[page] === 'live') fit();
}

/** Show the pages in turn, each for so long as the address says. */
export function startWall(live) {
  map = live;
  document.body.append(el('section', { id: 'wall', 'aria-label': t('wall') }), el('p', { id: 'wall-note', role: 'status', hidden: true }));
  drawWall();
  map?.placeLabels();
  on('loaded views', load);
  setInterval(turn, eachSeconds(asked('wall')) * 1000);
  setInterval(drawWall, 1000);
  addEventListener('keydown', ({ key }) => { if (key === 'Escape') location.assign(location.pathname); });
  setTimeout(fit, 1500);
}
