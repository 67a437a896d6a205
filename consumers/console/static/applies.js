// What applies at a clicked or typed place, on a day or at an instant: in the sentences of policy check, and which zones are there until when.
import { el } from './dom.js';
import { ask, state } from './store.js';
import { lang, localInput, t, until, zoneName } from './words.js';

const DIGITS = 5;

export class AppliesPanel {
  constructor(live, before = null) {
    this.live = live;
    this.pin = null;
    const number = (id, word, most) => el('input', { id, type: 'number', step: 'any', min: -most, max: most, required: true, inputMode: 'decimal', value: before?.[id].value ?? '' });
    this.lon = number('lon', 'longitude', 180);
    this.lat = number('lat', 'latitude', 90);
    this.at = el('input', { id: 'applies-at', type: 'datetime-local', value: before?.at.value ?? '' });
    this.day = el('input', { id: 'applies-day', type: 'checkbox', checked: before?.day.checked ?? false });
    this.outcome = el('p.outcome', { role: 'status' });
    this.answer = el('div.applied', { 'aria-live': 'polite' });
    const field = (word, input) => el('label.field', {}, el('span', {}, t(word)), input);
    const form = el('form.applies', { noValidate: true, onsubmit: (event) => { event.preventDefault(); this.ask(); } },
      el('p.quiet', {}, t('appliesHow')), el('div.two', {}, field('longitude', this.lon), field('latitude', this.lat)), field('localTime', this.at),
      el('div.buttons', {}, el('button.primary', { type: 'submit' }, t('ask')), el('label.check', {}, this.day, ' ', t('wholeDay')),
        el('button.plain', { type: 'button', onclick: () => { this.at.value = localInput(state.header?.stream_ms || Date.now()); this.askIfPlaced(); } }, t('atStreamTime')),
        this.live ? el('button.plain', { type: 'button', onclick: () => this.place(this.live.map.getCenter()) }, t('mapCentre')) : null));
    for (const input of [this.at, this.day]) input.addEventListener('change', () => this.askIfPlaced());
    this.element = el('div', {}, form, this.outcome, this.answer);
  }

  enter() {
    this.at.value ||= localInput(state.header?.stream_ms || Date.now());
    this.drawPin();
    this.askIfPlaced();
  }
  leave() { this.pin?.remove(); this.pin = null; }
  clicked({ lngLat }) { this.place(lngLat); }

  place({ lng, lat }) {
    this.lon.value = lng.toFixed(DIGITS);
    this.lat.value = lat.toFixed(DIGITS);
    this.at.value ||= localInput(state.header?.stream_ms || Date.now());
    this.ask();
  }
  askIfPlaced() { if (this.lon.value && this.lat.value) this.ask(); }

  drawPin() {
    this.pin?.remove();
    this.pin = null;
    if (!this.live || !this.lon.value || !this.lat.value || Math.abs(this.lat.value) > 90) return;
    const place = [Number(this.lon.value), Number(this.lat.value)], { map } = this.live;
    this.pin = new window.maplibregl.Marker({ element: el('i.pin', { 'aria-hidden': 'true' }), anchor: 'bottom' }).setLngLat(place).addTo(map);
    if (!map.getBounds().contains(place)) map.jumpTo({ center: place });
  }

  async ask() {
    this.outcome.textContent = '';
    if (!this.lon.value || !this.lat.value) { this.say('needPlace', this.lon); return; }
    if (!this.at.value) { this.say('needTime', this.at); return; }
    this.drawPin();
    const moment = this.day.checked ? this.at.value.slice(0, 10) : this.at.value;
    const turn = (this.turn = (this.turn ?? 0) + 1);
    try {
      const found = await ask(`/api/policy/applies?${new URLSearchParams({ lon: this.lon.value, lat: this.lat.value, at: moment })}`);
      if (turn === this.turn) this.answer.replaceChildren(...this.drawn(found));
    } catch (error) {
      if (turn === this.turn) { this.answer.replaceChildren(); this.outcome.textContent = error.message; }
    }
  }
  say(word, input) { this.answer.replaceChildren(); this.outcome.textContent = t(word); input.focus(); }

  drawn({ zones, lines, is_instant: isInstant, at_ms: atMs }) {
    const chip = (zone) => el('li', {}, el('b', {}, zoneName(zone)), ' ', el(`span.chip.level-${zone.level}`, {}, t(zone.level)), ' ', el('span.quiet', {}, until(zone.until_ms, atMs)));
    const here = zones.length ? el('ul.here', {}, zones.map(chip)) : isInstant ? el('p.here', {}, el('span.chip', {}, t('noZoneHere'))) : null;
    return [here, ...sentences(lines[lang()])].filter(Boolean);
  }
}

/** The lines of policy check as headings, paragraphs and lists. */
function sentences(lines) {
  const made = [];
  let list = null, isHeading = false;
  for (const text of lines) {
    if (!text) { list = null; isHeading = true; continue; }
    if (isHeading) { made.push(el('h3', { 'aria-level': '2' }, text)); isHeading = false; continue; }
    if (text.startsWith('- ')) {
      if (!list) made.push(list = el('ul.ruled'));
      list.append(el('li', {}, el('b', {}, text.slice(2))));
    } else if (list && text.startsWith('   ')) list.lastChild.append(el('p', {}, text.trim()));
    else made.push(el('p', {}, text));
  }
  return made;
}
