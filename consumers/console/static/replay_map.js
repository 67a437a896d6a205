// A replayed hour on the map of the Live page: ways and stops as lines and discs, vehicles as arrows with their numbers; live vehicles step aside meanwhile.
import { el, svg } from './dom.js';
import { SILENT_MS } from './replay_player.js';

const EMPTY = { type: 'FeatureCollection', features: [] };
const feature = (type, coordinates, colour) => ({ type: 'Feature', properties: { colour }, geometry: { type, coordinates } });

/** A way in pieces, where fixes are far apart in time. */
function pieces(points) {
  const found = [];
  points.forEach(([ms, lon, lat], n) => { if (!n || ms - points[n - 1][0] > SILENT_MS) found.push([]); found.at(-1).push([lon, lat]); });
  return found.filter((piece) => piece.length > 1);
}

export class ReplayMap {
  constructor(live, isLeft) {
    Object.assign(this, { live, vehicles: [], arrows: new Map(), isOpen: false });
    live.map.on('style.load', () => this.isOpen && this.addLayers());
    live.map.on('dragstart', () => this.isOpen && isLeft());
  }

  open() {
    this.isOpen = true;
    this.live.hideVehicles('replay', true);
    if (this.live.map.getLayer('zones')) this.addLayers();
  }

  close() {
    this.isOpen = false;
    this.live.hideVehicles('replay', false);
    this.draw([]);
    this.showZones(null);
  }

  addLayers() {
    const { map } = this.live;
    if (!map.getSource('replay-ways')) {
      for (const name of ['replay-ways', 'replay-stops']) map.addSource(name, { type: 'geojson', data: EMPTY });
      const colour = ['get', 'colour'];
      map.addLayer({ id: 'replay-ways', type: 'line', source: 'replay-ways', layout: { 'line-join': 'round', 'line-cap': 'round' }, paint: { 'line-color': colour, 'line-width': 3, 'line-opacity': 0.65 } });
      map.addLayer({ id: 'replay-stops', type: 'circle', source: 'replay-stops', paint: { 'circle-radius': 7, 'circle-color': colour, 'circle-opacity': 0.35, 'circle-stroke-color': colour, 'circle-stroke-width': 2 } });
    }
    this.drawLines();
  }

  drawLines() {
    this.live.setData('replay-ways', { type: 'FeatureCollection', features: this.vehicles.map(({ points, colour }) => feature('MultiLineString', pieces(points), colour)) });
    this.live.setData('replay-stops', { type: 'FeatureCollection', features: this.vehicles.flatMap(({ stops, colour }) => stops.map(({ lon, lat }) => feature('Point', [lon, lat], colour))) });
  }

  draw(vehicles) {
    this.vehicles = vehicles;
    for (const { marker } of this.arrows.values()) marker.remove();
    this.arrows = new Map(vehicles.map(({ vehicle_id: id, plate, colour }) => [id, arrow(plate ?? id, colour)]));
    this.drawLines();
  }

  /** ``place``: from the player; null: it is not seen yet. */
  move(id, place) {
    const found = this.arrows.get(id);
    if (!found || !place) { found?.marker.remove(); return; }
    found.marker.setLngLat([place.lon, place.lat]);
    if (!found.marker.getElement().isConnected) found.marker.addTo(this.live.map);
    found.turned.style.transform = `rotate(${place.heading}deg)`;
    found.element.classList.toggle('stands', place.stands);
    found.element.classList.toggle('unknown', !place.isKnown);
  }

  center(place) { if (place) this.live.map.jumpTo({ center: [place.lon, place.lat] }); }

  goTo({ lon, lat }) { this.live.map.easeTo({ center: [lon, lat], zoom: Math.max(14, this.live.map.getZoom()), duration: this.live.layer.moves ? 400 : 0 }); }

  fit() {
    const places = this.vehicles.flatMap(({ points }) => points.map(([, lon, lat]) => [lon, lat]));
    if (!places.length) return;
    const bounds = places.reduce((box, place) => box.extend(place), new window.maplibregl.LngLatBounds(places[0], places[0]));
    this.live.map.fitBounds(bounds, { padding: 60, maxZoom: 15, duration: this.live.layer.moves ? 500 : 0 });
  }

  /** Colour zones by what they forbade then; null: by what they forbid now. */
  showZones(then) {
    if (this.live.then === then) return;
    this.live.then = then;
    this.live.drawZones();
  }
}

function arrow(name, colour) {
  const turned = svg('svg', { viewBox: '-12 -12 24 24', width: 26, height: 26, 'aria-hidden': 'true' }, svg('path', { class: 'moves', d: 'M0 -10L8 9L0 4.5L-8 9Z', fill: colour }), svg('circle', { class: 'rests', r: 6, fill: colour }));
  const element = el('div.replay-arrow', {}, turned, el('span', {}, name));
  element.style.setProperty('--c', colour);
  return { turned, element, marker: new window.maplibregl.Marker({ element, anchor: 'center' }) };
}
