// What the server said: the state at first, then events, so that nothing is missed; whoever listens is told what has changed.
import { setTimezone } from './words.js';

export const state = { incidents: new Map(), zones: [], shapes: null, enterprises: {}, titles: {}, basis: {}, duty: {}, header: null, city: null, epoch: 0, basemap: 0, lostAtMs: null };
const changes = new EventTarget();
export const on = (kinds, listener) => kinds.split(' ').forEach((kind) => changes.addEventListener(kind, listener));
export const changed = (kind, detail) => changes.dispatchEvent(new CustomEvent(kind, { detail }));

let source = null;
let loading = null;

async function load() {
  const answer = await fetch('/api/state');
  if (!answer.ok) throw new Error(answer.statusText);
  const { incidents, ...found } = await answer.json();
  Object.assign(state, found, { incidents: new Map(incidents.map((row) => [row.incident_id, row])) });
  setTimezone(state.city?.timezone);
  document.documentElement.dataset.epoch = found.epoch;
  changed('loaded');
  return found.after;
}

function enterIncident(row) {
  const known = state.incidents.get(row.incident_id);
  if (known && known.revision >= row.revision) return;
  if (row.state === 'retracted') state.incidents.delete(row.incident_id);
  else state.incidents.set(row.incident_id, known ? { ...row, answer: known.answer ?? row.answer } : { ...row, isNew: true });
  changed('incident', row);
}
function enterAnswer(said) {
  const known = state.incidents.get(said.incident_id);
  if (known) known.answer = said.answer;
  changed('incident', said);
}
const ENTER = {
  incident: enterIncident,
  answer: enterAnswer,
  header: (header) => { state.header = header; changed('header'); },
  zones: (zones) => {
    const isOther = zones.map((zone) => zone.zone_id).join() !== state.zones.map((zone) => zone.zone_id).join();
    state.zones = zones;
    if (isOther) reload(); else changed('zones');
  },
  registry: () => reload(),
  basemap: ({ version }) => { state.basemap = version; changed('basemap'); },
};

/** Load the state once more, soon: several reasons at once are one. */
function reload() {
  loading ??= setTimeout(() => { loading = null; load().then(() => changed('vehicles'), () => reload()); }, 500);
}

/** Load the state and follow events until the page is left; whatever fails is tried again. */
export async function follow() {
  try {
    const after = await load();
    source = new EventSource(`/api/events?since=${encodeURIComponent(after)}`);
  } catch {
    lost();
    setTimeout(follow, 1000);
    return;
  }
  source.onopen = () => { if (state.lostAtMs !== null) { state.lostAtMs = null; changed('header'); } };
  source.onerror = () => { lost(); if (source.readyState === EventSource.CLOSED) setTimeout(follow, 1000); };
  source.addEventListener('fresh', () => load().then(() => changed('fresh'), reload));
  for (const [kind, enter] of Object.entries(ENTER)) source.addEventListener(kind, (event) => enter(JSON.parse(event.data)));
}
function lost() {
  if (state.lostAtMs === null) { state.lostAtMs = Date.now(); changed('header'); }
}

export async function ask(path, body) {
  const answer = await fetch(path, body && { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.error ?? answer.statusText);
  return found;
}
