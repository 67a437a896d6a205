// Where the vehicles are: the server's binary frames in columns, and the table of ids that grows beside them (console/positions.py).
import { changed } from './store.js';

export const STATES = ['moving', 'standing', 'offending', 'silent'];
export const OFFENDING = 2;
export const UNKNOWN_HEADING = 65535;
const MAGIC = 0x31504359; // "YCP1"
const CLUSTERED = 0x31474359; // "YCG1"
const CLUSTERED_BELOW = 11, MOST_SINGLE = 20_000; // below that zoom, and with more vehicles, the server counts them on a grid
const HEAD_BYTES = 32;

export const fleet = { epoch: 0, sequence: 0, count: 0, streamMs: 0, rows: [], lon: new Int32Array(0), lat: new Int32Array(0), fromLon: new Int32Array(0), fromLat: new Int32Array(0), heading: new Uint16Array(0), state: new Uint8Array(0), timeMs: new Float64Array(0), known: new Uint8Array(0), clusters: null };
const COLUMNS = ['lon', 'lat', 'fromLon', 'fromLat', 'heading', 'state', 'timeMs', 'known'];

function grow(size) {
  for (const name of COLUMNS) {
    if (fleet[name].length >= size) continue;
    const grown = new fleet[name].constructor(Math.max(256, size * 2));
    grown.set(fleet[name]);
    fleet[name] = grown;
  }
}
function forget() {
  Object.assign(fleet, { sequence: 0, count: 0, rows: [] });
  fleet.known.fill(0);
}

/** Enter the frame that begins there; returns where the next one begins. */
export function enterFrame(buffer, at) {
  const head = new DataView(buffer, at, HEAD_BYTES);
  if (head.getUint32(0, true) !== MAGIC) throw new Error('no frame of positions');
  const [epoch, sequence, base, changedCount, idCount] = [4, 8, 12, 16, 20].map((place) => head.getUint32(place, true));
  if (epoch !== fleet.epoch) { forget(); fleet.epoch = epoch; }
  fleet.sequence = sequence;
  fleet.streamMs = head.getFloat64(24, true);
  grow(idCount);
  fleet.count = idCount;
  let place = at + HEAD_BYTES;
  const column = (kind) => { const found = new kind(buffer, place, changedCount); place += found.byteLength; return found; };
  const numbers = column(Uint32Array), lons = column(Int32Array), lats = column(Int32Array), ages = column(Uint32Array), headings = column(Uint16Array), states = column(Uint8Array);
  fleet.fromLon.set(fleet.lon); fleet.fromLat.set(fleet.lat);
  for (let row = 0; row < changedCount; row += 1) {
    const n = numbers[row];
    fleet.lon[n] = lons[row]; fleet.lat[n] = lats[row]; fleet.heading[n] = headings[row]; fleet.state[n] = states[row];
    fleet.timeMs[n] = fleet.streamMs - ages[row] * 1000;
    if (!fleet.known[n] || base === 0) { fleet.fromLon[n] = lons[row]; fleet.fromLat[n] = lats[row]; fleet.known[n] = 1; }
  }
  return at + Math.ceil((place - at) / 8) * 8;
}

/** Enter a frame of cells, each with how many vehicles it has and how many of them offend or are silent; it stands for all that was drawn before. */
export function enterClusters(buffer) {
  const head = new DataView(buffer, 0, HEAD_BYTES), [epoch, sequence, zoom, cells, total] = [4, 8, 12, 16, 20].map((place) => head.getUint32(place, true));
  if (epoch !== fleet.epoch) { forget(); fleet.epoch = epoch; }
  fleet.sequence = sequence;
  fleet.streamMs = head.getFloat64(24, true);
  const column = (kind, place) => new kind(buffer, HEAD_BYTES + place * cells * 4, cells);
  fleet.clusters = { zoom, total, lon: column(Int32Array, 0), lat: column(Int32Array, 1), number: column(Uint32Array, 2), offending: column(Uint32Array, 3), silent: column(Uint32Array, 4) };
}
function enter(buffer) {
  if (buffer.byteLength >= HEAD_BYTES && new DataView(buffer).getUint32(0, true) === CLUSTERED) { enterClusters(buffer); return; }
  for (let at = 0; at < buffer.byteLength;) { at = enterFrame(buffer, at); fleet.clusters = null; }
}
/** How many vehicles there are, also where they come as cells. */
export const vehicleCount = () => fleet.clusters?.total ?? fleet.count;

let [zoom, wantsAll] = [null, false];
/** What is looked at: the map's zoom, and whether the table of vehicles is open, which wants each of them. */
export function look({ zoom: other = zoom, all = wantsAll }) {
  const before = gridOf(zoom, wantsAll);
  [zoom, wantsAll] = [other, all];
  if (gridOf(zoom, wantsAll) === before || vehicleCount() <= MOST_SINGLE) return;
  fleet.sequence = 0; // from another grid, or from cells to vehicles, nothing can be gone on from
  aborter?.abort();
}
const gridOf = (at, all) => (at === null || all || at >= CLUSTERED_BELOW ? null : Math.floor(at));

let isStale = false;
async function readIds() {
  const isAnew = isStale, since = isAnew ? 0 : fleet.rows.length;
  isStale = false;
  const answer = await (await fetch(`/api/vehicles?since=${since}`)).json();
  if (answer.epoch !== fleet.epoch) return;
  fleet.rows = isAnew ? answer.rows : fleet.rows.concat(answer.rows);
  changed('vehicles');
}
/** Ids, plates and enterprises are to be asked for anew: the registry has changed. */
export const renewIds = () => { isStale = true; };

const LONGEST_WAIT_MS = 10_000;
let aborter = null;
let failures = 0;
document.addEventListener('visibilitychange', () => { if (document.hidden) aborter?.abort(); });
/** Until somebody sees the page: one that is hidden keeps no connection. */
const seen = () => new Promise((go) => { if (!document.hidden) go(); else document.addEventListener('visibilitychange', () => go(), { once: true }); });

export async function followPositions() {
  for (;;) {
    await seen();
    aborter = new AbortController();
    try {
      const grid = gridOf(zoom, wantsAll);
      const answer = await fetch(`/api/positions?since=${fleet.sequence}&epoch=${fleet.epoch}${grid === null ? '' : `&zoom=${grid}`}`, { signal: aborter.signal });
      if (!answer.ok) throw new Error(answer.statusText);
      const buffer = await answer.arrayBuffer();
      failures = 0;
      enter(buffer);
      if (isStale || fleet.rows.length < fleet.count) await readIds();
      if (buffer.byteLength) changed('tick');
      else await new Promise((later) => { setTimeout(later, 200); });
    } catch {
      const waitMs = Math.min(LONGEST_WAIT_MS, 1000 * 2 ** failures++);
      if (!aborter.signal.aborted) await new Promise((later) => { setTimeout(later, waitMs); }); // the header says that the connection is lost
    }
  }
}
/** A vehicle's number; -1 where no position of it has come yet, even if its id has. */
export const numberOf = (vehicleId) => { const n = fleet.rows.findIndex((row) => row[0] === vehicleId); return n < fleet.count ? n : -1; };
export const placeOf = (n) => [fleet.lon[n] / 1e7, fleet.lat[n] / 1e7];
