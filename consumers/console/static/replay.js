// The Replay view: one hour of some vehicles, beside the map: choose, play, follow, stops in a table, speeds below, files.
import { $, el } from './dom.js';
import { SpeedCurve } from './replay_curve.js';
import { readAddress, replayHref, SPEEDS } from './replay_link.js';
import { ReplayMap } from './replay_map.js';
import { headings, placeAt, Player } from './replay_player.js';
import { ask, state } from './store.js';
import { clock, number, span, t } from './words.js';

const COLOURS = { light: ['#1668c1', '#c2410c', '#15803d', '#a21caf', '#0e7490', '#b45309', '#be123c', '#4f46e5', '#4d7c0f', '#57534e'], dark: ['#58b0ff', '#fb923c', '#4ade80', '#e879f9', '#22d3ee', '#facc15', '#fb7185', '#a5b4fc', '#bef264', '#d6d3d1'] };
const STEP_MS = 10_000, FAR_MS = 60_000;
const nameOf = (vehicle) => vehicle.plate ?? vehicle.vehicle_id;

export class Replay {
  constructor(liveMap) {
    Object.assign(this, { isOpen: false, hours: null, hour: '', ids: [], ways: new Map(), followed: null, isBad: false, zones: [], offered: [], said: '', turn: 0, saidAt: 0 });
    this.map = liveMap && new ReplayMap(liveMap, () => this.follow(null));
    this.player = new Player(() => this.moved());
    document.addEventListener('keydown', (event) => this.key(event));
    addEventListener('prefs', () => { if (this.isOpen) this.build(); });
  }

  /** Open with what the address says, or close; whatever was chosen before stays chosen. */
  async show(isWanted) {
    if (!isWanted) { if (this.isOpen) this.close(); return; }
    const { hour, vehicles, speed } = readAddress(), isNew = !this.isOpen;
    if (isNew) this.open();
    try { await this.askHours(); } catch (error) { this.sayProblem(error); return; }
    if (!this.isOpen) return;
    const isOther = (hour && hour !== this.hour) || (vehicles.length && (!hour || vehicles.join('\n') !== this.ids.join('\n')));
    if (speed) this.player.speed = speed;
    if (isOther || !this.hour) this.choose(hour || (vehicles.length ? this.hours.offered : this.hour || this.hours.offered), vehicles.length ? vehicles.slice(0, this.hours.most_vehicles) : this.ids);
    if (isNew || isOther || !$('replay-chosen')) { this.build(); await this.load(); } else this.writeAddress();
  }

  async askHours() { this.hours = await ask('/api/replay/hours'); }

  choose(hour, ids) {
    if (hour !== this.hour) this.ways.clear();
    Object.assign(this, { hour, ids });
    this.player.atMs = 0;
  }

  open() {
    this.isOpen = true;
    document.body.classList.add('is-replay');
    for (const id of ['replay', 'replay-dock']) $(id).hidden = false;
    this.map?.open();
  }

  close() {
    this.isOpen = false;
    this.player.pause();
    document.body.classList.remove('is-replay');
    for (const id of ['replay', 'replay-dock']) $(id).hidden = true;
    this.map?.close();
  }

  get vehicles() { return this.ids.map((id) => this.ways.get(`${this.hour} ${id}`)).filter(Boolean).map((way) => ({ ...way, colour: COLOURS[window.prefs.theme][this.ids.indexOf(way.vehicle_id) % 10] })); }

  writeAddress() { history.replaceState(null, '', replayHref({ hour: this.hour, vehicles: this.ids, speed: this.player.speed })); }

