// Outlets, facilities and delivery lines on the map of the Live page: outlets as discs, the network's levels as squares, lines through the middles of their zones; vehicles step aside meanwhile.
import { state } from './store.js';

export const LEVELS = ['hub', 'county', 'township', 'village', 'pickup_point'];
export const COLOURS = { light: { yes: '#1c6b45', no: '#b42318', unknown: '#64748b', facility: '#1668c1', line: '#7c3aed', edge: '#ffffff' }, dark: { yes: '#7fd3a4', no: '#ff6a5c', unknown: '#9aaabb', facility: '#58b0ff', line: '#c4a1ff', edge: '#0b1117' } };
const SIDE_PX = { hub: 20, county: 17, township: 14, village: 10, pickup_point: 8 };
const SOURCES = ['delivery-lines', 'facilities', 'outlets', 'outlet-chosen'];
const EMPTY = { type: 'FeatureCollection', features: [] };
const collection = (features) => ({ type: 'FeatureCollection', features });
const point = (one, properties) => ({ type: 'Feature', properties: { ...properties, id: one.id }, geometry: { type: 'Point', coordinates: [one.lon, one.lat] } });
export const isPlaced = (one) => typeof one.lon === 'number' && typeof one.lat === 'number';

/** A square with an edge, as MapLibre takes images. */
function square(side, fill, edge) {
  const canvas = document.createElement('canvas'), ink = canvas.getContext('2d');
  [canvas.width, canvas.height] = [side, side];
  ink.fillStyle = edge;
  ink.fillRect(0, 0, side, side);
  ink.fillStyle = fill;
  ink.fillRect(2, 2, side - 4, side - 4);
  return ink.getImageData(0, 0, side, side);
}
function middleOf(zone) {
  const geometry = state.shapes?.features.find((feature) => feature.properties.zone_id === zone)?.geometry;
  if (!geometry) return null;
  const places = geometry.coordinates.flat(geometry.type === 'MultiPolygon' ? 2 : 1);
  return [0, 1].map((axis) => { const values = places.map((place) => place[axis]); return (Math.min(...values) + Math.max(...values)) / 2; });
}

export class OutletsMap {
  /** ``choose`` is told of the kind and id that somebody clicked. */
  constructor(live, choose) {
    Object.assign(this, { live, choose, isOpen: false, drawn: { outlets: [], facilities: [], lines: [] } });
    live.map.on('style.load', () => this.isOpen && this.addLayers());
  }

  open() {
    this.isOpen = true;
    this.live.hideVehicles('outlets', true);
    this.takes = this.live.takes = ({ point: at }) => this.clicked(at);
    if (this.live.map.getLayer('zones')) this.addLayers();
  }

  close() {
    this.isOpen = false;
    this.live.hideVehicles('outlets', false);
    if (this.live.takes === this.takes) this.live.takes = null;
    for (const name of SOURCES) this.live.setData(name, EMPTY);
  }

  addLayers() {
    const { map } = this.live, ink = COLOURS[window.prefs.theme];
    if (!map.getSource('outlets')) {
      for (const name of SOURCES) map.addSource(name, { type: 'geojson', data: EMPTY });
      for (const level of LEVELS) if (!map.hasImage(level)) map.addImage(level, square(SIDE_PX[level], ink.facility, ink.edge));
      map.addLayer({ id: 'delivery-lines', type: 'line', source: 'delivery-lines', layout: { 'line-join': 'round' }, paint: { 'line-color': ink.line, 'line-width': 2, 'line-dasharray': [2, 1.5] } });
      map.addLayer({ id: 'facilities', type: 'symbol', source: 'facilities', layout: { 'icon-image': ['get', 'level'], 'icon-allow-overlap': true } });
      map.addLayer({ id: 'outlets', type: 'circle', source: 'outlets', paint: { 'circle-radius': 6, 'circle-color': ['match', ['get', 'mark'], 'yes', ink.yes, 'no', ink.no, ink.unknown], 'circle-stroke-color': ink.edge, 'circle-stroke-width': 1.5 } });
      map.addLayer({ id: 'outlet-chosen', type: 'circle', source: 'outlet-chosen', paint: { 'circle-radius': 14, 'circle-opacity': 0, 'circle-stroke-color': ink.line, 'circle-stroke-width': 2.5 } });
    }
    this.draw(this.drawn);
  }

  /** Outlets with their ``mark`` (yes, no, unknown), facilities, lines. */
  draw(drawn) {
    this.drawn = drawn;
    const { outlets, facilities, lines } = drawn;
    this.live.setData('outlets', collection(outlets.filter(isPlaced).map((one) => point(one, { mark: one.mark }))));
    this.live.setData('facilities', collection(facilities.filter(isPlaced).map((one) => point(one, { level: one.level }))));
    this.live.setData('delivery-lines', collection(lines.map((line) => line.zones.map(middleOf).filter(Boolean)).filter((way) => way.length > 1).map((coordinates) => ({ type: 'Feature', properties: {}, geometry: { type: 'LineString', coordinates } }))));
  }

  goTo(one) {
    this.live.setData('outlet-chosen', collection([point(one, {})]));
    this.live.map.easeTo({ center: [one.lon, one.lat], zoom: Math.max(13, this.live.map.getZoom()), duration: this.live.layer.moves ? 400 : 0 });
  }

  clicked({ x, y }) {
    const found = this.live.map.queryRenderedFeatures([[x - 5, y - 5], [x + 5, y + 5]], { layers: ['outlets', 'facilities'] })[0];
    if (found) this.choose(found.layer.id, found.properties.id);
  }
}
