// Who is inside the chosen zone now, and who was yesterday at this hour.
import { el } from './dom.js';
import { ask, state } from './store.js';
import { instant, number, say, t } from './words.js';

const ASKED_AFTER_MS = 400;
const AGAIN_AFTER_MS = 10_000;

export class InsideList {
  /** `zone` returns the feature that is asked about, or null. */
  constructor(zone) {
    this.zone = zone;
    this.found = el('div', { 'aria-live': 'polite' });
    this.element = el('section.inside', {}, el('h3', { 'aria-level': '2' }, t('whoInside')), el('div.buttons', {}, el('button.plain', { type: 'button', onclick: () => { this.isAsked = true; this.ask(); } }, t('count'))), this.found);
  }
  /** The zone may be another one or have another shape; who has asked once is told again. */
  asked() {
    const geometry = this.zone()?.geometry;
    if (geometry === this.geometry) return;
    this.geometry = geometry;
    this.found.replaceChildren();
    if (this.isAsked) this.askIn(ASKED_AFTER_MS);
  }
  leave() { clearTimeout(this.later); this.later = null; }
  askIn(ms) { this.leave(); this.later = setTimeout(() => this.ask(), ms); }

  async ask() {
    const zone = this.zone();
    if (!zone?.geometry || !this.element.checkVisibility()) return;
    try {
      const found = await ask('/api/policy/inside', { type: 'FeatureCollection', features: [{ type: 'Feature', properties: { id: 'drawn' }, geometry: zone.geometry }] });
      if (zone.geometry !== this.zone()?.geometry) return;
      const isReplayed = state.replaying && found.yesterday && found.now.at_ms - found.yesterday.at_ms < 3_600_000;
      this.found.replaceChildren(this.drawn('nowAt', found.now), found.yesterday ? this.drawn('yesterdayAt', found.yesterday, isReplayed ? t('replayedDay') : '') : el('p.bad', {}, found.problem));
      this.askIn(AGAIN_AFTER_MS);
    } catch (error) {
      this.found.replaceChildren(el('p.bad', {}, error.message)); // what is wrong with the zone stands above, too
    }
  }

  drawn(word, found, note = '') {
    const count = found.known ? t('insideOf', number(found.inside), number(found.known)) + (found.silent ? t('ofThemSilent', number(found.silent)) : '') : t('nothingKept');
    const enterprise = (id) => (id === null ? t('unknownEnterprise') : say(state.enterprises[id]) || id);
    const row = (one) => el('tr', {}, el('th', { scope: 'row' }, el('button.link', { type: 'button', 'data-vehicle': one.vehicle_id }, one.vehicle_id)), el('td', {}, one.plate ?? '–'), el('td.cut', {}, enterprise(one.enterprise_id)));
    const rows = found.vehicles.map(row), more = found.inside - rows.length;
    return el('section.whom', {}, el('h4', { 'aria-level': '3' }, t(word, instant(found.at_ms))), el('p.count', {}, count), note ? el('p.quiet', {}, note) : null, found.is_whole ? null : el('p.quiet', {}, t('notWhole')),
      found.inside ? el('ul.by', {}, found.enterprises.map((one) => el('li', {}, enterprise(one.enterprise_id), ' ', el('b', {}, number(one.inside))))) : null,
      rows.length ? el('details', {}, el('summary', {}, `${t('vehicles')} ${number(found.inside)}`), el('table', {}, el('thead', {}, el('tr', {}, ['vehicle', 'plate', 'enterprise'].map((name) => el('th', { scope: 'col' }, t(name))))), el('tbody', {}, rows)), more > 0 ? el('p.quiet', {}, t('moreVehicles', number(more))) : null) : null);
  }
}
