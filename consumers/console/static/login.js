// The page to log in on: after that the same address shows the console, and what its link leads to.
import { $, el } from './dom.js';
import { loginForm } from './login_form.js';
import { t, translate } from './words.js';

let me = { ended: false };
function draw() {
  const name = $('user-name')?.value ?? '';
  translate();
  document.title = `${t('logIn')} · 驿程 Yicheng`;
  $('lang').textContent = window.prefs.lang === 'zh' ? 'En' : '中';
  $('login').replaceChildren(me.ended ? el('p.quiet', { role: 'status' }, t('sessionOverPage')) : '', loginForm(fetch.bind(window), () => location.reload(), name));
  $(name ? 'password' : 'user-name').focus();
}
addEventListener('prefs', draw);
$('lang').addEventListener('click', () => window.prefs.set('lang', window.prefs.lang === 'zh' ? 'en' : 'zh'));
$('theme').addEventListener('click', () => window.prefs.set('theme', window.prefs.theme === 'dark' ? 'light' : 'dark'));
draw();
fetch('/api/me').then((answer) => answer.json()).then((found) => { me = found; if (me.ended) draw(); }, () => {});
