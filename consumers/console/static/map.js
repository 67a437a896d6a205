// The map: the fleet's own tracks as base map, zones by what they forbid now, graticule, scale, vehicles, and what is chosen.
import { $, el } from './dom.js';
import { fleet, look, placeOf, vehicleCount } from './fleet.js';
import { graticule } from './graticule.js';
import { state } from './store.js';
import { lang, number, t, until, zoneName } from './words.js';
import { VehiclesLayer } from './vehicles_layer.js';

export const THEMES = {
  light: { land: '#eef1f4', grid: '#d3dae2', zones: { closed: '#d92d20', no_stopping: '#d97706', limited: '#2563a8', area: '#6b7f93', free: '#5f8f76' }, states: ['#1668c1', '#64748b', '#d3190d', '#8d99a6'], halo: '#ffffff', track: '#7c3aed' },
  dark: { land: '#10171f', grid: '#243140', zones: { closed: '#ff6a5c', no_stopping: '#f5a524', limited: '#5aa2ee', area: '#8ba0b5', free: '#72b892' }, states: ['#58b0ff', '#9aaabb', '#ff5a4a', '#6f7f8f'], halo: '#0b1117', track: '#c4a1ff' },
};
const rgba = (hex, alpha = 1) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255).concat(alpha);
const colours = () => { const theme = THEMES[window.prefs.theme]; return { states: theme.states.flatMap((hex) => rgba(hex)), halo: rgba(theme.halo, 0.9) }; };
const EMPTY = { type: 'FeatureCollection', features: [] };
const CHINA = [104, 36];
const SMALL_DEG = 0.012; // the name of a smaller zone stands below it

/** Whether this browser can draw maps; asked before anything is tried. */
export const hasWebgl = () => { const canvas = document.createElement('canvas'); return Boolean(window.maplibregl && (canvas.getContext('webgl2') || canvas.getContext('webgl'))); };

/** How much of the map's foot its legend covers, in pixels. */
const legendPx = () => { const legend = [...document.querySelectorAll('.legend')].find((one) => one.checkVisibility()); return legend ? legend.offsetHeight + 14 : 0; };
const basemapUrl = () => `${location.origin}/basemap/${window.prefs.theme}/{z}/{x}/{y}.png?v=${state.epoch}-${state.basemap}`;
const basemapSource = () => ({ type: 'raster', tiles: [basemapUrl()], tileSize: 256, minzoom: 9, maxzoom: 14 });
const basemapLayer = (name) => ({ id: name, type: 'raster', source: name, paint: { 'raster-fade-duration': 0, 'raster-opacity': 0.9 } });
function style() {
  const theme = THEMES[window.prefs.theme];
  const byLevel = ['match', ['get', 'level'], ...Object.entries(theme.zones).flat(), theme.zones.free];
  const source = () => ({ type: 'geojson', data: EMPTY }), isSilent = ['>', ['get', 'silent'], 0]; // a grey ring, as of a silent vehicle
  return {
    version: 8,
    sources: { zones: source(), grid: source(), track: source(), evidence: source(), chosen: source(), clusters: source() },
    layers: [
      { id: 'land', type: 'background', paint: { 'background-color': theme.land } },
      { id: 'grid', type: 'line', source: 'grid', paint: { 'line-color': theme.grid, 'line-width': 1 } },
      { id: 'zones', type: 'fill', source: 'zones', filter: ['!=', ['get', 'level'], 'area'], paint: { 'fill-color': byLevel, 'fill-opacity': ['match', ['get', 'level'], 'closed', 0.2, 'free', 0.06, 0.13] } },
      { id: 'zone-edges', type: 'line', source: 'zones', paint: { 'line-color': byLevel, 'line-width': ['match', ['get', 'level'], 'closed', 2.2, 1.4] } },
      { id: 'track', type: 'line', source: 'track', layout: { 'line-join': 'round', 'line-cap': 'round' }, paint: { 'line-color': theme.track, 'line-width': 3, 'line-opacity': 0.75 } },
      { id: 'clusters', type: 'circle', source: 'clusters', paint: { 'circle-radius': ['interpolate', ['linear'], ['sqrt', ['get', 'n']], 1, 5, 30, 15, 100, 26], 'circle-color': ['case', ['>', ['get', 'offending'], 0], theme.states[2], ['==', ['get', 'silent'], ['get', 'n']], theme.land, theme.states[0]], 'circle-opacity': 0.75, 'circle-stroke-color': ['case', isSilent, theme.states[3], theme.halo], 'circle-stroke-width': ['case', isSilent, 3, 1.5] } },
      { id: 'evidence', type: 'circle', source: 'evidence', paint: { 'circle-radius': 5, 'circle-color': theme.states[2], 'circle-opacity': 0.35, 'circle-stroke-color': theme.states[2], 'circle-stroke-width': 1.5 } },
      { id: 'chosen', type: 'circle', source: 'chosen', paint: { 'circle-radius': 17, 'circle-opacity': 0, 'circle-stroke-color': theme.track, 'circle-stroke-width': 2.5 } },
    ],
  };
}

