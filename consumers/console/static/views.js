// The views beside the map: rates by enterprise and day against their targets, the register of outlets, the pack in sentences.
import { $, el, svg } from './dom.js';
import { changed, state } from './store.js';
import { lang, number, percent, say, t } from './words.js';

function bar(share, target) {
  if (share === null || share === undefined) return el('span.quiet', {}, '–');
  const isLow = target !== null && share < target;
  const bullet = el('span.bullet', { 'aria-hidden': 'true' }, el(`i${isLow ? '.low' : ''}`), target === null ? null : el('b'));
  bullet.firstChild.style.width = `${Math.min(100, share * 100)}%`;
  if (target !== null) bullet.lastChild.style.left = `${target * 100}%`;
  return el('span.rated', {}, el(`span.value${isLow ? '.low' : ''}`, {}, percent(share)), bullet);
}

/** The days of one rate as a line, its target as a dashed one; a table beside it says the same. */
function curve(days, { feature, target }) {
  const points = days.map((day, place) => [days.length > 1 ? (place / (days.length - 1)) * 300 : 150, day.rates[feature]]).filter(([, share]) => share !== null && share !== undefined);
  const least = Math.min(...points.map(([, share]) => share), target ?? 1) - 0.02;
  const height = (share) => 70 - ((share - least) / (1.001 - least)) * 60;
  const drawn = svg('svg', { viewBox: '0 0 300 80', class: 'curve', 'aria-hidden': 'true' });
  if (target !== null) drawn.append(svg('path', { class: 'target', d: `M0 ${height(target)}H300` }));
  drawn.append(svg('path', { d: points.map(([x, share], place) => `${place ? 'L' : 'M'}${x.toFixed(1)} ${height(share).toFixed(1)}`).join('') }));
  for (const [x, share] of points) drawn.append(svg('circle', { cx: x, cy: height(share), r: points.length > 1 ? 2 : 3 }));
  return drawn;
}

const LEFT = 34, RIGHT = 596, TOP = 14, BOTTOM = 128, LINES = 20;
/** A day so far, minute by minute: the share, its target, its forecast for the end of the day, and the incidents opened meanwhile. */
function course({ minutes, rates, forecast, incidents, day_minutes: whole, bin_minutes: bin }, { feature, target }) {
  const points = minutes.map((minute, place) => [minute, rates[feature][place]]).filter(([, share]) => share !== null);
  const ahead = forecast[feature];
  if (!points.length) return el('p.empty', {}, t('noRates'));
  const known = [...points.map(([, share]) => share), target, ahead].filter((share) => share !== null && share !== undefined);
  const [least, most] = [Math.max(0, Math.min(...known) - 0.02), Math.min(1, Math.max(...known) + 0.02)];
  const at = (minute) => LEFT + (minute / whole) * (RIGHT - LEFT);
  const height = (share) => BOTTOM - LINES - ((share - least) / (most - least || 1)) * (BOTTOM - LINES - TOP);
  const words = (text, place) => { const said = svg('text', place); said.append(text); return said; };
  const clock = (minute) => `${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`;
  const [last, now] = points.at(-1);
  const drawn = svg('svg', { viewBox: `0 0 640 ${BOTTOM + 16}`, class: 'curve course', role: 'img', 'aria-label': [t('shareNow', percent(now)), ahead === null || ahead === undefined ? '' : t('forecastOf', percent(ahead))].filter(Boolean).join(', ') });
  for (const share of [least, most]) drawn.append(svg('path', { class: 'rule', d: `M${LEFT} ${height(share)}H${RIGHT}` }), words(percent(share, 0), { x: LEFT - 4, y: height(share) + 3, 'text-anchor': 'end' }));
  for (let hour = 0; hour <= whole / 60; hour += 6) drawn.append(words(clock(hour * 60), { x: at(hour * 60), y: BOTTOM + 13, 'text-anchor': 'middle' }));
  const tallest = Math.max(1, ...incidents.map(([, count]) => count));
  for (const [minute, count] of incidents) {
    const tall = Math.max(2, (count / tallest) * (LINES - 4));
    const one = svg('rect', { class: 'opened', x: at(minute), y: BOTTOM - tall, width: Math.max(1.5, at(minute + bin) - at(minute) - 0.5), height: tall });
    one.append(svg('title', {}, t('openedFrom', clock(minute), count)));
    drawn.append(one);
  }
  if (target !== null) drawn.append(svg('path', { class: 'target', d: `M${LEFT} ${height(target)}H${RIGHT}` }));
  drawn.append(svg('path', { d: points.map(([minute, share], place) => `${place ? 'L' : 'M'}${at(minute).toFixed(1)} ${height(share).toFixed(1)}`).join('') }), svg('circle', { cx: at(last), cy: height(now), r: 2.5 }));
  if (ahead !== null && ahead !== undefined) drawn.append(svg('path', { class: 'ahead', d: `M${at(last)} ${height(now)}L${RIGHT} ${height(ahead)}` }), words(percent(ahead), { x: RIGHT + 3, y: height(ahead) + 3 }));
  return drawn;
}

