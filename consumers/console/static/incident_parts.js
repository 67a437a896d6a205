// Parts of an incident's panel: all of its evidence, and who was notified of it, when and with what result.
import { el } from './dom.js';
import { ask } from './store.js';
import { clock, instant, say, t } from './words.js';

/** Whether somebody has answered an incident, and what. */
export const answerChip = (answer) => el(`span.chip.${answer ?? 'waits'}`, {}, t(answer ?? 'unanswered'));

/** Fixes and scans that an incident rests on, each with its time, place, speed and id. */
export function evidenceList(evidence) {
  const place = (one) => (one.lon === null || one.lat === null ? null : el('span.quiet', {}, `${one.lat.toFixed(5)}, ${one.lon.toFixed(5)}`));
  return el('section', {}, el('h3', {}, t('evidence')), el('ol.evidence', {}, evidence.map((one) => el('li', {}, el('time', {}, clock(one.event_time_ms)), place(one), one.speed_kmh === null ? null : el('span', {}, t('kmh', one.speed_kmh.toFixed(0))), one.event_id ? el('small.event-id', {}, one.event_id) : null))));
}

function delivery(one) {
  const result = { delivered: 'acknowledged', failed: 'violation', dropped: 'ended', pending: 'warning' }[one.state];
  const when = one.done_ms === null ? t('due', instant(one.due_ms)) : instant(one.done_ms);
  const more = [one.route, t('revisionNo', one.revision), one.step ? t('escalation', one.step) : null, one.attempts > 1 ? t('tries', one.attempts) : null, one.answer === 'taken' ? t('taken') : one.answer].filter(Boolean);
  return el('li', {}, el('b', {}, one.sink), ' ', el(`span.chip.${result}`, {}, t(one.state)), one.is_off ? [' ', el('span.chip.violation', { title: t('sinkOffWhy') }, t('sinkOff'))] : null, ' ', el('time.quiet', {}, when), el('p.quiet', {}, more.join(' · ')));
}

/** The notifier's log of an incident; where it is not on this machine, how to see it. */
export async function notifiedSection(id) {
  const found = await ask(`/api/deliveries?id=${encodeURIComponent(id)}`).catch(() => null);
  const words = !found ? el('p.empty', {}, t('loading')) : found.elsewhere ? el('p.quiet.elsewhere', {}, say(found.elsewhere)) : found.deliveries.length ? el('ul.plain', {}, found.deliveries.map(delivery)) : el('p.empty', {}, t('noneNotified'));
  return el('section.notified', {}, el('h3', {}, t('notified')), words);
}

/** What a printed page says of itself, and the button that prints it. */
export const printButton = () => el('button.link.print', { type: 'button', onclick: () => { document.body.dataset.printed = `${t('printedAt', instant(Date.now()))} · ${location.href}`; window.print(); } }, t('print'));
