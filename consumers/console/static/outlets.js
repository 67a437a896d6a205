// The Outlets view (网点备案电子地图): the register on the map, and beside it as tables: outlets, the facilities of the three-level network, delivery lines.
import { $, el, keepFocus, nameCell } from './dom.js';
import { nameOf } from './filters.js';
import { COLOURS, isPlaced, LEVELS, OutletsMap } from './outlets_map.js';
import { ask, on, state, whyUnknown } from './store.js';
import { number, say, t } from './words.js';

const TABS = ['outlets', 'facilities', 'lines'];
const MOST_ROWS = 300;
const ASPECTS = { filed: 'onFile', camera: 'camera', recycling_container: 'container' };
const WORDS_OF = { filed: { yes: 'onFile', no: 'notFiled', unknown: 'filedUnknown' }, camera: { yes: 'withCamera', no: 'withoutCamera', unknown: 'cameraUnknown' }, recycling_container: { yes: 'withContainer', no: 'withoutContainer', unknown: 'containerUnknown' } };
const markOf = (value) => (value === true ? 'yes' : value === false ? 'no' : 'unknown');
const levelName = (one) => say(one.level_words) || t(one.level === 'township' ? 'township-level' : one.level);
const ORDER = { no: 0, unknown: 1, yes: 2 };
const byMark = (aspect) => (one, other) => ORDER[markOf(one[aspect])] - ORDER[markOf(other[aspect])] || one.id.localeCompare(other.id);

export class OutletsView {
  constructor(live) {
    Object.assign(this, { live, side: $('outlets-side'), isShown: false, tab: 'outlets', aspect: 'filed', found: { outlets: [], facilities: [], lines: [] }, read: '', failure: null });
    this.map = live && new OutletsMap(live, (kind, id) => this.chosen(kind, id));
    on('view', ({ detail }) => this.show(detail === 'outlets'));
    on('loaded', () => { if (this.isShown) this.load(true); });
    on('views', () => { if (this.isShown) this.load(); });
    addEventListener('prefs', () => { if (this.isShown) this.build(); });
    this.side.addEventListener('keydown', (event) => this.key(event));
  }

  show(isShown) {
    if (isShown === this.isShown) return;
    this.isShown = isShown;
    this.side.hidden = !isShown;
    document.querySelector('main').classList.toggle('outlets', isShown);
    $('outlets-legend').hidden = !isShown || !this.live;
    this.live?.map.resize();
    if (!isShown) { this.map?.close(); return; }
    this.map?.open();
    this.build();
    this.load();
    this.side.focus({ preventScroll: true });
  }

  async load(isAnew = false) {
    try {
      const { outlets } = await ask('/api/views'), read = JSON.stringify(outlets);
      if (read === this.read && !isAnew) return;
      Object.assign(this, { found: outlets, read });
      if (this.isShown) this.draw();
    } catch (error) { // what was there stays
      this.failure = error;
      if (this.isShown && !this.read) this.draw();
    }
  }

  /** What is always there, in the language of now. */
  build() {
    const before = $('outlets-search')?.value ?? '';
    this.search = el('input', { id: 'outlets-search', type: 'search', maxLength: 64, autocomplete: 'off', 'aria-label': t('searchOutlets'), placeholder: t('searchOutlets'), value: before, oninput: () => this.draw() });
    this.colour = el('select', { id: 'outlets-aspect', onchange: () => { this.aspect = this.colour.value; this.draw(); } }, Object.entries(ASPECTS).map(([value, word]) => el('option', { value, selected: value === this.aspect }, t(word))));
    const tab = (name) => el('button', { type: 'button', role: 'tab', id: `outlets-tab-${name}`, 'aria-controls': 'outlets-table', onclick: () => this.choose(name) });
    this.title = el('h2');
    this.count = el('p.quiet', { role: 'status' });
    this.table = el('div', { id: 'outlets-table', role: 'tabpanel', tabIndex: 0 });
    this.side.replaceChildren(el('div.outlets-head', {}, this.title, el('div.two', {}, this.search, el('label.aspect', {}, el('span', {}, t('colouredBy')), this.colour))), el('nav', { role: 'tablist', 'aria-label': t('outlets') }, TABS.map(tab)), this.count, this.table);
    this.draw();
  }

  choose(name) {
    this.tab = name;
    this.draw();
    this.table.scrollTop = 0;
  }

  /** What the search leaves. */
  searched(rows, texts) {
    const text = this.search.value.trim().toLowerCase();
    return text ? rows.filter((one) => texts(one).some((value) => value?.toLowerCase().includes(text))) : rows;
  }

