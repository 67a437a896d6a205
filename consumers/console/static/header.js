// The figures above the page, and the line that says what is wrong.
import { $, bullet, el } from './dom.js';
import { vehicleCount } from './fleet.js';
import { state } from './store.js';
import { clock, day, number, percent, say, t } from './words.js';

function rate(found) {
  if (!found || found.rate === null || found.rate === undefined) return [unknown(t('noRateYet')), el('small', {}, found ? notesOn(found) : '')];
  const target = cityTarget(found), isLow = target !== null && found.rate < target;
  return [el(`span.value${isLow ? '.low' : ''}`, {}, percent(found.rate)), bullet(found.rate, target), el('small', {}, notesOn(found))];
}
/** The target that the whole city is held against: none where it is one of the primary brands. */
const cityTarget = ({ target, scope }) => (scope ? null : target);
/** A figure that is not known, and why. */
const unknown = (why) => el('span.quiet', { title: why }, '–');
/** Its target and what the day is forecast to end with. */
function notesOn({ target, scope, forecast }) {
  const isForecast = forecast !== null && forecast !== undefined, isLow = isForecast && !scope && target !== null && forecast < target;
  const aim = target === null ? el('span', { title: t('noTarget') }, t('target', '–')) : el('span', { title: scope ? t('targetOnlyOf', say(scope)) : null }, t('target', percent(target, 0)), scope ? ' *' : '');
  if (state.replaying && !isForecast) return [aim]; // the day is over
  return [aim, ' · ', el(`span${isLow ? '.low' : ''}`, { title: isForecast ? null : t('noForecast') }, t('forecast', isForecast ? percent(forecast) : '–'))];
}
function lag(found) {
  if (!found || found.records === null) return unknown(say(found?.unknown));
  return el(`span${found.is_still ? '.low' : ''}`, { title: found.is_still ? t('lagStill') : t('lagOf') }, number(found.records));
}

const STILL_MS = 60_000;
const moved = { streamMs: null, atMs: Date.now() };
/** Since when (ms, this machine's clock) stream time has not gone on, if that is long; else null. */
export const standsStillSince = () => (Date.now() - moved.atMs > STILL_MS ? moved.atMs : null);
setInterval(() => drawHeader(), 10_000);

let freshUntil = 0;
export const sayFresh = () => { freshUntil = Date.now() + 6000; setTimeout(drawHeader, 6100); drawHeader(); };

export function drawHeader() {
  const { header, city } = state;
  document.documentElement.classList.toggle('replayed', Boolean(state.replaying));
  $('city').textContent = say(city) || '驿程';
  $('product').textContent = state.replaying ? t('replaying') : city ? '驿程 Yicheng' : 'Yicheng';
  document.title = `${say(city) || 'Yicheng'} · 驿程 Yicheng`;
  if (header) {
    if (header.stream_ms !== moved.streamMs) Object.assign(moved, { streamMs: header.stream_ms, atMs: Date.now() });
    const still = standsStillSince();
    $('stream-time').replaceChildren(...(header.stream_ms ? [clock(header.stream_ms), el('small', {}, day(header.stream_ms))] : [unknown(t('noFixYet'))]));
    $('stream-time').classList.toggle('low', still !== null && header.stream_ms > 0);
    $('stream-time').title = still !== null && header.stream_ms ? t('standsStill', clock(still)) : '';
    $('lag').replaceChildren(lag(header.lag));
    $('fixes').textContent = number(header.fixes_per_s >= 10 ? Math.round(header.fixes_per_s) : header.fixes_per_s);
    $('vehicle-count').textContent = number(Math.max(header.vehicles, vehicleCount()));
    $('open').textContent = number(header.open);
    $('unanswered').textContent = number(header.unanswered);
    $('electronic').replaceChildren(...rate(header.rates.electronic));
    $('green').replaceChildren(...rate(header.rates.green));
  }
  const problem = state.isFull ? t('tooManyViewers') : state.lostAtMs !== null ? t('lost', clock(state.lostAtMs)) : say(header?.status) || (Date.now() < freshUntil ? t('fresh') : '');
  $('status').textContent = problem;
  $('status').hidden = !problem;
  $('status').classList.toggle('bad', state.lostAtMs !== null || Boolean(header?.status));
}
