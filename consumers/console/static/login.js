// The page to log in on: after that the same address shows the console, and what its link leads to.
import { $, el } from './dom.js';
import { waysIn } from './login_form.js';
import { t, translate } from './words.js';

const OUTCOMES = { again: 'againLogin', refused: 'refusedLogin', norole: 'noRoleLogin', unavailable: 'noProvider' };
let me = {};

/** The same address anew, without what the last attempt came to. */
function enter() {
  const asked = new URLSearchParams(location.search);
  if (!asked.has('login')) { location.reload(); return; }
  asked.delete('login');
  location.replace(`/?${asked}${location.hash}`);
}

function draw() {
  const name = $('user-name')?.value ?? '', outcome = OUTCOMES[new URLSearchParams(location.search).get('login')];
  translate();
  document.title = `${t('logIn')} · 驿程 Yicheng`;
  $('lang').textContent = window.prefs.lang === 'zh' ? 'En' : '中';
  const said = outcome ? el('p.problem', { role: 'alert' }, t(outcome)) : me.ended ? el('p.quiet', { role: 'status' }, t('sessionOverPage')) : '';
  $('login').replaceChildren(said, ...waysIn(fetch.bind(window), enter, { ...me, name }));
  $('login').querySelector(name ? '#password' : '#user-name, #by-provider').focus();
}
addEventListener('prefs', draw);
$('lang').addEventListener('click', () => window.prefs.set('lang', window.prefs.lang === 'zh' ? 'en' : 'zh'));
$('theme').addEventListener('click', () => window.prefs.set('theme', window.prefs.theme === 'dark' ? 'light' : 'dark'));
fetch('/api/me').then((answer) => answer.json()).then((found) => { me = found; }, () => {}).finally(draw);
