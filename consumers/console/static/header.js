// The figures above the page, and the line that says what is wrong.
import { $, el } from './dom.js';
import { fleet } from './fleet.js';
import { state } from './store.js';
import { clock, day, number, percent, say, t } from './words.js';

function rate(found) {
  if (!found || found.rate === null || found.rate === undefined) return [el('span.quiet', {}, t('noRate'))];
  const isLow = found.target !== null && found.rate < found.target;
  const bar = el('span.bullet', { 'aria-hidden': 'true' }, el(`i${isLow ? '.low' : ''}`), found.target === null ? null : el('b'));
  bar.firstChild.style.width = `${Math.min(100, found.rate * 100)}%`;
  if (found.target !== null) bar.lastChild.style.left = `${found.target * 100}%`;
  const notes = [found.target === null ? null : t('target', percent(found.target, 0)), found.forecast === null || found.forecast === undefined ? null : t('forecast', percent(found.forecast))].filter(Boolean).join(' · ');
  return [el(`span.value${isLow ? '.low' : ''}`, { title: notes }, percent(found.rate)), bar, el('small', {}, found.target === null ? '' : t('target', percent(found.target, 0)))];
}

let freshUntil = 0;
export const sayFresh = () => { freshUntil = Date.now() + 6000; setTimeout(drawHeader, 6100); drawHeader(); };

export function drawHeader() {
  const { header, city } = state;
  $('city').textContent = say(city) || '驿程';
  $('product').textContent = state.replaying ? t('replaying') : city ? '驿程 Yicheng' : 'Yicheng';
  document.title = `${say(city) || 'Yicheng'} · 驿程 Yicheng`;
  if (header) {
    $('stream-time').replaceChildren(...(header.stream_ms ? [clock(header.stream_ms), el('small', {}, day(header.stream_ms))] : ['–']));
    $('fixes').textContent = number(header.fixes_per_s >= 10 ? Math.round(header.fixes_per_s) : header.fixes_per_s);
    $('vehicle-count').textContent = number(Math.max(header.vehicles, fleet.count));
    $('open').textContent = number(header.open);
    $('unanswered').textContent = number(header.unanswered);
    $('electronic').replaceChildren(...rate(header.rates.electronic));
    $('green').replaceChildren(...rate(header.rates.green));
  }
  const problem = state.lostAtMs !== null ? t('lost', clock(state.lostAtMs)) : say(header?.status) || (Date.now() < freshUntil ? t('fresh') : '');
  $('status').textContent = problem;
  $('status').hidden = !problem;
  $('status').classList.toggle('bad', state.lostAtMs !== null || Boolean(header?.status));
}