let ofEnterprise = '*';
function choose(id) {
  ofEnterprise = id;
  drawView('rates');
}

function ratesView({ date, measures, rows, days, course: ofDay }) {
  if (!rows.length) return [el('h2', {}, t('rates')), el('p.empty', {}, t('noRates'))];
  const shown = measures.filter(({ feature }) => rows.some((row) => row.rates[feature] !== null && row.rates[feature] !== undefined));
  const name = (id) => (id === '*' ? t('wholeCity') : say(state.enterprises[id]) || id);
  const head = el('tr', {}, el('th', { scope: 'col' }, t('enterprise')), el('th.num', { scope: 'col' }, t('acceptedCount')),
    shown.map((measure) => el('th', { scope: 'col', title: say(measure.words) }, say(measure), measure.target === null ? null : el('small', {}, t('target', percent(measure.target, 0))))));
  const body = rows.map((row) => el(`tr${row.enterprise_id === '*' ? '.city' : ''}`, {}, el('th', { scope: 'row' }, el('button.plain', { type: 'button', 'aria-pressed': String(row.enterprise_id === ofEnterprise), onclick: () => choose(row.enterprise_id) }, name(row.enterprise_id))), el('td.num', {}, number(row.accepted ?? 0)),
    shown.map(({ feature, target }) => el('td', {}, bar(row.rates[feature], target)))));
  const graphs = shown.map((measure) => el('figure', {}, el('figcaption', {}, say(measure)), curve(days, measure), el('p.quiet', {}, `${days[0].date} – ${days.at(-1).date}`)));
  return [el('h2', {}, t('ratesOf', date)), el('p.quiet', {}, t('ofParcels')), el('div.scroll', { tabIndex: 0 }, el('table', {}, el('thead', {}, head), el('tbody', {}, body))), 
    ofDay ? [el('h3', { id: 'course' }, t('courseOf', name(ofDay.enterprise_id), ofDay.date)), el('p.quiet', {}, t('courseSays')), el('div.courses', {}, measures.filter(({ feature }) => feature in ofDay.rates).map((measure) => el('figure', {}, el('figcaption', {}, say(measure)), course(ofDay, measure))))] : null,
    el('h3', {}, t('byDay')), el('div.graphs', {}, graphs)].flat().filter(Boolean);
}

const LEVEL = (level) => t(level === 'township' ? 'township-level' : level);
const filed = (outlet) => (outlet.filed === true ? 'onFile' : outlet.filed === false ? 'notFiled' : 'filedUnknown');

/** Where the outlets and facilities are; the table below says the same. */
function places(outlets, facilities) {
  const points = [...facilities.map((one) => ({ ...one, kind: 'facility', says: `${LEVEL(one.level)} ${one.id}` })), ...outlets.map((one) => ({ ...one, kind: filed(one), says: `${one.id}: ${t(filed(one))}` }))].filter((one) => one.lon !== null && one.lat !== null);
  if (!points.length) return null;
  const span = (name) => { const values = points.map((one) => one[name]); return [Math.min(...values), Math.max(...values)]; };
  const [[west, east], [south, north]] = [span('lon'), span('lat')];
  const scale = Math.min(1040 / Math.max((east - west) * Math.cos((south * Math.PI) / 180), 0.001), 380 / Math.max(north - south, 0.001));
  const drawn = svg('svg', { viewBox: '0 0 1100 420', class: 'places', role: 'img', 'aria-label': t('outlets') });
  for (const one of points) {
    const [x, y] = [30 + (one.lon - west) * Math.cos((south * Math.PI) / 180) * scale, 400 - (one.lat - south) * scale];
    const mark = one.kind === 'facility' ? svg('rect', { x: x - 5, y: y - 5, width: 10, height: 10 }) : svg('circle', { cx: x, cy: y, r: 6 });
    mark.setAttribute('class', one.kind);
    mark.append(svg('title', {}, one.says));
    drawn.append(mark);
  }
  return drawn;
}

