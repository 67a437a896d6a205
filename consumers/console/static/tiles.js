// The operator's own base map below everything else: images, or the water, buildings and roads of vector tiles; never borders.
import { $, el } from './dom.js';
import { moveTiles } from './gcj02.js';
import { ask } from './store.js';

const SOURCE = 'basemap of the operator'; // what begins so may fail without a word: the fleet's tracks remain
const DRAWN = [[/water|ocean|lake|river/, 'fill', 'water'], [/build/, 'fill', 'building'], [/road|transport|street|highway/, 'line', 'road']];
const INKS = { light: { water: '#cfe0ee', building: '#e0e4e9', road: '#c3ccd6' }, dark: { water: '#0c2233', building: '#1b2530', road: '#33414f' } };

/** Bring the operator's base map, if there is one, into a LiveMap. */
export async function bringTiles(live) {
  const about = live && (await ask('/api/tiles').catch(() => null));
  if (!about) return;
  const url = about.url.startsWith('/') ? location.origin + about.url : about.url;
  if (about.gcj02) moveTiles(url);
  const add = () => addTiles(live.map, about, about.gcj02 ? 'gcj02://{z}/{x}/{y}' : url);
  live.map.on('style.load', add);
  if (live.map.getLayer('grid')) add();
  if (about.attribution) $('map-side').append(el('small.attribution', {}, about.attribution));
}

function addTiles(map, { kind, min_zoom: minzoom, max_zoom: maxzoom, layers }, url) {
  if (map.getSource(SOURCE)) return;
  map.addSource(SOURCE, kind === 'raster' ? { type: 'raster', tiles: [url], tileSize: 256, minzoom, maxzoom } : { type: 'vector', tiles: [url], minzoom, maxzoom });
  if (kind === 'raster') {
    const isDark = window.prefs.theme === 'dark';
    map.addLayer({ id: SOURCE, type: 'raster', source: SOURCE, paint: { 'raster-fade-duration': 0, 'raster-opacity': 0.85, 'raster-saturation': -0.5, 'raster-brightness-max': isDark ? 0.45 : 1 } }, 'grid');
    return;
  }
  const inks = INKS[window.prefs.theme];
  for (const [names, type, ink] of DRAWN) {
    for (const name of layers.filter((one) => names.test(one) && !/bound|label|name/.test(one))) {
      const paint = type === 'fill' ? { 'fill-color': inks[ink] } : { 'line-color': inks[ink], 'line-width': ['interpolate', ['linear'], ['zoom'], 9, 0.5, 16, 4] };
      map.addLayer({ id: `${SOURCE} ${name}`, type, source: SOURCE, 'source-layer': name, paint, ...(type === 'fill' ? { filter: ['==', '$type', 'Polygon'] } : { filter: ['==', '$type', 'LineString'] }) }, 'grid');
    }
  }
}
