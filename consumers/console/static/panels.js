// What there is to say of one incident or one vehicle, beside the map; and the form for answers.
import { $, el, facts, keepFocus, svg } from './dom.js';
import { earlierTrack } from './earlier_track.js';
import { nameOf } from './filters.js';
import { fleet, numberOf } from './fleet.js';
import { cityMinute, replayHref } from './replay_link.js';
import { answerChip, evidenceList, notifiedSection, printButton } from './incident_parts.js';
import { ask, state } from './store.js';
import { driverOf, driversOf, unmasked } from './unmask.js';
import { calendarDay, clock, instant, lang, moment, number, say, span, t } from './words.js';

const nowMs = () => state.header?.stream_ms || Date.now();
const enterpriseOf = (name) => name && nameOf.enterprise_id(name);
/** Words of a sentence that stand alone here. */
const said = (words) => words && el('span.said', {}, words);
const vehicleLink = (id) => id && el('button.link', { type: 'button', 'data-vehicle': id }, id);
const kept = (key) => { try { return localStorage.getItem(key) ?? ''; } catch { return ''; } };

const head = (title, ...chips) => el('div.panel-head', {}, el('button.back', { type: 'button', 'data-close': '', 'data-key': 'back', title: t('back'), 'aria-label': t('back') }, '←'), el('div', {}, el('h2', {}, title), el('p.chips', {}, chips)));

/** In the place of a panel: that nothing is known, and why. */
export const nothingKnown = (words) => ({ told: [head(t('unknown')), el('p.reason', {}, words)] });

export async function incidentPanel(id) {
  const [found, notified] = await Promise.all([ask(`/api/incident?id=${encodeURIComponent(id)}`), notifiedSection(id)]);
  const isOpen = found.state === 'open';
  const evidence = found.evidence.filter((one) => one.lon !== null && one.lat !== null);
  const clause = found.clause_text ? el('blockquote', { lang: 'zh-CN' }, found.clause_text) : null;
  const told = [
    head(say(state.titles[found.rule]) || found.rule,
      el(`span.chip.${found.severity}`, {}, t(found.severity)), el(`span.chip.${isOpen ? 'open' : 'ended'}`, {}, t(isOpen ? 'stateOpen' : 'stateClosed')),
      answerChip(found.answer), found.objected ? el('span.chip.objected', {}, t('objectedTo')) : null, found.synthetic ? el('span.chip', {}, t('synthetic')) : null),
    el('p.reason', {}, found[`reason_${lang()}`]),
    facts([
      [t('incidentNo'), el('span.incident-id', {}, id)], [t('vehicle'), vehicleLink(found.vehicle_id)], [t('plate'), found.plate], [t('driver'), driverOf(id, found.driver_id)], [t('enterprise'), enterpriseOf(found.enterprise_id)], [t('outlet'), found.outlet_id], [t('line'), found.line_id], [t('zone'), found.zone_id && nameOf.zone(found.zone_id)],
      [t('from'), instant(found.opened_at_ms)], [t('lastSeen'), moment(found.last_seen_ms, found.opened_at_ms)], [t('ended'), found.closed_at_ms && moment(found.closed_at_ms, found.opened_at_ms)], [t('fixes'), number(found.fix_count)],
    ]),
    el('section', {}, el('h3', {}, t('clauseSays')), clause,
      facts([
        [t('clause'), found.clause], [t('document'), found.document && [found.document, found.document_number].filter(Boolean).join(' · ')], [t('basis'), said(say(state.basis[found.basis]) + (found.figures && !found.reading ? `${lang() === 'zh' ? '；' : '; '}${say(state.figures)}` : ''))],
        [t('reading'), said(say(found.reading))], [t('standsIn'), found.stands_in_for && `《${found.stands_in_for}》`], [t('duty'), said(say(state.duty[found.duty_of]))], [t('lead'), found.lead], [t('responsible'), found.responsible.filter((name) => name !== found.lead).join('、') || (found.basis && !found.lead ? t('nobody') : null)], [t('continuedBy'), say(found.continued_by)],
      ])),
    found.evidence.length ? evidenceList(found.evidence) : null,
    notified,
    el('section', {}, el('h3', {}, t('answers')), answers(found.answers), state.replaying ? el('p.empty', {}, t('replayNote')) : null),
  ];
  const after = [
    el('p.links', {}, el('a', { href: `#incident=${encodeURIComponent(id)}` }, t('link')), printButton()),
    found.vehicle_id ? el('p', {}, el('a', { href: replayHref({ hour: cityMinute(found.opened_at_ms - 900000), vehicles: [found.vehicle_id] }) }, t('replayIncident'))) : null,
  ];
  return { told, form: state.replaying ? null : formFor(found), after, mark: { number: found.vehicle_id ? numberOf(found.vehicle_id) : null, evidence: evidence.length ? evidence.map((one) => [one.lon, one.lat]) : found.lon === null ? [] : [[found.lon, found.lat]] } };
}

