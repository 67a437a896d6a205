// Drawing on the map: a new outline by clicks, points of the chosen zone as buttons that are dragged or moved by keys. It knows the map and a draft, no panels.
import { el } from './dom.js';
import { middle, ringsOf } from './draft.js';
import { THEMES } from './map.js';
import { t } from './words.js';

const EMPTY = { type: 'FeatureCollection', features: [] };
const MOST_POINTS = 300; // as buttons, those in view; the table has all
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const line = (coordinates) => ({ type: 'Feature', properties: {}, geometry: { type: 'LineString', coordinates } });

export class Drawing extends EventTarget {
  constructor(map) {
    super();
    Object.assign(this, { map, draft: null, points: null, isHole: false, markers: [], cursor: null });
    const style = () => { this.addLayers(); this.draw(); };
    map.on('style.load', style);
    if (map.getSource('zones')) style();
    map.on('moveend', () => this.drawPoints());
    map.on('mousemove', (event) => { if (this.points) { this.cursor = event.lngLat.toArray(); this.drawLine(); } });
  }

  addLayers() {
    const { track, land } = THEMES[window.prefs.theme];
    for (const name of ['draft', 'draft-line']) if (!this.map.getSource(name)) this.map.addSource(name, { type: 'geojson', data: EMPTY });
    if (this.map.getLayer('draft-fill')) return;
    this.map.addLayer({ id: 'draft-fill', type: 'fill', source: 'draft', paint: { 'fill-color': track, 'fill-opacity': ['case', ['get', 'chosen'], 0.22, 0.1] } });
    this.map.addLayer({ id: 'draft-under', type: 'line', source: 'draft', paint: { 'line-color': land, 'line-width': 5, 'line-opacity': 0.7 } });
    this.map.addLayer({ id: 'draft-edge', type: 'line', source: 'draft', paint: { 'line-color': track, 'line-width': ['case', ['get', 'chosen'], 2.6, 1.6], 'line-dasharray': [3, 1.5] } });
    this.map.addLayer({ id: 'draft-line', type: 'line', source: 'draft-line', paint: { 'line-color': track, 'line-width': 2.4 } });
    this.map.addLayer({ id: 'draft-dots', type: 'circle', source: 'draft-line', filter: ['==', '$type', 'Point'], paint: { 'circle-color': track, 'circle-radius': 4.5, 'circle-stroke-color': land, 'circle-stroke-width': 1.5 } });
  }

  show(draft) {
    this.draft = draft;
    this.draw();
  }

  draw(moved = null) {
    const features = this.draft?.features ?? [];
    const shown = features.map((feature, n) => ({ type: 'Feature', properties: { n, chosen: n === this.draft.selected }, geometry: n === this.draft.selected && moved ? moved : feature.geometry }))
      .filter((feature) => feature.geometry && (feature.properties.chosen || this.draft.isNew(features[feature.properties.n])));
    this.map.getSource('draft')?.setData({ type: 'FeatureCollection', features: shown });
    this.drawLine();
    if (!moved) this.drawPoints();
  }

  drawLine() {
    const points = this.points ?? [], way = this.cursor && points.length ? [...points, this.cursor] : points;
    const features = [...(way.length > 1 ? [line(points.length > 1 && this.cursor ? [...way, points[0]] : way)] : []), ...points.map((coordinates) => ({ type: 'Feature', properties: {}, geometry: { type: 'Point', coordinates } }))];
    this.map.getSource('draft-line')?.setData({ type: 'FeatureCollection', features });
  }

  // --- a new outline ---
  begin(isHole = false) { Object.assign(this, { points: [], isHole, cursor: null }); this.map.doubleClickZoom.disable(); this.changed(); }
  add(place) { this.points = [...this.points, place]; this.changed(); }
  back() { this.points = this.points.slice(0, -1); this.changed(); }
  cancel() { this.end(); }
  close() {
    const { points, isHole } = this;
    if (points.length < 3) return false;
    this.end();
    if (isHole) this.draft.cut(points); else this.draft.add(points);
    return true;
  }
  end() { Object.assign(this, { points: null, cursor: null }); setTimeout(() => this.map.doubleClickZoom.enable(), 300); this.changed(); }
  changed() { this.draw(); this.dispatchEvent(new Event('change')); }

  /** The drawn zone (its place in the draft) or the live zone (its id) at a point of the screen. */
  under(at) {
    const layers = ['draft-fill', 'zones'].filter((name) => this.map.getLayer(name));
    const { n, zone_id: id } = this.map.queryRenderedFeatures(at, { layers })[0]?.properties ?? {};
    return n ?? (id === undefined ? null : this.draft.at(id));
  }

  // --- the chosen zone's points ---
  drawPoints() {
    const focused = this.markers.find(({ element }) => element === document.activeElement)?.key;
    this.markers.forEach(({ marker }) => marker.remove());
    this.markers = [];
    if (!this.draft?.zone || this.points) return;
    const bounds = this.map.getBounds(), rings = ringsOf(this.draft.zone.geometry);
    const all = rings.flatMap(({ path, points }) => points.map((place, n) => ({ path, n, place, points }))).filter(({ place }) => bounds.contains(place));
    for (const { path, n, place, points } of all.slice(0, MOST_POINTS)) {
      this.point(path, n, place, points);
      if (all.length <= MOST_POINTS / 2) this.between(path, n, middle(place, points[(n + 1) % points.length]));
    }
    if (focused) this.markers.find(({ key }) => key === focused)?.element.focus({ preventScroll: true });
  }

  button(name, words, place, draggable, key) {
    const element = el(`button.${name}`, { type: 'button', 'aria-label': words, title: words, onclick: (event) => event.stopPropagation() });
    const marker = new window.maplibregl.Marker({ element, draggable }).setLngLat(place).addTo(this.map);
    this.markers.push({ marker, element, key });
    return { element, marker };
  }

  point(path, n, place, points) {
    const { element, marker } = this.button('vertex', t('pointOf', n + 1, points.length), place, true, `${path}.${n}`);
    element.addEventListener('keydown', (event) => this.key(event, path, n, place));
    element.addEventListener('contextmenu', (event) => { event.preventDefault(); event.stopPropagation(); this.remove(path, n); });
    marker.on('drag', () => this.draw(this.moved(path, n, marker.getLngLat().toArray())));
    marker.on('dragend', () => this.draft.move(path, n, marker.getLngLat().toArray()));
  }

  between(path, n, place) {
    const { element } = this.button('between', t('insertHere'), place, false, `${path}.${n}+`);
    element.tabIndex = -1;
    element.addEventListener('click', () => this.draft.insert(path, n, place));
  }

  moved([p, r], n, place) {
    const polygons = this.draft.zone.geometry.type === 'MultiPolygon' ? this.draft.zone.geometry.coordinates : [this.draft.zone.geometry.coordinates];
    const coordinates = polygons.map((rings, q) => rings.map((ring, s) => (q === p && s === r ? ring.map((point, m) => (m === n || (n === 0 && m === ring.length - 1) ? place : point)) : ring)));
    return { type: 'MultiPolygon', coordinates };
  }

  key(event, path, n, place) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (STEPS[event.key]) {
      const at = this.map.project(place), pixels = event.shiftKey ? 10 : 2, [x, y] = STEPS[event.key];
      this.draft.move(path, n, this.map.unproject([at.x + x * pixels, at.y + y * pixels]).toArray());
    } else if (event.key === 'Delete' || event.key === 'Backspace') this.remove(path, n);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  remove(path, n) { if (!this.draft.removePoint(path, n)) this.dispatchEvent(new CustomEvent('refused', { detail: 'keepsThree' })); }
}
