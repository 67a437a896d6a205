// Tiles drawn in GCJ-02 are moved to where they belong: each tile of ours is put together from the pieces of theirs that show its ground.
const A_M = 6378245, EE = 0.006693421622965943, SIDE = 256, MOST_KEPT = 96;
const { PI, sin, cos, sqrt, abs, atan, sinh, log, tan } = Math;

/** The published GCJ-02 offset applied to a WGS-84 position (degrees); as streams/geo.py has it. */
export function toGcj02([lon, lat]) {
  const x = lon - 105, y = lat - 35, root = sqrt(abs(x)), wave = ((20 * sin(6 * PI * x) + 20 * sin(2 * PI * x)) * 2) / 3;
  const north = -100 + 2 * x + 3 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * root + wave + ((20 * sin(PI * y) + 40 * sin((PI / 3) * y)) * 2) / 3 + ((160 * sin((PI / 12) * y) + 320 * sin((PI / 30) * y)) * 2) / 3;
  const east = 300 + x + 2 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * root + wave + ((20 * sin(PI * x) + 40 * sin((PI / 3) * x)) * 2) / 3 + ((150 * sin((PI / 12) * x) + 300 * sin((PI / 30) * x)) * 2) / 3;
  const phi = (lat * PI) / 180, magic = 1 - EE * sin(phi) ** 2;
  const latM = (((A_M * (1 - EE)) / (magic * sqrt(magic))) * PI) / 180, lonM = ((A_M / sqrt(magic)) * cos(phi) * PI) / 180;
  return [lon + east / lonM, lat + north / latM];
}
const isInChina = ([lon, lat]) => lon >= 72.004 && lon <= 137.8347 && lat >= 0.8293 && lat <= 55.8271;
const pixelsOf = ([lon, lat], z) => { const size = SIDE * 2 ** z, phi = (lat * PI) / 180; return [((lon + 180) / 360) * size, ((1 - log(tan(phi) + 1 / cos(phi)) / PI) / 2) * size]; };
const placeOf = (x, y, z) => { const size = SIDE * 2 ** z; return [(x / size) * 360 - 180, (atan(sinh(PI * (1 - (2 * y) / size))) * 180) / PI]; };

/** Where a tile's picture is among theirs: how far its corner is moved, in pixels. */
export function movedBy(z, x, y) {
  const middle = [(x + 0.5) * SIDE, (y + 0.5) * SIDE], place = placeOf(...middle, z);
  if (!isInChina(place)) return [0, 0];
  const there = pixelsOf(toGcj02(place), z);
  return [Math.round(there[0] - middle[0]), Math.round(there[1] - middle[1])];
}

const kept = new Map(); // their tiles, as promises: four of ours share one
function theirs(template, z, x, y) {
  const url = template.replace('{z}', z).replace('{x}', x).replace('{y}', y);
  if (!kept.has(url)) {
    if (kept.size >= MOST_KEPT) kept.delete(kept.keys().next().value);
    kept.set(url, fetch(url, { credentials: 'omit', referrerPolicy: 'no-referrer' }).then((answer) => (answer.ok ? answer.blob().then(createImageBitmap) : null)));
    kept.get(url).catch(() => kept.delete(url));
  }
  return kept.get(url);
}

/** Have MapLibre ask for tiles as `gcj02://z/x/y`. */
export function moveTiles(template) {
  window.maplibregl.addProtocol('gcj02', async ({ url }) => {
    const [z, x, y] = url.replace('gcj02://', '').split('/').map(Number), [right, down] = movedBy(z, x, y);
    const left = x * SIDE + right, top = y * SIDE + down, canvas = new OffscreenCanvas(SIDE, SIDE), pen = canvas.getContext('2d');
    const pieces = [];
    for (let column = Math.floor(left / SIDE); column * SIDE < left + SIDE; column += 1) for (let row = Math.floor(top / SIDE); row * SIDE < top + SIDE; row += 1) pieces.push([column, row]);
    await Promise.all(pieces.map(async ([column, row]) => { const image = await theirs(template, z, column, row); if (image) pen.drawImage(image, column * SIDE - left, row * SIDE - top, SIDE, SIDE); }));
    return { data: await (await canvas.convertToBlob()).arrayBuffer() };
  });
}