/** The map in its element; ``choose`` is told of a vehicle's number or a zone's id that somebody clicked. */
export class LiveMap {
  constructor(choose) {
    this.choose = choose;
    Object.assign(this, { labels: [], basemaps: [], hiddenBy: new Set() });
    this.chosen = { number: null, place: null, track: [], evidence: [] };
    this.map = new window.maplibregl.Map({ container: 'map', style: style(), center: CHINA, zoom: 3.2, minZoom: 2, maxZoom: 18, attributionControl: false, dragRotate: false, pitchWithRotate: false, fadeDuration: 0, locale: controlWords() });
    this.map.touchZoomRotate.disableRotation();
    this.controls = [];
    this.addControls();
    this.layer = new VehiclesLayer(colours());
    this.map.on('webglcontextrestored', () => this.restyle()); // what was in the lost one is gone
    this.map.on('style.load', () => { this.map.addLayer(this.layer); this.drawAll(); });
    this.map.on('error', ({ error, sourceId }) => { if (!sourceId?.startsWith('basemap')) console.error(error); }); // of tiles: the header says that the connection is lost
    for (const moved of ['move', 'resize']) this.map.on(moved, () => { this.drawGrid(); this.placeLabels(); });
    look({ zoom: this.map.getZoom() });
    this.map.on('zoomend', () => look({ zoom: this.map.getZoom() }));
    this.map.on('click', (event) => (this.takes ? this.takes(event) : this.clicked(event)));
    this.map.on('mousemove', (event) => this.pointed(event));
    this.map.getCanvas().addEventListener('mouseleave', () => { $('tip').hidden = true; });
  }

  /** Zoom and scale, in the language of now: MapLibre reads its words when a control is added. */
  addControls() {
    this.controls.forEach((control) => this.map.removeControl(control));
    Object.assign(this.map._locale, controlWords());
    this.map.getCanvas().setAttribute('aria-label', t('mapKeys'));
    this.controls = [new window.maplibregl.NavigationControl({ showCompass: false }), new window.maplibregl.ScaleControl({ maxWidth: innerWidth < 900 ? 70 : 120 })];
    this.controls.forEach((control, place) => this.map.addControl(control, place ? 'bottom-right' : 'top-right'));
  }

  setData(name, data) { this.map.getSource(name)?.setData(data); }

  drawAll() { this.drawClusters(); this.drawBasemap(); this.drawZones(); this.drawGrid(); this.drawChosen(); this.layer.update(false); }

  /** Colours and words anew: the theme or the language has changed. */
  restyle() {
    this.layer = Object.assign(new VehiclesLayer(colours()), { isHidden: this.layer.isHidden });
    this.basemaps = [];
    this.addControls();
    this.map.setStyle(style(), { diff: false });
  }

  /** Have the vehicles step aside for a view, or come back once none wants that any more. */
  hideVehicles(view, isHidden) {
    if (isHidden) this.hiddenBy.add(view); else this.hiddenBy.delete(view);
    this.layer.isHidden = this.hiddenBy.size > 0;
    this.layer.update(false);
    this.drawClusters();
  }

  /** Cells with many vehicles each, where the server counts them. */
  drawClusters() {
    const cells = this.hiddenBy.size ? null : fleet.clusters;
    if (!cells && !this.isClustered) return;
    this.isClustered = Boolean(cells);
    const feature = (n, place) => ({ ...point([cells.lon[place] / 1e7, cells.lat[place] / 1e7]), properties: { n, offending: cells.offending[place], silent: cells.silent[place] } });
    this.setData('clusters', { type: 'FeatureCollection', features: cells ? Array.from(cells.number, feature) : [] });
  }