  /** Read the ways that are not here yet. */
  async load(goes = true) {
    this.writeAddress();
    const turn = (this.turn += 1), { hour } = this;
    const missing = this.ids.filter((id) => !this.ways.has(`${hour} ${id}`));
    this.draw();
    if (missing.length) {
      this.say(t('replayReading', missing.join(', ')));
      const asked = new URLSearchParams({ hour });
      for (const id of missing) asked.append('v', id);
      let found = null, problem = null;
      try { found = await ask(`/api/replay/ways?${asked}`); } catch (error) { problem = error; }
      if (turn !== this.turn || !this.isOpen) return;
      if (problem) { this.sayProblem(problem); return; }
      for (const way of found.vehicles) this.ways.set(`${hour} ${way.vehicle_id}`, { ...way, headings: headings(way.points), fromMs: found.from_ms, untilMs: found.until_ms, zones: found.zones, notes: found.notes });
      this.draw();
    }
    this.say('');
    if (goes && this.vehicles.length) this.map?.fit();
  }

  say(text, isBad = false) {
    Object.assign(this, { said: text, isBad });
    if (!$('replay-said')) $('replay').replaceChildren(el('h2', {}, t('replayTitle')), el('p.quiet', { id: 'replay-said', role: 'status' }));
    $('replay-said').textContent = text;
    $('replay-said').classList.toggle('replay-note', isBad);
  }

  sayProblem(error) { this.say(t('notReplayed', error.message), true); }

  // --- what can be chosen ---
  async offer(text) {
    try { this.offered = await ask(`/api/replay/vehicles?${new URLSearchParams({ q: text })}`); } catch { return; }
    $('replay-offered')?.replaceChildren(...this.offered.map(({ vehicle_id: id, plate }) => el('option', { value: id }, plate ?? '')));
  }

  add(text) {
    const wanted = text.trim().toLowerCase();
    if (!wanted) return;
    const id = this.offered.find((one) => one.vehicle_id.toLowerCase() === wanted || one.plate?.toLowerCase() === wanted)?.vehicle_id ?? (this.offered.length === 1 ? this.offered[0].vehicle_id : text.trim());
    if (this.ids.includes(id)) { this.say(t('alreadyChosen', id)); return; }
    if (this.ids.length >= this.hours.most_vehicles) { this.say(t('tooManyVehicles', this.hours.most_vehicles)); return; }
    this.ids = [...this.ids, id];
    $('replay-vehicle').value = '';
    this.load();
  }

  remove(id) {
    this.ids = this.ids.filter((one) => one !== id);
    if (this.followed === id) this.followed = null;
    this.load(false);
    $('replay-vehicle').focus();
  }

  follow(id) {
    if (this.followed === id) return;
    this.followed = id;
    this.draw();
  }

  // --- what is drawn ---
  build() {
    const { hours } = this;
    if (!hours) return;
    const hour = el('input', { id: 'replay-hour', type: 'datetime-local', value: this.hour, min: hours.first, max: hours.last, step: 60, required: true, onchange: (event) => { if (event.target.value) { this.choose(event.target.value.slice(0, 16), this.ids); this.load(); } }, onfocus: async () => { try { await this.askHours(); Object.assign(hour, { min: this.hours.first, max: this.hours.last }); } catch { /* the bounds of before do */ } } });
    const vehicle = el('input', { id: 'replay-vehicle', type: 'text', autocomplete: 'off', maxLength: 128, spellcheck: false, oninput: (event) => { clearTimeout(this.later); this.later = setTimeout(() => this.offer(event.target.value), 150); }, onfocus: () => this.offer(vehicle.value) });
    vehicle.setAttribute('list', 'replay-offered');
    const form = el('form.replay-form', { onsubmit: async (event) => { event.preventDefault(); await this.offer(vehicle.value); this.add(vehicle.value); } },
      el('label', { htmlFor: 'replay-hour' }, t('replayHour')), hour, el('label', { htmlFor: 'replay-vehicle' }, t('replayVehicle')),
      el('div.replay-add', {}, vehicle, el('button.primary', { type: 'submit' }, t('add'))), el('datalist', { id: 'replay-offered' }));
    $('replay').replaceChildren(el('h2', {}, t('replayTitle')), form, el(`p.quiet${this.isBad ? '.replay-note' : ''}`, { id: 'replay-said', role: 'status' }, this.said), el('div', { id: 'replay-notes' }), el('ul', { id: 'replay-chosen' }),
      el('section', {}, el('h3', {}, t('stopsTitle')), el('p.quiet', {}, t('stopIs', hours.stop_radius_m, hours.stop_minutes)), el('div', { id: 'replay-stops' })), el('section.officers', { id: 'replay-files' }));
    const speed = el('select', { id: 'replay-speed', 'aria-label': t('replaySpeed'), title: t('replaySpeed'), onchange: (event) => { this.player.speed = Number(event.target.value); this.writeAddress(); } }, SPEEDS.map((times) => el('option', { value: times, selected: times === this.player.speed }, `${times}×`)));
    const scrubber = el('input', { id: 'replay-at', type: 'range', step: 1000, 'aria-label': t('scrubber'), oninput: (event) => this.player.go(Number(event.target.value)) });
    $('replay-dock').replaceChildren(el('div.replay-bar', {}, el('button', { id: 'replay-play', type: 'button', title: t('replayKeys'), onclick: () => this.player.toggle() }), speed, scrubber, el('output', { id: 'replay-clock', htmlFor: 'replay-at' })), el('div', { id: 'replay-curve' }), el('p.quiet.replay-keys', {}, t('replayKeys')));
    this.curve = new SpeedCurve($('replay-curve'), (ms) => this.player.go(ms));
    this.draw();
  }

