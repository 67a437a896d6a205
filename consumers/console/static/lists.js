// The lists beside the map: incidents with their filters, vehicles and zones as tables. What the map shows stands here in words.
import { $, el, keepFocus, nameCell } from './dom.js';
import { filtered, nameOf, sayCount, searched } from './filters.js';
import { fleet, look, STATES, vehicleCount } from './fleet.js';
import { askFurther, askServer, found, olderRows } from './found.js';
import { heatContents, heatTable } from './heat.js';
import { answerChip } from './incident_parts.js';
import { state } from './store.js';
import { day, lang, moment, number, say, span, t, until, zoneName } from './words.js';

const SHOWN_FIRST = 150;
export const TABS = ['incidents', 'vehicles', 'zones', 'heat'];
export const lists = { tab: 'incidents', shown: SHOWN_FIRST, chosen: null };
const nowMs = () => state.header?.stream_ms || Date.now();
export const subjectOf = (row) => row.plate || row.vehicle_id || row.line_id || row.outlet_id || nameOf.enterprise_id(row.enterprise_id ?? '') || '–';

function incidentRow(row) {
  const enterprise = row.enterprise_id && nameOf.enterprise_id(row.enterprise_id);
  const answer = answerChip(row.answer), objected = row.objected ? el('span.chip.objected', {}, t('objectedTo')) : null;
  const isOpen = row.state === 'open';
  return el('li', {}, el(`button.row.${row.severity}${row.answer === 'dismissed' ? '.faded' : ''}${row.isNew ? '.new' : ''}`, { type: 'button', 'data-incident': row.incident_id, 'aria-current': lists.chosen === row.incident_id && 'true' },
    el('span.top', {}, el('b', { title: nameOf.rule(row.rule) }, nameOf.rule(row.rule)), el('time', {}, moment(row.opened_at_ms, nowMs()))),
    el('span.mid', {}, el('span.id', {}, subjectOf(row)), row.plate && row.vehicle_id ? el('span.quiet', {}, row.vehicle_id) : null, enterprise && enterprise !== subjectOf(row) ? el('span.quiet.cut', { title: enterprise }, enterprise) : null),
    el('span.low', {}, el(`span.chip.${isOpen ? 'open' : 'ended'}`, {}, t(isOpen ? 'stateOpen' : 'stateClosed')), answer, objected, el('span.chip', {}, [row.clause, row.basis && t(row.basis)].filter(Boolean).join(' · ')), row.zone_id ? el('span.chip', {}, nameOf.zone(row.zone_id)) : null)));
}

function showMore() {
  const before = $('list').querySelectorAll('[data-incident],[data-vehicle]').length;
  lists.shown += SHOWN_FIRST;
  draw();
  $('list').querySelectorAll('[data-incident],[data-vehicle]')[before]?.focus({ preventScroll: true });
}
function more(total) {
  const left = total - lists.shown;
  return left > 0 ? el('button.more', { type: 'button', 'data-key': 'more', onclick: showMore }, t('more', number(Math.min(left, SHOWN_FIRST)))) : null;
}

function incidents() {
  askServer(draw);
  const held = filtered(), older = olderRows(), rows = [...held, ...older];
  sayCount(held.length, found.query ? Math.max(older.length, found.number - held.length) : 0);
  if (!rows.length) return [el('p.empty', {}, t(state.incidents.size ? 'noMatch' : 'noIncidents'))];
  const further = found.before && lists.shown >= rows.length ? el('button.more', { type: 'button', 'data-key': 'more', onclick: () => askFurther(showMore) }, t('moreOlder')) : null;
  return [el('ol.incidents', {}, rows.slice(0, lists.shown).map(incidentRow)), more(rows.length) ?? further];
}

