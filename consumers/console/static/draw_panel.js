// Drawing zones, the panel: which zone, its names, its points as a table, what the packs' reader says of it, who would be inside, and the file.
import { el } from './dom.js';
import { Draft, middle, ringsOf } from './draft.js';
import { Drawing } from './draw.js';
import { InsideList } from './inside.js';
import { ask } from './store.js';
import { lang, number, say, t } from './words.js';

const CHECKED_AFTER_MS = 250;
const isTyping = (target) => ['INPUT', 'TEXTAREA', 'SELECT'].includes(target.tagName) && target.type !== 'checkbox';
const area = (m2) => (m2 < 10_000 ? `${number(m2)} m²` : `${number(Number((m2 / 1e6).toPrecision(3)))} km²`);

export class DrawPanel {
  constructor(live, before = null) {
    Object.assign(this, { live, draft: before?.draft ?? null, drawing: before?.drawing ?? null, checked: null, kinds: before?.kinds ?? [], isShown: false });
    this.inside = new InsideList(() => this.draft?.zone);
    this.build();
    this.listener = (event) => this.key(event);
    this.changed = () => this.update();
    this.refused = ({ detail }) => this.tell(t(detail));
  }

  // --- what is always there ---
  build() {
    const button = (word, does, kind = 'plain') => el(`button.${kind}`, { type: 'button', onclick: does }, t(word));
    const field = (word, input) => el('label.field', {}, el('span', {}, t(word)), input);
    const text = (key) => el('input', { 'data-key': key, maxLength: 100, onchange: (event) => this.draft.name(key, event.target.value.trim()) });
    this.buttons = { newZone: button('newZone', () => this.begin(), 'primary'), cutHole: button('cutHole', () => this.begin(true)), undo: button('undo', () => this.undo()), redo: button('redo', () => this.draft.redo()), dropDraft: button('dropDraft', () => this.draft.drop()) };
    this.count = el('b');
    this.isDrawn = el('div.drawn', { hidden: true }, el('p', {}, t('drawHow')), el('p', { role: 'status' }, this.count), el('div.buttons', {}, button('closeRing', () => this.close(), 'primary'), button('removeLast', () => this.drawing.back()), button('addCentre', () => this.addCentre()), button('cancelDrawing', () => this.drawing.cancel())));
    this.chooser = el('select', { onchange: () => this.choose(this.chooser.value === '' ? null : Number(this.chooser.value)) });
    this.inputs = { id: text('id'), kind: text('kind'), name_zh: text('name_zh'), name_en: text('name_en') };
    this.inputs.kind.setAttribute('list', 'zone-kinds');
    this.kindList = el('datalist', { id: 'zone-kinds' });
    this.example = el('input', { type: 'checkbox', onchange: () => this.draft.name('illustrative', this.example.checked) });
    this.points = el('details', {}, this.pointsOf = el('summary', {}, t('pointsOf', 0)), this.tables = el('div'));
    this.points.addEventListener('toggle', () => this.drawTable());
    this.judged = el('ul.judged');
    this.outcome = el('p.outcome', { role: 'status' });
    this.notes = el('p.quiet');
    this.form = el('div.zone-form', {}, el('div.two', {}, field('zoneId', this.inputs.id), field('zoneKind', this.inputs.kind), field('nameZh', this.inputs.name_zh), field('nameEn', this.inputs.name_en)), this.kindList,
      el('label.check', {}, this.example, ' ', t('isExample')), this.points, this.inside.element, el('div.buttons', {}, button('removeZone', () => this.draft.remove())));
    this.element = el('div.draw', {}, el('p.quiet', {}, t('neverLive')), this.notes, el('div.buttons', {}, Object.values(this.buttons)), this.isDrawn, field('chooseZone', this.chooser), el('div', { role: 'status' }, this.judged), this.form, this.outcome,
      el('div.buttons.last', {}, button('exportFile', () => this.export(), 'primary')));
  }

  // --- shown and left ---
  async enter() {
    this.isShown = true;
    document.addEventListener('keydown', this.listener, true);
    try {
      if (!this.draft) await this.begun();
    } catch (error) {
      this.tell(error.message);
      return;
    }
    if (!this.isShown) return;
    this.draft.addEventListener('change', this.changed);
    if (this.live) {
      this.drawing ??= new Drawing(this.live.map);
      this.drawing.addEventListener('change', this.changed);
      this.drawing.addEventListener('refused', this.refused);
      this.drawing.show(this.draft);
    }
    this.update();
  }
  async begun() {
    const found = await ask('/api/policy/zones');
    this.draft ??= new Draft(found);
    this.kinds = found.kinds;
    window.yicheng.draft = this.draft;
  }
  leave() {
    this.isShown = false;
    document.removeEventListener('keydown', this.listener, true);
    this.draft?.removeEventListener('change', this.changed);
    this.drawing?.removeEventListener('change', this.changed);
    this.drawing?.removeEventListener('refused', this.refused);
    if (this.drawing?.points) this.drawing.cancel();
    this.drawing?.show(null);
    this.inside.leave();
  }

