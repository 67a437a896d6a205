// The form to log in with, on its own page or over a page whose session has ended.
import { el } from './dom.js';
import { t } from './words.js';

const PROBLEMS = { 401: 'wrongLogin', 413: 'wrongLogin', 503: 'busyLogin' };
const headers = { 'Content-Type': 'application/json' };

async function problemOf(answer) {
  if (answer.status === 429) return t('waitLogin', answer.headers.get('Retry-After'));
  return t(PROBLEMS[answer.status] ?? 'failedLogin');
}

/** The organisation's own way in; what was looked at is looked at again afterwards (`goOn`). */
function byProvider() {
  const leave = () => { try { sessionStorage.setItem('after-login', location.hash); } catch { /* then the page begins anew */ } };
  return el('a.primary', { href: '/oidc/login', id: 'by-provider', onclick: leave }, t('byProvider'));
}
export function goOn() {
  try {
    const hash = sessionStorage.getItem('after-login');
    sessionStorage.removeItem('after-login');
    if (hash && !location.hash) location.hash = hash;
  } catch { /* it begins anew */ }
}

/** The ways in that there are; `ask` fetches, `entered` is called with name and role once somebody has logged in. */
export const waysIn = (ask, entered, { name, password, provider }) => [password === false ? null : loginForm(ask, entered, name ?? ''), provider ? byProvider() : null].filter(Boolean);

function loginForm(ask, entered, name) {
  const field = (id, type, autocomplete, value) => el('input', { id, name: id, type, autocomplete, value, required: true, maxLength: 200, autocapitalize: 'none', spellcheck: false });
  const who = field('user-name', 'text', 'username', name), password = field('password', 'password', 'current-password', '');
  const outcome = el('p.problem', { role: 'alert' }), button = el('button.primary', { type: 'submit' }, t('logIn'));
  const submit = async (event) => {
    event.preventDefault();
    button.disabled = true;
    outcome.textContent = '';
    try {
      const answer = await ask('/api/login', { method: 'POST', headers, body: JSON.stringify({ name: who.value, password: password.value }) });
      if (answer.ok) { entered(await answer.json()); return; }
      outcome.textContent = await problemOf(answer);
    } catch {
      outcome.textContent = t('noServer');
    } finally {
      button.disabled = false;
    }
    password.value = '';
    password.focus();
  };
  return el('form.login-form', { onsubmit: submit }, el('label', { htmlFor: 'user-name' }, t('userName')), who, el('label', { htmlFor: 'password' }, t('password')), password, button, outcome);
}
