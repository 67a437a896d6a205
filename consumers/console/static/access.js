// Who looks at the page. What the role does not allow is not offered (the server refuses it, too); a session that has ended is begun anew over the page, so that
// nothing that was being written is lost: what is asked meanwhile waits.
import { showAudit } from './audit.js';
import { $, el } from './dom.js';
import { goOn, waysIn } from './login_form.js';
import { t, translate } from './words.js';

const ask = window.fetch.bind(window);
export const me = { login: false, name: null, role: 'admin', masked: [], isOut: false };
const isWall = new URLSearchParams(location.search).has('wall'); // nobody is there to log in: the wall says so in a line, and goes on once somebody has
let returning = null;

/** Until whoever looks has logged in again; another user gets another page. */
function logInAgain() {
  returning ??= new Promise((resolve) => {
    const entered = (who) => {
      if (me.name !== null && (who.name !== me.name || who.role !== me.role)) { location.reload(); return; }
      returning = null;
      dialog.close();
      dialog.remove();
      resolve();
    };
    const dialog = el('dialog.login-dialog', { 'aria-labelledby': 'login-title', oncancel: (event) => event.preventDefault(), onkeydown: (event) => { event.stopPropagation(); if (event.key === 'Escape') event.preventDefault(); } },
      el('h2', { id: 'login-title' }, t('sessionOver')), el('p', {}, t('sessionOverNote')), ...waysIn(ask, entered, me));
    document.body.append(dialog);
    dialog.showModal();
    (dialog.querySelector('#password') ?? dialog.querySelector('#by-provider')).focus();
  });
  return returning;
}

window.fetch = async (...given) => {
  const answer = await ask(...given);
  me.isOut = answer.status === 401;
  if (!me.isOut || isWall) return answer;
  await logInAgain();
  return ask(...given);
};

async function logOut() {
  await ask('/api/logout', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{}' });
  location.reload();
}

function draw() {
  document.documentElement.dataset.role = me.role;
  document.documentElement.classList.toggle('named', me.login);
  $('me')?.remove();
  $('me-menu')?.remove();
  if (!me.login) return;
  if (me.masked.includes('plate')) { $('search').dataset.p = $('search').dataset.l = 'searchNumber'; translate($('filters')); }
  const label = t('loggedInAs', me.name, t(`role-${me.role}`));
  const menu = el('div', { id: 'me-menu', popover: 'auto', onkeydown: (event) => event.stopPropagation() }, el('p', {}, el('b', {}, me.name), ' ', el('span.chip', {}, t(`role-${me.role}`))), el('p.quiet', {}, t(`may-${me.role}`)),
    me.role === 'admin' ? el('button.plain', { type: 'button', id: 'audit', onclick: () => { menu.hidePopover(); showAudit(); } }, t('auditLog')) : null, el('button.plain', { type: 'button', id: 'log-out', onclick: logOut }, t('logOut')));
  const onkeydown = (event) => { if (event.key === 'Escape' && menu.matches(':popover-open')) event.stopPropagation(); };
  const button = el('button', { type: 'button', id: 'me', title: label, 'aria-label': label, onkeydown }, [...me.name][0].toUpperCase());
  document.querySelector('.switches').append(button, menu);
  button.popoverTargetElement = menu;
}

ask('/api/me').then((answer) => answer.json()).then((found) => { Object.assign(me, found); draw(); goOn(); }, () => {});
addEventListener('prefs', draw);