function answers(said) {
  if (!said.length) return el('p.empty', {}, t('noAnswers'));
  return el('ul.answers', {}, said.map((one) => el('li', {}, el(`span.chip.${one.action}`, {}, t(one.action)), ' ', el('time.quiet', {}, instant(one.time_ms)), one.by ? ` ${one.by}` : '', one.reason ? el('p', {}, one.reason) : null)));
}

// The form for answers is not drawn anew with what is told: what is being written stays, and so does what became of an answer.
let opened = { key: null, form: null };
let looked = null;
const FREE = new Set(['acknowledged', 'upheld']); // what needs no reason
const DECIDES = new Set(['upheld', 'rejected']);
function formFor(found) {
  const key = `${found.incident_id} ${lang()} ${found.objected}`;
  looked = found.revision;
  if (opened.key !== key) opened = { key, form: form(found.incident_id, found.objected ? { id: found.objection } : null) };
  return opened.form;
}
const newId = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');

function form(id, objection) {
  const by = el('input', { id: 'by', autocomplete: 'name', maxLength: 100, value: kept('by') });
  const reason = el('textarea', { id: 'reason', rows: 2, maxLength: 500 });
  const outcome = el('p.outcome', { role: 'status' });
  let answerId = newId(), tried = null, isSending = false;
  const send = async (action) => {
    if (isSending) return;
    if (!FREE.has(action) && !reason.value.trim()) { outcome.textContent = t('needReason'); reason.focus(); return; }
    try { localStorage.setItem('by', by.value); } catch { /* it is asked again */ }
    const said = JSON.stringify([action, by.value, reason.value]);
    if (tried !== null && tried !== said) answerId = newId(); // the same answer sent again counts once
    [tried, isSending] = [said, true];
    for (const button of buttons) button.setAttribute('aria-disabled', 'true');
    outcome.textContent = t('sending');
    try {
      await ask('/api/answer', { incident_id: id, action, by: by.value, reason: reason.value, answer_id: answerId, revision: looked, ...(DECIDES.has(action) ? { objection: objection.id } : {}) });
      [answerId, tried] = [newId(), null];
      outcome.textContent = t('sent', t(action));
      reason.value = '';
    } catch (error) {
      outcome.textContent = t('notSent', error.message);
    } finally {
      isSending = false;
      for (const button of buttons) button.removeAttribute('aria-disabled');
    }
  };
  const button = (action, word, kind) => el(`button.${kind}`, { type: 'button', 'data-action': action, onclick: () => send(action) }, t(word));
  const buttons = (objection ? [['upheld', 'uphold', 'primary'], ['rejected', 'reject', 'plain']] : [['acknowledged', 'acknowledge', 'primary'], ['dismissed', 'dismiss', 'plain']]).concat([['noted', 'note', 'plain']]).map((one) => button(...one));
  return el('form.answer', { onsubmit: (event) => event.preventDefault() },
    objection ? el('p', {}, t('decideObjection')) : null, el('label', { htmlFor: 'by' }, t('by')), by, el('label', { htmlFor: 'reason' }, t('reason')), reason, el('div.buttons', {}, buttons), outcome);
}