  draw() {
    if (!this.isOpen || !$('replay-chosen')) return;
    const { vehicles } = this, [first] = vehicles;
    this.map?.draw(vehicles);
    this.zones = first?.zones ?? [];
    if (first) this.player.load(first.fromMs, first.untilMs);
    const notes = [...new Map(vehicles.flatMap((one) => one.notes).map((note) => [note.en, note])).values()];
    $('replay-notes').replaceChildren(...notes.map((note) => el('p.replay-note', {}, note[window.prefs.lang])));
    $('replay-chosen').replaceChildren(...(this.ids.length ? this.ids.map((id) => this.chosenRow(id, vehicles.find((one) => one.vehicle_id === id))) : [el('li.empty', {}, t('replayEmpty', this.hours.most_vehicles))]));
    $('replay-stops').replaceChildren(...this.stopRows(vehicles));
    this.drawFiles(vehicles);
    for (const [name, value] of Object.entries({ min: this.player.fromMs, max: this.player.untilMs })) $('replay-at')[name] = value;
    for (const id of ['replay-at', 'replay-play']) $(id).disabled = !first;
    this.curve.draw(vehicles, this.player.fromMs, this.player.untilMs, this.followed);
    this.moved(true);
  }

  chosenRow(id, vehicle) {
    const count = vehicle?.points.length, stops = vehicle?.stops.length;
    const about = !vehicle ? '' : count ? t(stops === 1 ? 'oneFixThen' : 'fixesThen', number(count), number(stops)) : t('noFixesThen');
    const mark = el('i.swatch', { 'aria-hidden': 'true' });
    if (vehicle) mark.style.setProperty('--c', vehicle.colour);
    return el('li', { 'data-way': id }, mark,
      el('div', {}, el('b', {}, vehicle?.plate ?? id), vehicle?.plate ? el('span.quiet', {}, ` ${id}`) : null, el('p.quiet', {}, about, el('span.now', {}))),
      el('button.toggle', { type: 'button', 'aria-pressed': String(this.followed === id), 'aria-label': t('followLabel', id), disabled: !count, onclick: () => { this.follow(this.followed === id ? null : id); $('replay-chosen').querySelector(`[data-way="${CSS.escape(id)}"] .toggle`)?.focus(); } }, t('followIt')),
      el('button.toggle', { type: 'button', 'aria-label': t('remove', id), title: t('remove', id), onclick: () => this.remove(id) }, '×'));
  }

