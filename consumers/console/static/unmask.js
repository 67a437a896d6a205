// Drivers: masked for whoever has logged in, until an officer says why they are to be shown. What was shown stays so as long as the page is open.
import { el } from './dom.js';
import { me } from './access.js';
import { ask, changed } from './store.js';
import { t } from './words.js';

const shown = new Map(); // what the server said, by kind and id
const forms = new Map(); // those that are open

/** A vehicle's record as this page may show it. */
export const unmasked = (vehicleId, record) => shown.get(`vehicle_id ${vehicleId}`)?.record ?? record;

/** What stands for a vehicle's drivers; null where there are none. */
export const driversOf = (vehicleId, record) => named('vehicle_id', vehicleId, record?.driver_ids?.join('、'));

/** What stands for an incident's driver. */
export const driverOf = (incidentId, driverId) => named('incident_id', incidentId, shown.get(`incident_id ${incidentId}`)?.driver_id ?? driverId);

function named(kind, id, names) {
  const key = `${kind} ${id}`;
  if (!names || !me.masked.includes('driver') || me.role === 'viewer' || shown.has(key)) return names || null;
  if (forms.has(key)) return moved(forms.get(key));
  const begin = () => { forms.set(key, form(kind, id)); place.replaceChildren(forms.get(key)); };
  const place = el('span', {}, names, ' ', el('button.link', { type: 'button', id: 'unmask', onclick: begin }, t('unmask')));
  return place;
}

/** A form on its way into a panel that is drawn anew; whoever was writing in it goes on. */
function moved(known) {
  const at = document.activeElement;
  if (known.contains(at)) setTimeout(() => at.focus());
  return known;
}

function form(kind, id) {
  const reason = el('input', { id: 'unmask-reason', type: 'text', required: true, maxLength: 500, 'aria-label': t('unmaskReason'), placeholder: t('unmaskReason') }), outcome = el('span.problem', { role: 'alert' });
  const send = async (event) => {
    event.preventDefault();
    try {
      shown.set(`${kind} ${id}`, await ask('/api/unmask', { [kind]: id, reason: reason.value }));
      forms.delete(`${kind} ${id}`);
      changed('unmasked');
    } catch (error) {
      outcome.textContent = t('notSent', error.message);
    }
  };
  setTimeout(() => reason.focus());
  return el('form.unmask', { onsubmit: send }, reason, el('button.plain', { type: 'submit', id: 'unmask-now' }, t('unmaskNow')), outcome);
}
