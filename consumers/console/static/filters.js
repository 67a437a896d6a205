// The filters of incidents: what they offer, what they leave, and the address that keeps them, so that a link shows the same.
import { $, el } from './dom.js';
import { state } from './store.js';
import { lang, number, say, t, zoneName } from './words.js';

const SELECTS = { city: ['allCities', 'f-city'], rule: ['allRules', 'f-rule'], severity: ['allSeverities', 'f-severity'], basis: ['allBases', 'f-basis'], enterprise_id: ['allEnterprises', 'f-enterprise'] };
const NAME_IN_ADDRESS = { enterprise_id: 'enterprise' };
export const nameOf = {
  city: (adcode) => (adcode === state.city?.adcode ? say(state.city) : adcode), rule: (rule) => say(state.titles[rule]) || rule, severity: (severity) => t(severity), basis: (basis) => t(basis),
  enterprise_id: (name) => say(state.enterprises[name]) || name, zone: (id) => { const zone = state.zones.find((known) => known.zone_id === id); return zone ? zoneName(zone) : id; },
};
export const searched = () => $('search').value.trim().toLowerCase();
export const asked = (name) => new URLSearchParams(location.search).get(name);

/** Keep these in the address; what is empty is left out of it. */
export function keepInAddress(values) {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(values)) if (value) query.set(name, value); else query.delete(name);
  const text = query.toString();
  history.replaceState(history.state, '', `${location.pathname}${text && `?${text}`}${location.hash}`);
}
const chosen = () => ({ ...Object.fromEntries(Object.entries(SELECTS).map(([key, [, id]]) => [NAME_IN_ADDRESS[key] ?? key, $(id).value])), unanswered: $('f-unanswered').checked ? '1' : '', q: $('search').value.trim() });
export const keepFilters = () => keepInAddress(chosen());
/** What is filtered by, without what is left open. */
export const filterValues = () => Object.fromEntries(Object.entries(chosen()).filter(([, value]) => value));
/** Choose what the address says, even before there are incidents that have it. */
export function restoreFilters() {
  for (const [key, [, id]] of Object.entries(SELECTS)) {
    const value = asked(NAME_IN_ADDRESS[key] ?? key);
    if (value) { $(id).append(el('option', { value }, value)); $(id).value = value; }
  }
  $('f-unanswered').checked = asked('unanswered') === '1';
  $('search').value = asked('q') ?? '';
}
export function clearFilters() {
  for (const [, id] of Object.values(SELECTS)) $(id).value = '';
  $('f-unanswered').checked = false;
  $('search').value = '';
  keepFilters();
}

/** The choices of each filter: what the incidents at hand have, and what is chosen already. */
export function offerFilters() {
  for (const [key, [all, id]] of Object.entries(SELECTS)) {
    const select = $(id), chosen = select.value;
    const values = new Set([...state.incidents.values()].map((row) => row[key]).filter(Boolean));
    if (chosen) values.add(chosen);
    if (key === 'city') select.hidden = values.size < 2 && !chosen;
    const options = [...values].map((value) => [value, nameOf[key](value)]).sort((a, b) => a[1].localeCompare(b[1], lang()));
    const wanted = [['', t(all)], ...options];
    if ([...select.options].map((option) => option.text).join('\n') === wanted.map(([, text]) => text).join('\n')) continue;
    select.replaceChildren(...wanted.map(([value, text]) => el('option', { value }, text)));
    select.value = chosen;
  }
}

/** The incidents that the filters leave, the newest first. */
export function filtered() {
  const wanted = Object.entries(SELECTS).map(([key, [, id]]) => [key, $(id).value]).filter(([, value]) => value);
  const text = searched(), unanswered = $('f-unanswered').checked;
  return state.newest
    .filter((row) => wanted.every(([key, value]) => row[key] === value) && (!unanswered || !row.answer || row.objected))
    .filter((row) => !text || [row.vehicle_id, row.plate, row.outlet_id, row.line_id, row.enterprise_id, row.incident_id].some((name) => name?.toLowerCase().includes(text)));
}

/** How many are shown of how many; and, where some are left out, the way to see all. */
export function sayCount(shown, older = 0) {
  const isFiltered = Object.keys(filterValues()).length > 0;
  $('count').textContent = t('shownOf', number(shown + older), number(state.incidents.size + (older ? state.older : 0))) + (state.older && !older ? t('olderOnes', number(state.older)) : '');
  $('clear').hidden = !isFiltered;
}