export async function vehiclePanel(id) {
  const found = await ask(`/api/vehicle?id=${encodeURIComponent(id)}`);
  const n = numberOf(id), { now } = found, record = unmasked(id, found.record);
  const earlier = earlierTrack(id), first = found.track[0]?.[0] ?? Infinity;
  const track = (earlier ?? []).filter(([ms]) => ms < first && ms >= nowMs() - found.hour_ms).concat(found.track);
  const current = n >= 0 ? ['moving', 'standing', 'offending', 'silent'][fleet.state[n]] : now?.state;
  const told = [
    head(id, current ? el(`span.chip.state-${current}`, {}, t(current)) : null, record ? null : el('span.chip.violation', {}, t('notOnFile'))),
    facts([
      [t('plate'), record?.plate ?? now?.plate], [t('enterprise'), enterpriseOf(record?.enterprise_id)], [t('vehicleClass'), said(say(record?.class_words))], [t('energy'), said(say(record?.energy_words))],
      [t('registered'), record && record.status !== 'active' && record.status ? el('span.chip.violation', {}, t(record.status)) : null], [t('insured'), record && goodUntil(record.insured_until, record.lapsed, 'insured_until')], [t('drivers'), driversOf(id, record)], [t('speed'), now && t('kmh', now.speed_kmh)],
      [t('lastFix'), now && `${clock(now.time_ms)} (${t('ago', span(Math.max(0, (nowMs() - now.time_ms) / 1000)))})`],
    ]),
    record ? drivers(record.drivers) : null,
    el('section', {}, el('h3', {}, t('lastHour')), track.length > 1 ? curve(track) : el('p.empty', {}, t(earlier ? 'noTrack' : 'loading')), el('p', {}, el('a', { href: replayHref({ vehicles: [id] }) }, t('replayIt')))),
    el('section', {}, el('h3', {}, t('today')), found.incidents.length ? el('ul.plain', {}, found.incidents.map((row) => el('li', {}, el('button.link', { type: 'button', 'data-incident': row.incident_id }, `${say(state.titles[row.rule]) || row.rule}`), ' ', el('time.quiet', {}, moment(row.opened_at_ms, nowMs())), ' ', el('span.quiet', {}, row.clause), ' ', answerChip(row.answer)))) : el('p.empty', {}, t('noneToday'))),
  ];
  return { told, mark: { number: n >= 0 ? n : null, place: now && [now.lon, now.lat], track } };
}

/** A date until when something is good, and whether that is over. */
const goodUntil = (until, lapsed, key) => until && el('span', {}, calendarDay(until), lapsed.includes(key) ? el('span.chip.violation', {}, t('lapsed')) : null);

function drivers(named) {
  const paper = (papers, key, word, none) => el('span', {}, papers[key] ? t(word, calendarDay(papers[key])) : t(none), papers.lapsed.includes(key) ? el('span.chip.violation', {}, t('lapsed')) : null);
  const driver = ({ driver_id: id, papers }) => el('li', {}, el('b', {}, id), ' ', papers ? el('span.papers', {}, paper(papers, 'trained_until', 'trainedUntil', 'notTrained'), paper(papers, 'insured_until', 'insuredUntil', 'notInsured')) : el('span.chip.violation', {}, t('driverUnknown')));
  return el('section', {}, el('h3', {}, t('driverPapers')), named.length ? el('ul.plain.drivers', {}, named.map(driver)) : el('p.empty', {}, t('noDrivers')));
}

const WIDTH = 340, HEIGHT = 90, FOOT = 16;
function curve(track) {
  const [from, to] = [track[0][0], track.at(-1)[0]], top = Math.max(20, ...track.map((point) => point[3])) * 1.05;
  const x = (ms) => 26 + ((ms - from) / Math.max(1, to - from)) * (WIDTH - 30), y = (speed) => (1 - speed / top) * (HEIGHT - FOOT - 4) + 4;
  const path = track.map(([ms, , , speed], place) => `${place ? 'L' : 'M'}${x(ms).toFixed(1)} ${y(speed).toFixed(1)}`).join('');
  const words = (text, at) => { const made = svg('text', at); made.textContent = text; return made; };
  const rules = [0, Math.round(top / 20) * 10].map((speed) => [svg('line', { x1: 26, x2: WIDTH - 4, y1: y(speed), y2: y(speed), class: 'rule' }), words(String(speed), { x: 22, y: y(speed) + 4, 'text-anchor': 'end' })]);
  return svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: 'curve', role: 'img', 'aria-label': t('lastHour') }, ...rules.flat(), svg('path', { d: path }), words(clock(from).slice(0, 5), { x: 26, y: HEIGHT - 3 }), words(clock(to).slice(0, 5), { x: WIDTH - 4, y: HEIGHT - 3, 'text-anchor': 'end' }));
}

const COVERED = '#side > nav, #filters, #list';
/** Show what is told of something; the form between it, if there is one, stays as it is. */
export function open({ told, form: given = null, after = [] }) {
  const panel = $('panel'), [before, shown, last] = panel.children;
  keepFocus(panel, () => {
    if (before && (shown?.matches('form') ? shown : null) === given) {
      before.replaceChildren(...told.filter(Boolean));
      (given ? last : shown).replaceChildren(...after.filter(Boolean));
    } else panel.replaceChildren(...[el('div.told', {}, told.filter(Boolean)), given, el('div.told', {}, after.filter(Boolean))].filter(Boolean));
  });
  panel.hidden = false;
  $('side').classList.add('has-panel');
  for (const one of document.querySelectorAll(COVERED)) one.inert = true;
}
export function close() {
  $('panel').hidden = true;
  $('panel').replaceChildren();
  opened = { key: null, form: null };
  $('side').classList.remove('has-panel');
  for (const one of document.querySelectorAll(COVERED)) one.inert = false;
}