  stopRows(vehicles) {
    const rows = vehicles.flatMap((vehicle) => vehicle.stops.map((stop) => ({ vehicle, stop }))).sort((a, b) => a.stop.from_ms - b.stop.from_ms);
    if (!rows.length) return vehicles.length ? [el('p.empty', {}, t('noStops'))] : [];
    const row = ({ vehicle, stop }) => {
      const mark = el('i.swatch', { 'aria-hidden': 'true' });
      mark.style.setProperty('--c', vehicle.colour);
      return el('tr', {}, el('th', { scope: 'row' }, mark, ' ', nameOf(vehicle)), el('td', {}, el('button.link', { type: 'button', 'aria-label': t('stopGo', nameOf(vehicle), clock(stop.from_ms)), onclick: () => { this.player.go(stop.from_ms); this.map?.goTo(stop); } }, clock(stop.from_ms))), el('td', {}, span((stop.until_ms - stop.from_ms) / 1000)));
    };
    return [el('table', {}, el('thead', {}, el('tr', {}, ['vehicle', 'stopFrom', 'stopLength'].map((key) => el('th', { scope: 'col' }, t(key))))), el('tbody', {}, rows.map(row)))];
  }

  drawFiles(vehicles) {
    const asked = new URLSearchParams({ hour: this.hour });
    for (const one of vehicles) asked.append('v', one.vehicle_id);
    const file = (suffix, name) => el('a.plain', { href: `/api/replay/export.${suffix}?${asked}`, download: '', 'data-export': suffix }, name);
    $('replay-files').replaceChildren(...(vehicles.some((one) => one.points.length) ? [el('h3', {}, t('exportTitle')), el('p.replay-files', {}, file('geojson', 'GeoJSON'), file('gpx', 'GPX'))] : []));
  }

  /** The instant has changed: arrows, cursor, scrubber, clock; words beside the map four times a second. */
  moved(isWhole = false) {
    if (!this.isOpen || !$('replay-at')) return;
    const { atMs, isPlaying } = this.player, { vehicles } = this, isDue = isWhole || !isPlaying || performance.now() - this.saidAt > 250;
    const places = vehicles.map((vehicle) => [vehicle, placeAt(vehicle, atMs)]);
    for (const [{ vehicle_id: id }, place] of places) { this.map?.move(id, place); if (id === this.followed) this.map?.center(place); }
    this.curve.moveTo(atMs);
    if (!isDue) return;
    this.saidAt = performance.now();
    this.map?.showZones(this.zonesAt(atMs));
    const time = vehicles.length ? clock(atMs) : '–';
    $('replay-at').value = atMs;
    $('replay-at').setAttribute('aria-valuetext', time);
    $('replay-clock').textContent = time;
    $('replay-play').textContent = isPlaying ? '❚❚' : '▶';
    $('replay-play').setAttribute('aria-label', t(isPlaying ? 'pause' : 'play'));
    for (const [{ vehicle_id: id, points }, place] of places) {
      const now = $('replay-chosen').querySelector(`[data-way="${CSS.escape(id)}"] .now`);
      if (now && points.length) now.textContent = ` · ${!place?.isKnown ? t('notKnownNow') : place.speed === null ? '' : t('kmh', place.speed.toFixed(0))}`;
    }
  }

  /** What zones forbade at an instant; the same object as long as it is the same. */
  zonesAt(ms) {
    const found = this.zones.filter(([from]) => from <= ms).at(-1) ?? this.zones[0];
    if (!found) return null;
    if (this.then?.zones !== found[1]) this.then = { zones: found[1], shapes: found[2], atMs: found[0] };
    return this.then;
  }

  key(event) {
    if (!this.isOpen || !this.vehicles.length || event.ctrlKey || event.metaKey || event.altKey || event.target.closest('#map, input, select, textarea')) return;
    const step = event.shiftKey ? FAR_MS : STEP_MS;
    if (event.key === ' ' && !event.target.closest('button, a')) this.player.toggle();
    else if (event.key === 'ArrowLeft') this.player.go(this.player.atMs - step);
    else if (event.key === 'ArrowRight') this.player.go(this.player.atMs + step);
    else return;
    event.preventDefault();
  }
}
