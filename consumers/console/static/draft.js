// A draft of the pack's zones: what is drawn, moved and named, with undo, kept in this browser. No page, no map; the live policy is not touched.
export const DIGITS = 6; // of a degree: 0.1 m
const MOST_STEPS = 200;
export const rounded = ([lon, lat]) => [Number(lon.toFixed(DIGITS)), Number(lat.toFixed(DIGITS))];
const isSame = (one, other) => one[0] === other[0] && one[1] === other[1];

// --- rings: a zone's outline (ring 0 of a polygon) and its holes, without the repeated last point ---
const polygonsOf = (geometry) => (!geometry ? [] : geometry.type === 'MultiPolygon' ? geometry.coordinates : [geometry.coordinates]);
const open = (ring) => (ring.length > 1 && isSame(ring[0], ring.at(-1)) ? ring.slice(0, -1) : ring);
/** Every ring of a geometry: [polygon, ring] and its points. */
export const ringsOf = (geometry) => polygonsOf(geometry).flatMap((rings, p) => rings.map((ring, r) => ({ path: [p, r], points: open(ring) })));
/** The geometry with another ring in one's place; no points: without that hole. */
function withRing(geometry, [p, r], points) {
  const closed = points.length ? [[...points, points[0]]] : [];
  const polygons = polygonsOf(geometry).map((rings, n) => (n === p ? [...rings.slice(0, r), ...closed, ...rings.slice(r + 1)] : rings));
  return geometry.type === 'MultiPolygon' ? { ...geometry, coordinates: polygons } : { ...geometry, coordinates: polygons[0] };
}

export class Draft extends EventTarget {
  /** Begins with the pack's zone file, or goes on with what this browser kept of it. */
  constructor({ policy, file, collection }) {
    super();
    Object.assign(this, { policy, file, key: `draft of ${policy}`, original: collection, head: { ...collection, features: undefined }, before: [], after: [], selected: null, wasKept: false, isOfOtherFile: false });
    this.features = collection.features;
    this.known = new Set(collection.features.map((feature) => JSON.stringify(feature)));
    const kept = this.read();
    if (kept) Object.assign(this, { features: kept.features, wasKept: true, isOfOtherFile: kept.of !== JSON.stringify(collection) });
  }

  read() {
    try {
      const kept = JSON.parse(localStorage.getItem(this.key));
      return Array.isArray(kept?.features) && kept.features.every((feature) => feature?.properties && 'geometry' in feature) ? kept : null;
    } catch { return null; }
  }

  keep() {
    try {
      if (this.isChanged) localStorage.setItem(this.key, JSON.stringify({ of: JSON.stringify(this.original), features: this.features }));
      else localStorage.removeItem(this.key);
    } catch { /* then it lasts as long as this page */ }
  }

  get collection() { return { ...this.head, features: this.features }; }
  get isChanged() { return JSON.stringify(this.features) !== JSON.stringify(this.original.features); }
  get zone() { return this.selected === null ? null : this.features[this.selected] ?? null; }
  isNew(feature) { return !this.known.has(JSON.stringify(feature)); }
  at(zoneId) { const place = this.features.findIndex((feature) => String(feature.properties.id) === zoneId); return place < 0 ? null : place; }

  told() { this.keep(); this.dispatchEvent(new Event('change')); }
  select(place) { if (place === this.selected) return; this.selected = place; this.dispatchEvent(new Event('change')); }

  /** Other features, and which is selected then: one step that can be undone. */
  step(features, selected = this.selected) {
    this.before.push([this.features, this.selected]);
    if (this.before.length > MOST_STEPS) this.before.shift();
    this.after = [];
    Object.assign(this, { features, selected });
    this.told();
  }

  undo() { this.back(this.before, this.after); }
  redo() { this.back(this.after, this.before); }
  back(from, to) {
    if (!from.length) return;
    to.push([this.features, this.selected]);
    [this.features, this.selected] = from.pop();
    this.told();
  }

  /** Everything as the pack has it; this too can be undone. */
  drop() { this.isOfOtherFile = false; this.step(this.original.features, null); }

  put(feature) { this.step(this.features.map((one, place) => (place === this.selected ? feature : one))); }
  name(key, value) {
    const properties = { ...this.zone.properties, [key]: value };
    if (value === '' || value === false) delete properties[key];
    if (key === 'id') properties.id = value; // an empty one is told of
    this.put({ ...this.zone, properties });
  }

  add(points) {
    let number = 1;
    while (this.at(`zone-${number}`) !== null) number += 1;
    const ring = points.map(rounded);
    this.step([...this.features, { type: 'Feature', properties: { id: `zone-${number}`, kind: 'restricted' }, geometry: { type: 'Polygon', coordinates: [[...ring, ring[0]]] } }], this.features.length);
  }

  cut(points) {
    const { geometry } = this.zone, polygons = polygonsOf(geometry), ring = points.map(rounded), hole = [...ring, ring[0]];
    const coordinates = polygons.map((rings, p) => (p === 0 ? [...rings, hole] : rings));
    this.put({ ...this.zone, geometry: geometry.type === 'MultiPolygon' ? { ...geometry, coordinates } : { ...geometry, coordinates: coordinates[0] } });
  }

  remove() { this.step(this.features.filter((_, place) => place !== this.selected), null); }

  ring(path) { return ringsOf(this.zone.geometry).find((ring) => ring.path[0] === path[0] && ring.path[1] === path[1]).points; }
  setRing(path, points) { this.put({ ...this.zone, geometry: withRing(this.zone.geometry, path, points) }); }
  move(path, n, place) { this.setRing(path, this.ring(path).map((point, m) => (m === n ? rounded(place) : point))); }
  insert(path, n, place) { const points = this.ring(path); this.setRing(path, [...points.slice(0, n + 1), rounded(place), ...points.slice(n + 1)]); }
  /** Remove a point; a hole goes with its third. False: an outline keeps three. */
  removePoint(path, n) {
    const points = this.ring(path);
    if (points.length <= 3 && path[1] === 0) return false;
    this.setRing(path, points.length <= 3 ? [] : points.filter((_, m) => m !== n));
    return true;
  }
}

export const middle = ([lon, lat], [otherLon, otherLat]) => [(lon + otherLon) / 2, (lat + otherLat) / 2];
