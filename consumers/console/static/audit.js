// The audit log, for admins: who did what, the newest first, over the page.
import { el } from './dom.js';
import { ask } from './store.js';
import { instant, number, t } from './words.js';

const worded = (key, name) => (t(`${key}-${name}`) === `${key}-${name}` ? name : t(`${key}-${name}`));
const about = (entry) => Object.entries(entry.about).filter(([name, value]) => value !== null && name !== 'through').map(([name, value]) => `${worded('about', name)}${t('colon')}${value}`).join(' · ');
const row = (entry) => el('tr', {}, el('td.num', {}, String(entry.number)), el('td', {}, el('time', {}, instant(entry.time_ms))), el('th', { scope: 'row' }, worded('did', entry.action)), el('td', {}, entry.by ?? '–'), el('td.about', {}, about(entry)));

function table(found) {
  const heads = ['line-number', 'time', 'action', 'who', 'about'].map((name) => el('th', { scope: 'col' }, t(name)));
  const outcome = found.broken === null ? el('p.quiet', {}, t('auditFits', number(found.lines))) : el('p.problem', { role: 'alert' }, t('auditBroken', number(found.broken)));
  return [outcome, found.entries.length ? el('div.scroll', { tabIndex: 0, role: 'region', 'aria-label': t('auditLog') }, el('table', {}, el('thead', {}, el('tr', {}, heads)), el('tbody', {}, found.entries.map(row)))) : el('p.empty', {}, t('auditEmpty'))];
}

/** Show the log; Escape or the button closes it. */
export async function showAudit() {
  const close = el('button.back', { type: 'button', 'aria-label': t('close'), title: t('close'), onclick: () => dialog.close() }, '×');
  const place = el('div', {}, el('p.quiet', {}, t('loading')));
  const dialog = el('dialog.audit', { 'aria-labelledby': 'audit-title', onkeydown: (event) => event.stopPropagation(), onclose: () => dialog.remove() }, el('div.audit-head', {}, el('h2', { id: 'audit-title' }, t('auditLog')), close), place);
  document.body.append(dialog);
  dialog.showModal();
  try {
    place.replaceChildren(...table(await ask('/api/audit')));
  } catch (error) {
    place.replaceChildren(el('p.problem', { role: 'alert' }, error.message));
  }
}
