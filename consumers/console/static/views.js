// The views beside the map: rates by enterprise and day against their targets, and the pack in sentences.
import { $, el, svg } from './dom.js';
import { state } from './store.js';
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

function ratesView({ date, measures, rows, days }) {
  if (!rows.length) return [el('h2', {}, t('rates')), el('p.empty', {}, t('noRates'))];
  const shown = measures.filter(({ feature }) => rows.some((row) => row.rates[feature] !== null && row.rates[feature] !== undefined));
  const name = (id) => (id === '*' ? t('wholeCity') : say(state.enterprises[id]) || id);
  const head = el('tr', {}, el('th', { scope: 'col' }, t('enterprise')), el('th.num', { scope: 'col' }, t('acceptedCount')),
    shown.map((measure) => el('th', { scope: 'col', title: say(measure.words) }, say(measure), measure.target === null ? null : el('small', {}, t('target', percent(measure.target, 0))))));
  const body = rows.map((row) => el(`tr${row.enterprise_id === '*' ? '.city' : ''}`, {}, el('th', { scope: 'row' }, name(row.enterprise_id)), el('td.num', {}, number(row.accepted ?? 0)),
    shown.map(({ feature, target }) => el('td', {}, bar(row.rates[feature], target)))));
  const graphs = shown.map((measure) => el('figure', {}, el('figcaption', {}, say(measure)), curve(days, measure), el('p.quiet', {}, `${days[0].date} – ${days.at(-1).date}`)));
  return [el('h2', {}, t('ratesOf', date)), el('p.quiet', {}, t('ofParcels')), el('div.scroll', {}, el('table', {}, el('thead', {}, head), el('tbody', {}, body))), el('h3', {}, t('byDay')), el('div.graphs', {}, graphs)];
}

function policyView(policy) {
  if (!policy) return [el('h2', {}, t('policy')), el('p.empty', {}, t('noPolicy'))];
  const [title, ...document] = policy.document[lang()];
  const rules = policy.rules.map((rule) => el('li', { id: `rule-${rule.id}` }, el('h4', {}, say(rule.title), ' ', el(`span.chip.${rule.severity}`, {}, t(rule.severity)), ' ', el('span.chip', {}, say(rule.basis))), rule.lines[lang()].map((line) => el('p', {}, line))));
  const targets = policy.targets.length ? el('ul', {}, policy.targets.map((target) => el('li', {}, say(target)))) : el('p.empty', {}, t('noTargets'));
  return [el('h2', {}, title), document.map((line) => el('p', {}, line)), el('h3', {}, t('rulesAre', rules.length)), el('ol', {}, rules), el('h3', {}, t('targetsAre')), targets];
}

let drawing = 0;
/** Show a view in the place of the map and its lists; no name: the map. */
export async function drawView(name) {
  const isView = ['rates', 'policy'].includes(name);
  $('view').hidden = !isView;
  document.querySelector('main').hidden = isView;
  for (const link of document.querySelectorAll('[data-view]')) link.setAttribute('aria-current', link.dataset.view === (isView ? name : 'live') ? 'page' : 'false');
  if (!isView) return;
  const turn = (drawing += 1);
  try {
    const found = await (await fetch('/api/views')).json();
    if (turn === drawing) $('view').replaceChildren(...(name === 'rates' ? ratesView(found.rates) : policyView(found.policy)).flat());
  } catch {
    if (!$('view').firstChild) $('view').replaceChildren(el('p.empty', {}, t('loading')));
  }
}
