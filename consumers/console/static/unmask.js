// The drivers of a vehicle: masked for whoever has logged in, until an officer says why they are to be shown.
import { el } from './dom.js';
import { me } from './access.js';
import { ask } from './store.js';
import { t } from './words.js';

const shown = new Map(); // by vehicle, as long as the page is open

/** What stands for the drivers; null where there are none. */
export function driversOf(vehicleId, record) {
  const ids = record?.driver_ids;
  if (!ids?.length) return null;
  if (!me.masked.includes('driver')) return ids.join('、');
  if (shown.has(vehicleId)) return shown.get(vehicleId);
  if (me.role === 'viewer') return ids.join('、');
  const place = el('span', {}, ids.join('、'), ' ', el('button.link', { type: 'button', id: 'unmask', onclick: () => place.replaceChildren(form(vehicleId, place)) }, t('unmask')));
  return place;
}

function form(vehicleId, place) {
  const reason = el('input', { id: 'unmask-reason', type: 'text', required: true, maxLength: 500, 'aria-label': t('unmaskReason'), placeholder: t('unmaskReason') }), outcome = el('span.problem', { role: 'alert' });
  const send = async (event) => {
    event.preventDefault();
    try {
      const found = await ask('/api/unmask', { vehicle_id: vehicleId, reason: reason.value });
      shown.set(vehicleId, found.record.driver_ids.join('、'));
      place.replaceChildren(shown.get(vehicleId));
    } catch (error) {
      outcome.textContent = t('notSent', error.message);
    }
  };
  setTimeout(() => reason.focus());
  return el('form.unmask', { onsubmit: send }, reason, el('button.plain', { type: 'submit' }, t('unmaskNow')), outcome);
}
