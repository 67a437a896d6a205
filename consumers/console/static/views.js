// The views beside the map: rates by enterprise and day against their targets, the pack in sentences.
import { $, bullet, el, keepFocus, svg } from './dom.js';
import { ask, changed, state, whyUnknown } from './store.js';
import { calendarDay, lang, number, percent, say, t } from './words.js';

function bar(share, target) {
  if (share === null || share === undefined) return el('span.quiet', {}, '–');
  const isLow = target !== null && share < target;
  return el('span.rated', {}, el(`span.value${isLow ? '.low' : ''}`, {}, percent(share)), bullet(share, target));
}

/** The days of one rate as a line, its target as a dashed one; the table below says the same. */
function curve(days, { feature, target }) {
  const points = days.map((day, place) => [(place / (days.length - 1)) * 300, day.rates[feature]]).filter(([, share]) => share !== null && share !== undefined);
  const least = Math.min(...points.map(([, share]) => share), target ?? 1) - 0.02;
  const height = (share) => 70 - ((share - least) / (1.001 - least)) * 60;
  const drawn = svg('svg', { viewBox: '0 0 300 80', class: 'curve', 'aria-hidden': 'true' });
  if (target !== null) drawn.append(svg('path', { class: 'target', d: `M0 ${height(target)}H300` }));
  drawn.append(svg('path', { d: points.map(([x, share], place) => `${place ? 'L' : 'M'}${x.toFixed(1)} ${height(share).toFixed(1)}`).join('') }));
  for (const [x, share] of points) drawn.append(svg('circle', { cx: x, cy: height(share), r: 2 }));
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

/** The enterprise that the address names; `*`: the whole city. */
const ofEnterprise = () => new URLSearchParams(location.hash.slice(1)).get('enterprise') || '*';
const choose = (id) => { location.hash = id === '*' ? 'view=rates' : `view=rates&enterprise=${encodeURIComponent(id)}`; };
const isKnown = (share) => share !== null && share !== undefined;
const nameOf = (id) => (id === '*' ? t('wholeCity') : say(state.enterprises[id]) || id);

/** What the lines of the days say, as a table. */
function daysTable(days, shown) {
  const head = el('tr', {}, el('th', { scope: 'col' }, t('date')), el('th.num', { scope: 'col' }, t('acceptedCount')), shown.map((measure) => el('th', { scope: 'col' }, say(measure))));
  const row = (day) => el('tr', {}, el('th', { scope: 'row' }, calendarDay(day.date)), el('td.num', {}, isKnown(day.accepted) ? number(day.accepted) : '–'), shown.map(({ feature, target }) => el(`td${isKnown(day.rates[feature]) && target !== null && day.rates[feature] < target ? '.low' : ''}`, {}, isKnown(day.rates[feature]) ? percent(day.rates[feature]) : '–')));
  return el('details', { 'data-key': 'days' }, el('summary', { 'data-key': 'days summary' }, t('asTable')), el('div.scroll', { tabIndex: 0, role: 'region', 'aria-label': t('byDay') }, el('table', {}, el('thead', {}, head), el('tbody', {}, [...days].reverse().map(row)))));
}

/** How a figure stands to its target, where it is known: the look of its mark. */
const MARKED = { met: '.acknowledged', missed: '.violation', not_due: '', undated: '' };

/** Every measure that has a target, and the network's key figures: value, target, until when, by which clause. */
function figuresTable(measures, figures) {
  const targeted = measures.filter(({ target }) => target !== null).map((measure) => ({ ...measure, is_share: true }));
  const rows = [...targeted, ...figures];
  if (!rows.length) return null;
  const said = (one, value) => (isKnown(value) ? (one.is_share ? percent(value, value === one.target ? 0 : 1) : number(value)) : '–');
  const row = (one) => el('tr', {}, el('th', { scope: 'row' }, say(one), one.words ? el('small', {}, say(one.words)) : null, one.reading ? el('small', {}, say(one.reading)) : null),
    el(`td.num${one.status === 'missed' ? '.low' : ''}`, {}, said(one, one.value), isKnown(one.active) && isKnown(one.value) ? el('small', {}, t('inUse', number(one.active))) : null, one.status in MARKED ? el(`span.chip${MARKED[one.status]}`, {}, say(one.standing)) : null), el('td.num', {}, said(one, one.target)), el('td', {}, one.by ? calendarDay(one.by) : '–'),
    el('td.clause', {}, [one.clause, one.source === 'operator' ? t('byOperator') : null].filter(Boolean).join(' · ') || '–', one.quote && !one.words ? el('q', { lang: 'zh-CN' }, one.quote) : null));
  return [el('h3', {}, t('figuresAre')), el('div.scroll', { tabIndex: 0, 'data-key': 'figures', role: 'region', 'aria-label': t('figuresAre') }, el('table.figures', {}, el('thead', {}, el('tr', {}, ['measure', 'value', 'targetHead', 'byDate', 'clause'].map((name) => el('th', { scope: 'col' }, t(name))))), el('tbody', {}, rows.map(row))))];
}

function ratesView({ date, measures, rows, days, days_of: daysOf = '*', days_targets: targets = {}, figures = [], course: ofDay, course_note: note }) {
  const noted = figuresTable(measures, figures);
  if (!rows.length) return [el('h2', {}, t('rates')), el('p.empty', {}, t('noRates')), ...(noted ?? [])];
  const shown = measures.filter(({ feature }) => rows.some((row) => isKnown(row.rates[feature])));
  const held = (measure) => ({ ...measure, target: targets[measure.feature] ?? null }); // as whoever is drawn is held against it
  const head = el('tr', {}, el('th', { scope: 'col' }, t('enterprise')), el('th.num', { scope: 'col' }, t('acceptedCount')),
    shown.map((measure) => el('th', { scope: 'col', title: say(measure.words) }, say(measure), measure.target === null ? null : el('small', {}, t('target', percent(measure.target, 0)), measure.scope_words ? el('span', {}, ' · ', say(measure.scope_words)) : null))));
  const body = rows.map((row) => el(`tr${row.enterprise_id === '*' ? '.city' : ''}`, {}, el('th', { scope: 'row' }, el('button.plain', { type: 'button', 'data-key': `of ${row.enterprise_id}`, 'aria-pressed': String(row.enterprise_id === ofEnterprise()), title: nameOf(row.enterprise_id), onclick: () => choose(row.enterprise_id) }, el('span.clamp', {}, nameOf(row.enterprise_id)))), el('td.num', {}, number(row.accepted ?? 0)),
    shown.map(({ feature }) => el('td', {}, bar(row.rates[feature], row.targets?.[feature] ?? null)))));
  const drawn = shown.filter(({ feature }) => days.filter((day) => isKnown(day.rates[feature])).length > 1);
  const graphs = drawn.map((measure) => el('figure', {}, el('figcaption', {}, say(measure)), curve(days, held(measure)), el('p.quiet', {}, `${calendarDay(days[0].date)} – ${calendarDay(days.at(-1).date)}`)));
  return [el('h2', {}, t('ratesOf', calendarDay(date))), el('p.quiet', {}, t('ofParcels')), el('div.scroll', { tabIndex: 0, 'data-key': 'table', role: 'region', 'aria-label': t('ratesOf', calendarDay(date)) }, el('table', {}, el('thead', {}, head), el('tbody', {}, body))),
    ofDay ? [el('h3', { id: 'course' }, t('courseOf', nameOf(ofDay.enterprise_id), calendarDay(ofDay.date))), el('p.quiet', {}, t('courseSays')), el('div.courses', {}, measures.filter(({ feature }) => feature in ofDay.rates).map((measure) => el('figure', {}, el('figcaption', {}, say(measure)), course(ofDay, held(measure)))))] : note ? el('p.empty', {}, say(note)) : null,
    noted,
    el('h3', { id: 'days' }, t('byDayOf', nameOf(daysOf))), graphs.length ? el('div.graphs', {}, graphs) : el('p.empty', {}, t(days.length ? 'oneDayOnly' : 'noDays')), days.length ? daysTable(days, shown.map(held)) : null].flat().filter(Boolean);
}

export function policyView(policy) {
  if (!policy) return [el('h2', {}, t('policy')), el('p.empty', {}, t('noPolicy'))];
  const [title, ...document] = policy.document[lang()];
  const rules = policy.rules.map((rule) => el('li', { id: `rule-${rule.id}` }, el('h4', {}, say(rule.title), ' ', el(`span.chip.${rule.severity}`, {}, t(rule.severity)), ' ', el('span.chip', {}, say(rule.basis))), rule.lines[lang()].map((line) => el('p', {}, line))));
  const targets = policy.targets.length ? el('ul', {}, policy.targets.map((target) => el('li', {}, say(target)))) : el('p.empty', {}, t('noTargets'));
  return [el('h2', {}, title), document.map((line) => el('p', {}, line)), policy.notes.map((note) => el('p', {}, say(note))), el('h3', {}, t('rulesAre', rules.length)), el('ol', {}, rules), el('h3', {}, t('targetsAre')), targets];
}

const VIEWS = { rates: ratesView };
const BESIDE_THE_MAP = ['outlets', 'policy', 'replay'];
let drawing = 0;
let [shown, drawn] = [null, ''];
/** Show a view in the place of the map and its lists, and have the keyboard go there; no name: the map. */
export async function drawView(name) {
  const isView = Object.hasOwn(VIEWS, name ?? ''), view = $('view');
  changed('view', name);
  view.hidden = !isView;
  document.querySelector('main').hidden = isView;
  for (const link of document.querySelectorAll('[data-view]')) link.setAttribute('aria-current', link.dataset.view === (isView || BESIDE_THE_MAP.includes(name) ? name : 'live') ? 'page' : 'false');
  const isOther = isView && name !== shown;
  shown = isView ? name : null;
  if (!isView) return;
  if (isOther) view.focus({ preventScroll: true });
  const turn = (drawing += 1);
  try {
    const found = await ask(`/api/views?enterprise=${encodeURIComponent(ofEnterprise())}`), contents = JSON.stringify([name, lang(), ofEnterprise(), state.enterprises, found]);
    if (turn !== drawing || contents === drawn) return;
    const parts = VIEWS[name](found[name]).flat();
    if (view.dataset.view === name) keepFocus(view, () => view.replaceChildren(...parts)); else { view.replaceChildren(...parts); view.scrollTop = 0; }
    [drawn, view.dataset.view] = [contents, name];
  } catch (error) {
    if (turn === drawing && (!view.firstChild || view.dataset.view !== name)) view.replaceChildren(el('p.empty', {}, whyUnknown(error)));
  }
}