  // --- hands ---
  clicked({ lngLat, point }) {
    if (!this.draft || !this.drawing) return;
    const { points } = this.drawing;
    if (!points) { this.draft.select(this.drawing.under(point)); return; }
    const away = (place) => { const at = this.live.map.project(place); return Math.hypot(at.x - point.x, at.y - point.y); };
    if (points.length > 2 && away(points[0]) < 10) this.close();
    else if (!points.length || away(points.at(-1)) > 4) this.drawing.add(lngLat.toArray()); // the second click of two at once is none
  }
  key(event) {
    if (!this.isShown || !this.draft || isTyping(event.target) || this.element.hidden) return;
    const isUndo = (event.ctrlKey || event.metaKey) && !event.altKey, key = event.key.toLowerCase(), isButton = event.target.tagName === 'BUTTON', { points } = this.drawing ?? {};
    if (isUndo && key === 'z' && !event.shiftKey) this.undo();
    else if (isUndo && (key === 'y' || key === 'z')) this.draft.redo();
    else if (isUndo || !points) return;
    else if (key === 'enter' && !isButton) this.close();
    else if (key === ' ' && !isButton) this.addCentre();
    else if (key === 'backspace') this.drawing.back();
    else if (key === 'escape') this.drawing.cancel();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
  undo() { if (this.drawing?.points) { if (this.drawing.points.length) this.drawing.back(); else this.drawing.cancel(); } else this.draft.undo(); }
  begin(isHole = false) {
    this.tell('');
    if (!this.drawing) { this.typed(); return; }
    this.drawing.begin(isHole);
    this.live.map.getCanvas().focus({ preventScroll: true });
  }
  /** Without a map a zone begins as a small square in the middle of the others, whose points are typed. */
  typed() {
    const places = this.draft.features.flatMap((feature) => ringsOf(feature.geometry).flatMap(({ points }) => points));
    const [lon, lat] = places.length ? [0, 1].map((axis) => places.reduce((sum, place) => sum + place[axis], 0) / places.length) : [105, 35];
    this.draft.add([[lon, lat], [lon + 0.005, lat], [lon + 0.005, lat + 0.005], [lon, lat + 0.005]]);
    this.points.open = true;
  }
  addCentre() { this.drawing.add(this.live.map.getCenter().toArray()); }
  close() { this.tell(this.drawing.close() ? '' : t('needThree')); }
  choose(place) {
    this.draft.select(place);
    const points = this.draft.zone ? ringsOf(this.draft.zone.geometry).flatMap((ring) => ring.points) : [];
    if (!points.length || !this.live) return;
    const bounds = points.reduce((box, point) => box.extend(point), new window.maplibregl.LngLatBounds(points[0], points[0]));
    this.live.map.fitBounds(bounds, { padding: innerWidth < 700 ? 30 : { top: 60, bottom: 100, left: 60, right: 60 }, maxZoom: 16, duration: this.live.layer.moves ? 400 : 0 });
  }
  tell(words) { this.outcome.textContent = words; }

  // --- what changes ---
  update() {
    const { draft, drawing } = this, { zone } = draft, isDrawing = Boolean(drawing?.points);
    this.isDrawn.hidden = !isDrawing;
    this.count.textContent = isDrawing ? t('pointsSoFar', drawing.points.length) : '';
    document.getElementById('map')?.classList.toggle('drawing', isDrawing);
    Object.entries({ newZone: isDrawing, cutHole: isDrawing || !zone || !drawing, undo: !draft.before.length && !isDrawing, redo: !draft.after.length, dropDraft: !draft.isChanged }).forEach(([name, isOff]) => { this.buttons[name].disabled = isOff; });
    this.notes.textContent = draft.isOfOtherFile ? t('draftOther') : draft.wasKept && draft.isChanged ? t('draftKept') : '';
    this.drawChooser();
    this.form.hidden = !zone || isDrawing;
    if (zone) {
      for (const [key, input] of Object.entries(this.inputs)) input.value = zone.properties[key] ?? '';
      this.example.checked = zone.properties.illustrative === true;
      this.drawTable();
    }
    this.kindList.replaceChildren(...this.kinds.map((kind) => el('option', { value: kind })));
    if (!isDrawing) drawing?.draw();
    this.inside.asked();
    if (this.last !== draft.features || !this.checked) this.checkSoon();
    this.last = draft.features;
    this.drawJudged();
  }

  title(feature) { const { id, name_zh: zh, name_en: en } = feature.properties; return say({ zh: zh || en, en: en || zh }) || String(id ?? '?'); }

  drawChooser() {
    const options = this.draft.features.map((feature, place) => el('option', { value: String(place) }, this.draft.isNew(feature) ? t('changedMark', this.title(feature)) : this.title(feature)));
    this.chooser.replaceChildren(el('option', { value: '' }, t('noneChosen')), ...options);
    this.chooser.value = this.draft.selected === null ? '' : String(this.draft.selected);
  }

  /** Each ring's points; where the keyboard was it stays. */
  drawTable() {
    const rings = ringsOf(this.draft.zone?.geometry);
    this.pointsOf.textContent = t('pointsOf', rings.reduce((sum, { points }) => sum + points.length, 0));
    if (!this.points.open) { this.tables.replaceChildren(); return; }
    const focused = this.tables.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    const parts = new Set(rings.map(({ path }) => path[0])).size;
    const name = ([p, r]) => (r ? t('hole', r) : parts > 1 ? t('part', p + 1) : t('outline'));
    this.tables.replaceChildren(...rings.map(({ path, points }) => el('table.points', {}, el('caption', {}, name(path)),
      el('thead', {}, el('tr', {}, el('th', { scope: 'col', 'aria-label': t('number') }, '№'), ['longitude', 'latitude'].map((word) => el('th', { scope: 'col' }, t(word))), el('td'))),
      el('tbody', {}, points.map((place, n) => this.row(path, n, place, points, name(path)))))));
    if (focused) this.tables.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  }
  row(path, n, place, points, ring) {
    const key = [...path, n].join('.'), called = (word) => `${t(word)} (${ring}, ${n + 1})`;
    const input = (axis, word, most) => el('input', { type: 'number', step: 'any', min: -most, max: most, value: String(place[axis]), 'aria-label': called(word), 'data-key': `${key}.${axis}`, onchange: (event) => this.typedPoint(event.target, path, n, place, axis, most) });
    const act = (sign, word, does) => el('button.small', { type: 'button', 'aria-label': called(word), title: t(word), 'data-key': `${key}${sign}`, onclick: does }, sign);
    return el('tr', {}, el('th', { scope: 'row' }, String(n + 1)), el('td', {}, input(0, 'longitude', 180)), el('td', {}, input(1, 'latitude', 90)),
      el('td', {}, act('+', 'insertAfter', () => this.draft.insert(path, n, middle(place, points[(n + 1) % points.length]))), act('×', 'removePoint', () => { if (!this.draft.removePoint(path, n)) this.tell(t('keepsThree')); })));
  }
  typedPoint(input, path, n, place, axis, most) {
    const value = Number(input.value);
    if (input.value === '' || Math.abs(value) > most) { this.tell(t('needDegrees')); input.value = String(place[axis]); return; }
    this.tell('');
    setTimeout(() => this.draft.move(path, n, axis ? [place[0], value] : [value, place[1]])); // once the focus is where it goes
  }

  // --- what the packs' reader says ---
  checkSoon() {
    clearTimeout(this.later);
    this.later = setTimeout(() => this.check().catch((error) => this.tell(error.message)), CHECKED_AFTER_MS);
  }
  async check(what = 'check') {
    const { features } = this.draft;
    const found = await ask(`/api/policy/${what}`, this.draft.collection);
    if (features === this.draft.features) { this.checked = found; this.drawJudged(); }
    return found;
  }
  sentence(found) {
    const zone = found.zone_id === null ? null : this.draft.features.find((feature) => String(feature.properties.id ?? '') === found.zone_id);
    return zone ? t('ofZone', this.title(zone), found[lang()]) : found[lang()];
  }
  drawJudged() {
    const { checked, draft } = this, id = draft.zone && String(draft.zone.properties.id);
    if (!checked) { this.judged.replaceChildren(el('li.quiet', {}, t('checking'))); return; }
    const m2 = checked.areas_m2[id];
    const lines = [...checked.problems.map((one) => el('li.bad', {}, this.sentence(one))), ...checked.warnings.map((one) => el('li.doubt', {}, this.sentence(one)))];
    if (!checked.problems.length) lines.push(el('li.fine', {}, t('allFine')));
    if (m2) lines.push(el('li.quiet', {}, t('areaIs', area(m2))));
    this.judged.replaceChildren(...lines);
  }

  async export() {
    try {
      const { problems, name, text } = await this.check('export');
      if (problems.length) { this.tell(t('notExported', this.sentence(problems[0]))); return; }
      const link = el('a', { href: URL.createObjectURL(new Blob([text], { type: 'application/geo+json' })), download: name.split('/').at(-1) });
      document.body.append(link);
      link.click();
      link.remove();
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
      this.tell(t('exported', name));
    } catch (error) {
      this.tell(error.message);
    }
  }
}