  draw() {
    const { outlets, facilities, lines } = this.found, named = (one) => [one.id, one.enterprise_id, one.enterprise_id && nameOf.enterprise_id(one.enterprise_id), one.township, one.village];
    const left = {
      outlets: this.searched(outlets, named).sort(byMark(this.aspect)),
      facilities: this.searched(facilities, (one) => [...named(one), levelName(one)]).sort((one, other) => LEVELS.indexOf(one.level) - LEVELS.indexOf(other.level) || one.id.localeCompare(other.id)),
      lines: this.searched(lines, (one) => [one.id, ...one.zones, ...one.zones.map(nameOf.zone), ...one.vehicle_ids]),
    };
    const filed = (value) => outlets.filter((one) => one.filed === value).length;
    this.title.textContent = this.read ? t('outletsAre', number(outlets.length), number(filed(true)), number(filed(false))) : t('outlets');
    for (const name of TABS) {
      const tab = $(`outlets-tab-${name}`), isChosen = name === this.tab;
      tab.replaceChildren(t(name === 'lines' ? 'routes' : name), ' ', this.read ? el('b', {}, number(this.found[name].length)) : '');
      tab.setAttribute('aria-selected', String(isChosen));
      tab.tabIndex = isChosen ? 0 : -1;
    }
    this.table.setAttribute('aria-labelledby', `outlets-tab-${this.tab}`);
    const rows = left[this.tab], whole = this.found[this.tab].length;
    this.count.textContent = rows.length > MOST_ROWS ? t('newestRows', number(MOST_ROWS), number(rows.length)) : rows.length < whole ? t('rowsOf', number(rows.length), number(whole)) : '';
    keepFocus(this.table, () => this.table.replaceChildren(rows.length ? this.rows(rows.slice(0, MOST_ROWS)) : el('p.empty', {}, this.read ? t(whole ? 'noneFound' : { outlets: 'noOutlets', facilities: 'noFacilities', lines: 'noLines' }[this.tab]) : this.failure ? whyUnknown(this.failure) : t('loading'))));
    this.map?.draw({ ...left, outlets: left.outlets.map((one) => ({ ...one, mark: markOf(one[this.aspect]) })) });
    this.drawLegend();
  }

  rows(rows) {
    const HEADS = { outlets: ['outlet', 'enterprise', 'township', 'onFile', 'camera', 'container'], facilities: ['facility', 'level', 'township', 'villageName', 'enterprise'], lines: ['line', 'zones', 'vehicles'] };
    const head = HEADS[this.tab].map((name) => el('th', { scope: 'col' }, t(name)));
    return el('table', {}, el('thead', {}, el('tr', {}, head)), el('tbody', {}, rows.map((one) => this[`${this.tab}Row`](one))));
  }
  /** Its id, which goes where it is. */
  placed(one) { return el('th', { scope: 'row' }, this.map && isPlaced(one) ? el('button.link', { type: 'button', title: t('locate'), 'data-key': `place ${one.id}`, onclick: () => this.map.goTo(one) }, one.id) : one.id); }
  outletsRow(one) {
    const has = (value) => el(`td${value === false ? '.low' : ''}`, {}, value === null || value === undefined ? t('unknownYet') : t(value ? 'yes' : 'no')), filed = WORDS_OF.filed[markOf(one.filed)];
    return el('tr', {}, this.placed(one), nameCell(one.enterprise_id && nameOf.enterprise_id(one.enterprise_id)), nameCell(one.township), el('td', {}, el(`span.chip.${filed}`, {}, t(filed))), has(one.camera), has(one.recycling_container));
  }
  facilitiesRow(one) { return el('tr', {}, this.placed(one), el('td', {}, levelName(one)), nameCell(one.township), nameCell(one.village), nameCell(one.enterprise_id && nameOf.enterprise_id(one.enterprise_id))); }
  linesRow(one) { return el('tr', {}, el('th', { scope: 'row' }, one.id), el('td', {}, one.zones.map(nameOf.zone).join(' → ')), el('td', {}, one.vehicle_ids.flatMap((id, place) => [place ? ' ' : '', el('button.link', { type: 'button', 'data-vehicle': id }, id)]))); }

  /** What somebody clicked on the map is shown in its table. */
  chosen(kind, id) {
    const one = this.found[kind].find((known) => known.id === id);
    if (!one) return;
    if (!this.searched([one], () => [one.id]).length) this.search.value = '';
    this.choose(kind);
    const row = this.table.querySelector(`[data-key="${CSS.escape(`place ${id}`)}"]`);
    row?.scrollIntoView({ block: 'center' });
    row?.focus({ preventScroll: true });
    this.map.goTo(one);
  }

  drawLegend() {
    const ink = COLOURS[window.prefs.theme], words = WORDS_OF[this.aspect], { facilities, lines, outlets } = this.found;
    const key = (kind, colour, word) => { const mark = el(`i.${kind}`); mark.style.setProperty('--c', colour); return el('li', {}, mark, word); };
    const marks = ['yes', 'no', 'unknown'].filter((mark) => outlets.some((one) => markOf(one[this.aspect]) === mark));
    $('outlets-legend').replaceChildren(...marks.map((mark) => key('disc', ink[mark], t(words[mark]))), ...LEVELS.filter((level) => facilities.some((one) => one.level === level)).map((level) => key(`square.${level}`, ink.facility, levelName(facilities.find((one) => one.level === level)))),
      ...(lines.length ? [key('dashes', ink.line, t('routes'))] : []), el('li', {}, el('button.link', { type: 'button', onclick: () => this.live.fit() }, t('fit'))));
  }

  /** Arrows go from tab to tab; what keys mean here is not what they mean in the lists of the Live page. */
  key(event) {
    event.stopPropagation();
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || event.target.role !== 'tab') return;
    event.preventDefault();
    this.choose(TABS[(TABS.indexOf(this.tab) + step + TABS.length) % TABS.length]);
    $(`outlets-tab-${this.tab}`).focus();
  }
}
