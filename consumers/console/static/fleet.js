// Where the vehicles are: the server's binary frames in columns, and the table of ids that grows beside them (console/positions.py).
import { changed } from './store.js';

export const STATES = ['moving', 'standing', 'offending', 'silent'];
export const OFFENDING = 2;
export const UNKNOWN_HEADING = 65535;
const MAGIC = 0x31504359; // "YCP1"
const HEAD_BYTES = 32;

export const fleet = { epoch: 0, sequence: 0, count: 0, streamMs: 0, rows: [], lon: new Int32Array(0), lat: new Int32Array(0), fromLon: new Int32Array(0), fromLat: new Int32Array(0), heading: new Uint16Array(0), state: new Uint8Array(0), timeMs: new Float64Array(0), known: new Uint8Array(0) };
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
  const numbers = column(Uint32Array), lons = column(Int32Array), lats = column(Int32Array), headings = column(Uint16Array), ages = column(Uint16Array), states = column(Uint8Array);
  fleet.fromLon.set(fleet.lon); fleet.fromLat.set(fleet.lat);
  for (let row = 0; row < changedCount; row += 1) {
    const n = numbers[row];
    fleet.lon[n] = lons[row]; fleet.lat[n] = lats[row]; fleet.heading[n] = headings[row]; fleet.state[n] = states[row];
    fleet.timeMs[n] = fleet.streamMs - ages[row] * 1000;
    if (!fleet.known[n] || base === 0) { fleet.fromLon[n] = lons[row]; fleet.fromLat[n] = lats[row]; fleet.known[n] = 1; }
  }
  return at + Math.ceil((place - at) / 8) * 8;
}

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

export async function followPositions() {
  for (;;) {
    try {
      const answer = await fetch(`/api/positions?since=${fleet.sequence}&epoch=${fleet.epoch}`);
      const buffer = await answer.arrayBuffer();
      for (let at = 0; at < buffer.byteLength;) at = enterFrame(buffer, at);
      if (isStale || fleet.rows.length < fleet.count) await readIds();
      if (buffer.byteLength) changed('tick');
      else await new Promise((later) => { setTimeout(later, 200); });
    } catch {
      await new Promise((later) => { setTimeout(later, 1000); }); // the header says that the connection is lost
    }
  }
}
/** A vehicle's number; -1 where no position of it has come yet, even if its id has. */
export const numberOf = (vehicleId) => { const n = fleet.rows.findIndex((row) => row[0] === vehicleId); return n < fleet.count ? n : -1; };
export const placeOf = (n) => [fleet.lon[n] / 1e7, fleet.lat[n] / 1e7];