  /** Newly drawn tracks take the old ones' place once they are here, so that nothing flickers. */
  drawBasemap() {
    const name = `basemap-${basemapUrl()}`, old = this.basemaps.filter((one) => one !== name);
    if (this.map.getSource(name) || !this.map.getLayer('zones')) return;
    this.map.addSource(name, basemapSource());
    this.map.addLayer(basemapLayer(name), 'zones');
    this.basemaps = [name];
    this.map.once('idle', () => old.filter((one) => this.map.getLayer(one)).forEach((one) => { this.map.removeLayer(one); this.map.removeSource(one); }));
  }

  drawGrid() {
    const { lines, labels } = graticule(this.map);
    this.setData('grid', lines);
    const { clientWidth: width, clientHeight: height } = this.map.getContainer(), foot = height - legendPx();
    const isWhole = ({ x, y }) => (x === null ? y > 34 && y < foot : x > -2 && x < width - 110); // the others would be cut, or lie under something
    $('edge').replaceChildren(...labels.filter(isWhole).map(({ text, x, y }) => { const label = el(x === null ? 'span.lat' : 'span.lon', {}, text); if (x === null) label.style.top = `${y}px`; else label.style.left = `${x}px`; return label; }));
  }

  drawZones() {
    const levels = new Map((this.then?.zones ?? state.zones).map((zone) => [zone.zone_id, zone]));
    const features = ((this.then?.shapes ?? state.shapes)?.features ?? []).map((feature) => ({ ...feature, properties: { ...feature.properties, level: levels.get(feature.properties.zone_id)?.level ?? 'free' } }));
    this.setData('zones', { type: 'FeatureCollection', features });
    this.labels.forEach(({ marker }) => marker.remove());
    this.labels = features.map((feature) => this.label(feature, levels.get(feature.properties.zone_id))).filter(Boolean);
    this.placeLabels();
    if (features.length && !this.fitted) { this.fitted = true; this.fit(0); }
  }

  label(feature, zone) {
    if (!zone) return null;
    const changes = zone.level !== 'free' || zone.until_ms !== null;
    const words = el(`div.zone-label.${zone.level}`, {}, el('b', {}, zoneName(zone)), changes ? el('span', {}, `${t(zone.level)} · ${until(zone.until_ms, this.then?.atMs ?? (state.header?.stream_ms || Date.now()))}`) : null);
    const box = boxOf(feature.geometry), marker = new window.maplibregl.Marker({ element: words, anchor: 'top' }).setLngLat([box[0], box[3]]).addTo(this.map);
    return { box, marker, words };
  }

  /** Each zone's name stands in the middle of its upper edge, or below it if it is small: of what is in view, so that no name is cut. */
  placeLabels() {
    const { clientWidth: right, clientHeight: bottom } = this.map.getContainer();
    const sizes = this.labels.map(({ words }) => [words.offsetWidth, words.offsetHeight]); // as they are now: on a wall they are larger
    for (const [place, { box: [west, south, east, north], marker, words }] of this.labels.entries()) {
      const [width, height] = sizes[place];
      const [from, until] = [this.map.project([west, north]), this.map.project([east, south])], top = east - west < SMALL_DEG ? until.y : from.y;
      const isInView = from.x < right && until.x > 0 && from.y < bottom && until.y > 0;
      const middle = (Math.max(0, from.x) + Math.min(right, until.x)) / 2, half = width / 2 + 4;
      words.style.visibility = isInView ? '' : 'hidden'; // a part of a name that belongs elsewhere tells nothing
      if (isInView) marker.setLngLat(this.map.unproject([Math.max(half, Math.min(right - half, middle)), Math.max(0, Math.min(bottom - height - 8, top))]));
    }
  }

  /** Show all zones, or where the vehicles are. */
  fit(duration = 600) {
    let [west, south, east, north] = [180, 90, -180, -90];
    const take = (lon, lat) => { west = Math.min(west, lon); south = Math.min(south, lat); east = Math.max(east, lon); north = Math.max(north, lat); };
    for (const { geometry } of state.shapes?.features ?? []) { const box = boxOf(geometry); take(box[0], box[1]); take(box[2], box[3]); }
    const { lon, lat } = fleet.clusters ?? fleet; // with very many vehicles: where their cells are
    if (east < west) for (let n = 0; n < (fleet.clusters ? lon.length : fleet.count); n += 1) take(lon[n] / 1e7, lat[n] / 1e7);
    if (east < west) return;
    this.map.fitBounds([[west, south], [east, north]], { padding: innerWidth < 700 ? { top: 24, bottom: legendPx() + 30, left: 24, right: 24 } : { top: 40, bottom: 80, left: 90, right: 90 }, maxZoom: 14, duration: this.layer.moves ? duration : 0 });
  }

