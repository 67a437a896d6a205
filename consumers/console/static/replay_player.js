// Where vehicles were at an instant of a replayed hour, and the clock that plays it. Times in ms, degrees, km/h.
export const SILENT_MS = 300000;
const STANDS_KMH = 1;
const NEAR_M = 5;
const LONGEST_FRAME_MS = 2000; // a page that was out of sight goes on where it was
const METRES_PER_DEGREE = 111195;

/** How many points of a way are no later than an instant. */
function countUntil(points, ms) {
  let [low, high] = [0, points.length];
  while (low < high) { const middle = (low + high) >> 1; if (points[middle][0] <= ms) low = middle + 1; else high = middle; }
  return low;
}

/** The direction from each point to the next, clockwise from north; where the vehicle did not move that of before. */
export function headings(points) {
  let heading = 0;
  return points.map(([, lon, lat], n) => {
    const [, lonNext, latNext] = points[n + 1] ?? [0, lon, lat];
    const east = (lonNext - lon) * Math.cos((lat * Math.PI) / 180), north = latNext - lat;
    if (Math.hypot(east, north) * METRES_PER_DEGREE > NEAR_M) heading = ((Math.atan2(east, north) * 180) / Math.PI + 360) % 360;
    return heading;
  });
}

/** Where a vehicle is at an instant: between two fixes on the line from one to the other; null before its first. ``isKnown``: a fix is near in time. */
export function placeAt({ points, headings: directions }, ms) {
  const n = countUntil(points, ms) - 1;
  if (n < 0) return null;
  const [from, lon, lat, speed] = points[n], next = points[n + 1];
  const apart = next ? next[0] - from : Infinity;
  if (apart > SILENT_MS) return { lon, lat, speed, heading: directions[n], isKnown: ms - from <= (next ? 0 : SILENT_MS), stands: speed === null || speed <= STANDS_KMH };
  const part = (ms - from) / apart;
  const isThere = part === 0 || (next[1] === lon && next[2] === lat);
  return { lon: isThere ? lon : lon + (next[1] - lon) * part, lat: isThere ? lat : lat + (next[2] - lat) * part, speed, heading: directions[n], isKnown: true, stands: speed !== null && speed <= STANDS_KMH };
}

/** Goes from an hour's beginning to its end, so many times as fast; ``moved`` is told each new instant. Where motion is not wanted it goes in steps of a second. */
export class Player {
  constructor(moved) { Object.assign(this, { moved, fromMs: 0, untilMs: 0, atMs: 0, speed: 10, isPlaying: false, stepMs: matchMedia('(prefers-reduced-motion: reduce)').matches ? 1000 : 0 }); }

  load(fromMs, untilMs) { Object.assign(this, { fromMs, untilMs }); this.go(Math.min(Math.max(this.atMs, fromMs), untilMs)); }

  go(ms) { this.atMs = Math.min(this.untilMs, Math.max(this.fromMs, ms)); this.moved(); }

  toggle() { if (this.isPlaying) this.pause(); else this.play(); }

  pause() { this.isPlaying = false; this.moved(); }

  play() {
    if (this.atMs >= this.untilMs) this.atMs = this.fromMs;
    this.isPlaying = true;
    let last = performance.now();
    const frame = (now) => {
      if (!this.isPlaying) return;
      if (now - last >= this.stepMs) {
        this.atMs = Math.min(this.untilMs, this.atMs + Math.min(now - last, LONGEST_FRAME_MS) * this.speed);
        last = now;
        if (this.atMs >= this.untilMs) this.isPlaying = false;
        this.moved();
      }
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
    this.moved();
  }
}
