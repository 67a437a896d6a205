// Lines of longitude and latitude at round figures, and their labels at the edges of the map.
import { t } from './words.js';

const STEPS = [30, 20, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001];
const APART_PX = 150;

function* between(from, until, step) {
  for (let n = Math.ceil(from / step); n * step <= until; n += 1) yield n * step;
}
const label = (value, step, positive, negative) => t(value < 0 ? negative : positive, Math.abs(value).toFixed(step < 0.01 ? 3 : step < 0.1 ? 2 : step < 1 ? 1 : 0));

export function graticule(map) {
  const bounds = map.getBounds(), { clientWidth: width } = map.getContainer();
  const [west, east, south, north] = [bounds.getWest(), bounds.getEast(), Math.max(-85, bounds.getSouth()), Math.min(85, bounds.getNorth())];
  const wanted = ((east - west) * APART_PX) / Math.max(width, 1);
  const step = STEPS.filter((size) => size >= wanted).at(-1) ?? STEPS[0];
  const lines = [], labels = [];
  for (const lon of between(west, east, step)) {
    lines.push([[lon, south], [lon, north]]);
    labels.push({ text: label(lon, step, 'east', 'west'), x: Math.round(map.project([lon, south]).x), y: null });
  }
  for (const lat of between(south, north, step)) {
    lines.push([[west, lat], [east, lat]]);
    labels.push({ text: label(lat, step, 'north', 'south'), x: null, y: Math.round(map.project([west, lat]).y) });
  }
  return { lines: { type: 'Feature', properties: {}, geometry: { type: 'MultiLineString', coordinates: lines } }, labels };
}
