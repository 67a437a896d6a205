// What the server said: the state at first, then events, so that nothing is missed; whoever listens is told what has changed.
import { lang, setTimezone, t } from './words.js';

const MOST_HELD = 5_000; // incidents; the server hands out as many at first
const LONGEST_WAIT_MS = 60_000;
export const state = { incidents: new Map(), newest: [], older: 0, zones: [], shapes: null, enterprises: {}, titles: {}, basis: {}, duty: {}, header: null, city: null, epoch: 0, basemap: 0, lostAtMs: null, isFull: false };
const changes = new EventTarget();
export const on = (kinds, listener) => kinds.split(' ').forEach((kind) => changes.addEventListener(kind, listener));
export const changed = (kind, detail) => changes.dispatchEvent(new CustomEvent(kind, { detail }));

// --- incidents: by id, and in order, the newest first; the oldest that have ended are let go of ---
const comesAfter = (one, other) => one.opened_at_ms < other.opened_at_ms || (one.opened_at_ms === other.opened_at_ms && one.incident_id > other.incident_id);
function placeOf(row) {
  let [low, high] = [0, state.newest.length];
  while (low < high) { const middle = (low + high) >> 1; if (comesAfter(row, state.newest[middle])) low = middle + 1; else high = middle; }
  return low;
}
function remove(row) {
  state.incidents.delete(row.incident_id);
  const place = placeOf(row);
  if (state.newest[place]?.incident_id === row.incident_id) state.newest.splice(place, 1);
}
function put(row) {
  const known = state.incidents.get(row.incident_id);
  if (known) remove(known);
  const place = placeOf(row);
  if (place === state.newest.length && state.older > 0 && row.state !== 'open') return; // it is one of the older ones
  state.newest.splice(place, 0, row);
  state.incidents.set(row.incident_id, row);
  if (state.newest.length > MOST_HELD) { remove(state.newest.findLast((one) => one.state !== 'open') ?? state.newest.at(-1)); state.older += 1; }
}

function enterIncident(row) {
  const known = state.incidents.get(row.incident_id);
  if (known && known.revision >= row.revision) return;
  if (row.state !== 'retracted') put(known ? { ...row, answer: known.answer ?? row.answer, objected: known.objected } : { ...row, isNew: true });
  else if (known) remove(known);
  changed('incident', row);
}
function enterAnswer(said) {
  const known = state.incidents.get(said.incident_id);
  if (known) Object.assign(known, { answer: said.answer, objected: said.objected });
  changed('incident', said);
}
const ENTER = {
  incident: enterIncident,
  answer: enterAnswer,
  header: (header) => { state.header = header; changed('header'); },
  zones: (zones) => {
    const versionOf = (all) => all.map((zone) => [zone.zone_id, zone.valid_from_ms]).join();
    const isOther = versionOf(zones) !== versionOf(state.zones); // other ids, or another version of the pack has come into force
    state.zones = zones;
    if (isOther) reload(); else changed('zones');
  },
  registry: () => reload(),
  views: () => changed('views'),
  basemap: ({ version }) => { state.basemap = version; changed('basemap'); },
};

// --- the state as a whole; what happens while it is on its way is entered once it is here ---
let held = null;
let loaded = Promise.resolve();
let later = null;
const isLater = (id, after) => { const [[epoch, number], [afterEpoch, afterNumber]] = [id, after].map((one) => one.split('-')); return epoch === afterEpoch && Number(number) > Number(afterNumber); };

/** One load after the other; returns the event that the state goes on from. */
const load = () => (loaded = loaded.catch(() => {}).then(loadOnce));
async function loadOnce() {
  held = [];
  let after = null;
  try {
    const answer = await fetch('/api/state');
    if (!answer.ok) throw new Error(answer.statusText);
    const { incidents, ...found } = await answer.json();
    Object.assign(state, found, { incidents: new Map(incidents.map((row) => [row.incident_id, row])), newest: incidents.sort((one, other) => (comesAfter(one, other) ? 1 : -1)) });
    after = found.after;
  } finally {
    const missed = held;
    held = null;
    for (const [id, kind, data] of missed) if (after === null || isLater(id, after)) ENTER[kind](data);
  }
  setTimezone(state.city?.timezone);
  document.documentElement.dataset.epoch = state.epoch;
  changed('loaded');
  return after;
}
/** Load the state once more, soon: several reasons at once are one. */
function reload() {
  later ??= setTimeout(() => { later = null; load().then(() => changed('vehicles'), () => reload()); }, 500);
}

// --- events ---
let source = null;
let lastId = null;
let failures = 0;
let retrying = null;
const waitMs = () => Math.min(LONGEST_WAIT_MS, 1000 * 2 ** failures++);

/** Load the state and follow events until the page is left; whatever fails is tried again, ever more seldom. */
export async function follow() {
  try {
    lastId = await load();
    connect();
  } catch {
    lost();
    setTimeout(follow, waitMs());
  }
}
const address = () => `/api/events?since=${encodeURIComponent(lastId)}`;

/** Go on after the last event that came. */
function connect() {
  clearTimeout(retrying);
  if (document.hidden || lastId === null || (source && source.readyState !== EventSource.CLOSED)) return;
  source = new EventSource(address());
  source.onopen = () => { failures = 0; if (state.lostAtMs !== null || state.isFull) { Object.assign(state, { lostAtMs: null, isFull: false }); changed('header'); changed('views'); } };
  source.onerror = async () => {
    lost();
    if (source?.readyState !== EventSource.CLOSED) return; // it tries again by itself
    await whyNot();
    retrying = setTimeout(connect, waitMs());
  };
  source.addEventListener('fresh', (event) => { lastId = event.lastEventId; load().then(() => changed('fresh'), reload); });
  for (const [kind, enter] of Object.entries(ENTER)) {
    source.addEventListener(kind, (event) => {
      lastId = event.lastEventId;
      const data = JSON.parse(event.data);
      if (held) held.push([lastId, kind, data]); else enter(data);
    });
  }
}
/** Why no events come: the server says so to a request, not to an EventSource. */
async function whyNot() {
  const aborter = new AbortController();
  try {
    state.isFull = (await fetch(address(), { signal: aborter.signal })).status === 503;
    changed('header');
  } catch { /* nobody is there */ }
  aborter.abort();
}
function lost() {
  if (state.lostAtMs === null) { state.lostAtMs = Date.now(); changed('header'); }
}

// A browser has few connections to one server: a page that nobody sees keeps none, and goes on where it was once somebody does.
const ALIVE_EVERY_MS = 600_000;
document.addEventListener('visibilitychange', () => {
  if (!document.hidden) { failures = 0; connect(); return; }
  source?.close();
  source = null;
});
setInterval(() => { if (document.hidden) fetch('/api/me').catch(() => {}); }, ALIVE_EVERY_MS); // its session does not end meanwhile

export async function ask(path, body) {
  const answer = await fetch(path, body && { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
  const found = await answer.json().catch(() => null); // whoever stands between may answer in another way
  if (!answer.ok || found === null) throw Object.assign(new Error(inLanguage(found?.error ?? `HTTP ${answer.status}`)), { status: answer.status });
  return found;
}
/** What stands where nothing is known yet: a lost connection is said above, what the server refuses is said here. */
export const whyUnknown = (error) => (error instanceof TypeError ? t('loading') : error.message);
/** A sentence of the server's in the language of the page: it says them in English, " / ", Chinese. */
function inLanguage(sentence) {
  const [en, zh, ...more] = sentence.split(' / ');
  return zh === undefined || more.length ? sentence : lang() === 'zh' ? zh : en;
}
