// The policy's view beside the map: three tabs, what clicks on the map mean in each, and the pack in sentences.
import { AppliesPanel } from './applies.js';
import { $, el } from './dom.js';
import { DrawPanel } from './draw_panel.js';
import { ask, on, whyUnknown } from './store.js';
import './policy_words.js';
import { policyView } from './views.js';
import { t } from './words.js';

const TABS = ['pack', 'applies', 'draw'];

export class PolicyView {
  constructor(live) {
    Object.assign(this, { live, tab: 'pack', isShown: false, side: $('policy-side') });
    on('view', ({ detail }) => this.show(detail === 'policy'));
    on('loaded', () => { if (this.isShown && this.tab === 'pack') this.drawPack(); });
    addEventListener('prefs', () => { if (this.panels) this.build(); if (this.isShown) this.choose(this.tab); });
    this.side.addEventListener('keydown', (event) => this.key(event));
  }

  /** Tabs and panels anew, in the language of now; the first time when they are looked at. */
  build() {
    this.panels?.applies.leave();
    this.panels?.draw.leave();
    this.pack = el('div.pack');
    this.panels = { pack: { element: this.pack, enter: () => this.drawPack(), leave() {}, clicked: (event) => this.askThere(event) }, applies: new AppliesPanel(this.live, this.panels?.applies), draw: new DrawPanel(this.live, this.panels?.draw) };
    const tab = (name) => el(name === 'draw' ? 'button.admins' : 'button', { type: 'button', role: 'tab', id: `policy-tab-${name}`, 'aria-controls': 'policy-panel', onclick: () => this.choose(name) }, t(`${name}Tab`));
    const panel = el('div', { id: 'policy-panel', role: 'tabpanel', tabIndex: 0 }, TABS.map((name) => this.panels[name].element));
    this.side.replaceChildren(el('nav', { role: 'tablist', 'aria-label': t('policyTabs') }, TABS.map(tab)), panel);
  }

  show(isShown) {
    if (isShown === this.isShown) return;
    this.isShown = isShown;
    if (!this.panels) this.build();
    this.side.hidden = !isShown;
    document.querySelector('main').classList.toggle('policy', isShown);
    if (this.live) { this.live.takes = isShown ? (event) => this.panels[this.tab].clicked(event) : null; this.live.map.resize(); }
    if (isShown) this.choose(this.tab); else this.panels[this.tab].leave();
  }

  choose(name) {
    if (name !== this.tab) this.panels[this.tab].leave();
    this.tab = name;
    for (const one of TABS) {
      const tab = $(`policy-tab-${one}`);
      tab.setAttribute('aria-selected', String(one === name));
      tab.tabIndex = one === name ? 0 : -1;
      this.panels[one].element.hidden = one !== name;
    }
    $('policy-panel').setAttribute('aria-labelledby', `policy-tab-${name}`);
    $('policy-panel').scrollTop = 0;
    document.querySelector('main').dataset.policy = name;
    this.panels[name].enter();
  }

  askThere(event) { this.choose('applies'); this.panels.applies.clicked(event); }

  async drawPack() {
    try {
      this.pack.replaceChildren(...policyView((await ask('/api/views')).policy).flat());
    } catch (error) {
      if (!this.pack.querySelector('h2')) this.pack.replaceChildren(el('p.empty', {}, whyUnknown(error)));
    }
  }

  /** Arrows go from tab to tab; what keys mean here is not what they mean in the lists of the Live page. */
  key(event) {
    event.stopPropagation();
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || event.target.role !== 'tab') return;
    event.preventDefault();
    const offered = TABS.filter((name) => $(`policy-tab-${name}`).checkVisibility());
    this.choose(offered[(offered.indexOf(this.tab) + step + offered.length) % offered.length]);
    $(`policy-tab-${this.tab}`).focus();
  }
}