const RANK_OF = Object.fromEntries([[2, 0], [0, 1], [3, 2], [1, 3]]);
function vehicles() {
  if (!fleet.count) return [el('p.empty', {}, t(vehicleCount() ? 'loading' : 'noVehicles'))];
  const text = searched(), found = [];
  for (let n = 0; n < Math.min(fleet.count, fleet.rows.length); n += 1) {
    const [id, plate] = fleet.rows[n];
    if (!text || id.toLowerCase().includes(text) || plate?.toLowerCase().includes(text)) found.push(n);
  }
  if (!found.length) return [el('p.empty', {}, t('noVehicleMatch'))];
  found.sort((a, b) => RANK_OF[fleet.state[a]] - RANK_OF[fleet.state[b]] || (fleet.rows[a][0] < fleet.rows[b][0] ? -1 : 1));
  const row = (n) => {
    const [id, plate, enterprise] = fleet.rows[n];
    return el('tr', {}, el('th', { scope: 'row' }, el('button.link', { type: 'button', 'data-vehicle': id }, id), plate ? el('small', {}, plate) : null), nameCell(enterprise && nameOf.enterprise_id(enterprise)),
      el('td', {}, el(`span.chip.state-${STATES[fleet.state[n]]}`, {}, t(STATES[fleet.state[n]]))), el('td.num', {}, span(Math.max(0, (fleet.streamMs - fleet.timeMs[n]) / 1000))));
  };
  const heads = ['vehicle', 'enterprise', 'state', 'lastFix'].map((key) => el('th', { scope: 'col' }, t(key)));
  return [el('table.vehicles', {}, el('thead', {}, el('tr', {}, heads)), el('tbody', {}, found.slice(0, lists.shown).map(row))), more(found.length)];
}

function zones() {
  if (!state.zones.length) return [el('p.empty', {}, say(state.no_zones))];
  const rule = (zone) => ({ id, lines, clause, basis }) => {
    const [demand, ...claim] = lines[lang()], key = `claim ${zone.zone_id} ${id}`;
    return el('li', {}, el('span', {}, demand), el('details.claim', { 'data-key': key }, el('summary', { 'data-key': `${key} summary` }, [t('claim'), clause, basis && t(basis)].filter(Boolean).join(' · ')), [...claim, say(zone.document)].map((line) => el('p', {}, line))));
  };
  const zone = (found) => el(`section.zone.${found.level}`, { id: `zone-${found.zone_id}`, tabindex: -1 },
    el('h3', { 'aria-level': '2' }, zoneName(found), found.illustrative ? el('span.chip', {}, t('exampleZone')) : null),
    el('p', {}, el(`span.chip.level-${found.level}`, {}, t(found.level)), ' ', found.level === 'free' && found.until_ms === null ? '' : until(found.until_ms, nowMs())),
    found.rules.length ? el('ul', {}, found.rules.map(rule(found))) : null,
    found.later.length ? el('details', { 'data-key': `later ${found.zone_id}` }, el('summary', { 'data-key': `later of ${found.zone_id}` }, t('otherTimes')), el('ul', {}, found.later.map(rule(found)))) : null);
  return state.zones.map(zone);
}

/** What a list that is not drawn anew as long as it says the same would say. */
const CONTENTS = { heat: heatContents, zones: () => JSON.stringify([state.zones, state.no_zones, lang(), day(nowMs())]) };

/** Draw the list of the chosen tab anew; where the keyboard was it stays. */
export function draw() {
  const list = $('list'), contents = CONTENTS[lists.tab]?.() ?? '';
  if (!contents || list.dataset.contents !== contents) keepFocus(list, () => list.replaceChildren(...{ incidents, vehicles, zones, heat: heatTable }[lists.tab]().filter(Boolean)));
  list.dataset.contents = contents;
  for (const row of state.incidents.values()) row.isNew = false;
  $('n-incidents').textContent = number(state.incidents.size);
  $('n-vehicles').textContent = number(vehicleCount());
  $('n-zones').textContent = number(state.zones.length);
}

export function show(tab) {
  Object.assign(lists, { tab, shown: SHOWN_FIRST });
  look({ all: tab === 'vehicles' });
  for (const name of TABS) {
    $(`tab-${name}`).setAttribute('aria-selected', String(name === tab));
    $(`tab-${name}`).tabIndex = name === tab ? 0 : -1;
  }
  $('filters').dataset.tab = tab;
  $('list').setAttribute('aria-labelledby', `tab-${tab}`);
  $('list').tabIndex = tab === 'zones' ? 0 : -1; // the others have rows that keys reach
  $('list').scrollTop = 0;
  draw();
}