function outletsView({ outlets, facilities, lines }) {
  if (!outlets.length) return [el('h2', {}, t('outlets')), el('p.empty', {}, t('noOutlets'))];
  const has = (value) => (value === null || value === undefined ? t('unknownYet') : t(value ? 'yes' : 'no'));
  const count = (kind) => outlets.filter((one) => filed(one) === kind).length;
  const order = { notFiled: 0, filedUnknown: 1, onFile: 2 };
  const body = [...outlets].sort((one, other) => order[filed(one)] - order[filed(other)] || one.id.localeCompare(other.id)).map((one) => el('tr', {}, el('th', { scope: 'row' }, one.id), el('td', {}, say(state.enterprises[one.enterprise_id]) || one.enterprise_id || '–'),
    el('td', {}, one.township ?? '–'), el('td', {}, el(`span.chip.${filed(one)}`, {}, t(filed(one)))), el('td', {}, has(one.camera)), el('td', {}, has(one.recycling_container))));
  const head = el('tr', {}, ['outlet', 'enterprise', 'township', 'onFile', 'camera', 'container'].map((name) => el('th', { scope: 'col' }, t(name))));
  const of = (level) => facilities.filter((one) => one.level === level).length;
  return [el('h2', {}, t('outletsAre', outlets.length, count('onFile'), count('notFiled'))), places(outlets, facilities), el('div.scroll', { tabIndex: 0 }, el('table', {}, el('thead', {}, head), el('tbody', {}, body))),
    facilities.length ? [el('h3', {}, t('facilities')), el('p', {}, ['hub', 'county', 'township', 'village', 'pickup_point'].filter(of).map((level) => `${LEVEL(level)} ${number(of(level))}`).join(' · '))] : null,
    lines.length ? [el('h3', {}, t('routes')), el('ul', {}, lines.map((line) => el('li', {}, `${line.id}: ${line.zones.join(' → ')}`)))] : null].flat().filter(Boolean);
}

export function policyView(policy) {
  if (!policy) return [el('h2', {}, t('policy')), el('p.empty', {}, t('noPolicy'))];
  const [title, ...document] = policy.document[lang()];
  const rules = policy.rules.map((rule) => el('li', { id: `rule-${rule.id}` }, el('h4', {}, say(rule.title), ' ', el(`span.chip.${rule.severity}`, {}, t(rule.severity)), ' ', el('span.chip', {}, say(rule.basis))), rule.lines[lang()].map((line) => el('p', {}, line))));
  const targets = policy.targets.length ? el('ul', {}, policy.targets.map((target) => el('li', {}, say(target)))) : el('p.empty', {}, t('noTargets'));
  return [el('h2', {}, title), document.map((line) => el('p', {}, line)), el('h3', {}, t('rulesAre', rules.length)), el('ol', {}, rules), el('h3', {}, t('targetsAre')), targets];
}

const VIEWS = { rates: ratesView, outlets: outletsView };
const BESIDE_THE_MAP = ['policy', 'replay'];
let drawing = 0;
/** Show a view in the place of the map and its lists; no name: the map. */
export async function drawView(name) {
  const isView = name in VIEWS;
  changed('view', name);
  $('view').hidden = !isView;
  document.querySelector('main').hidden = isView;
  for (const link of document.querySelectorAll('[data-view]')) link.setAttribute('aria-current', link.dataset.view === (isView || BESIDE_THE_MAP.includes(name) ? name : 'live') ? 'page' : 'false');
  if (!isView) return;
  const turn = (drawing += 1);
  try {
    const found = await (await fetch(`/api/views?enterprise=${encodeURIComponent(ofEnterprise)}`)).json();
    if (turn === drawing) $('view').replaceChildren(...VIEWS[name](found[name]).flat());
  } catch {
    if (!$('view').firstChild) $('view').replaceChildren(el('p.empty', {}, t('loading')));
  }
}