  tick() { this.layer.update(); this.drawRing(); this.drawClusters(); if (!this.fitted && vehicleCount() && state.header && !state.shapes?.features.length) { this.fitted = true; this.fit(0); } }

  /** Where the vehicle that is chosen is now: as the fleet knows it, or as the server said, where vehicles come in clusters. */
  placeOfChosen() { const { number, place } = this.chosen; return number !== null && number >= 0 && fleet.known[number] ? placeOf(number) : place; }

  /** Mark a vehicle, its track and the evidence of an incident, and go there if that is asked for. */
  mark({ number = null, place = null, track = [], evidence = [] }, goes = false) {
    this.chosen = { number, place, track, evidence };
    this.drawChosen();
    const places = evidence.length ? evidence : [this.placeOfChosen()].filter(Boolean);
    if (!goes || !places.length) return;
    this.fitted = true; // whoever came by a link is not taken elsewhere
    const bounds = places.reduce((box, place) => box.extend(place), new window.maplibregl.LngLatBounds(places[0], places[0]));
    this.map.fitBounds(bounds, { padding: 90, maxZoom: Math.max(14, this.map.getZoom()), duration: this.layer.moves ? 500 : 0 });
  }

  drawChosen() {
    const { track, evidence } = this.chosen;
    this.setData('track', track.length > 1 ? { type: 'Feature', properties: {}, geometry: { type: 'LineString', coordinates: track.map(([, lon, lat]) => [lon, lat]) } } : EMPTY);
    this.setData('evidence', { type: 'FeatureCollection', features: evidence.map(point) });
    this.drawRing();
  }

  drawRing() {
    const place = this.placeOfChosen();
    if (!place && !this.isRung) return;
    this.isRung = Boolean(place);
    this.setData('chosen', place ? { type: 'FeatureCollection', features: [point(place)] } : EMPTY);
  }

  clicked({ point: at }) {
    const cell = this.clusterAt(at);
    if (cell) { this.map.easeTo({ center: cell.geometry.coordinates, zoom: this.map.getZoom() + 2, duration: this.layer.moves ? 400 : 0 }); return; }
    const number = this.layer.nearest(at);
    const zone = number === null ? this.map.queryRenderedFeatures(at, { layers: ['zones'] })[0]?.properties.zone_id ?? null : null;
    if (number !== null || zone !== null) this.choose({ number, zone });
  }

  clusterAt(at) { return fleet.clusters && !this.hiddenBy.size ? this.map.queryRenderedFeatures(at, { layers: ['clusters'] })[0] : undefined; }

  pointed({ point: at }) {
    const row = fleet.rows[this.layer.nearest(at, 10)], cell = this.clusterAt(at)?.properties, words = cell ? [t('clusterOf', number(cell.n)), cell.offending ? t('clusterOffends', number(cell.offending)) : null, cell.silent ? t('clusterSilent', number(cell.silent)) : null] : row ? [row[1] ?? row[0], row[1] ? row[0] : null] : null;
    $('tip').hidden = !words;
    this.map.getCanvas().style.cursor = words ? 'pointer' : '';
    if (!words) return;
    $('tip').textContent = words.filter(Boolean).join(' · ');
    $('tip').style.transform = `translate(${at.x + 12}px, ${at.y + 12}px)`;
  }
}
const point = (coordinates) => ({ type: 'Feature', properties: {}, geometry: { type: 'Point', coordinates } });
/** The words of MapLibre's own controls. */
const controlWords = () => ({ 'NavigationControl.ZoomIn': t('zoomIn'), 'NavigationControl.ZoomOut': t('zoomOut'), 'Map.Title': t('mapKeys'), 'ScaleControl.Meters': lang() === 'zh' ? '米' : 'm', 'ScaleControl.Kilometers': lang() === 'zh' ? '公里' : 'km' });

function boxOf(geometry) {
  const places = geometry.coordinates.flat(geometry.type === 'MultiPolygon' ? 2 : 1);
  return places.reduce(([west, south, east, north], [lon, lat]) => [Math.min(west, lon), Math.min(south, lat), Math.max(east, lon), Math.max(north, lat)], [180, 90, -180, -90]);
}
