// Elements from words: whatever comes from outside becomes text, never markup.
export const $ = (id) => document.getElementById(id);

/** el('p.note', {title: '…'}, 'text', child, …): an element with classes, properties and children; null and false are left out. */
export function el(name, given = {}, ...children) {
  const [tag, ...classes] = name.split('.');
  const element = document.createElement(tag || 'div');
  element.classList.add(...classes);
  for (const [key, value] of Object.entries(given)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else if (key in element && !key.includes('-')) element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false && child !== ''));
  return element;
}
const SVG = 'http://www.w3.org/2000/svg';
export function svg(tag, given = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(given)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}
const KEYS = ['data-key', 'data-incident', 'data-vehicle', 'data-action', 'id', 'href'];
const keyOf = (element) => { const name = KEYS.find((key) => element.hasAttribute(key)); return name && `[${name}="${CSS.escape(element.getAttribute(name))}"]`; };
/** Draw anew what is in an element: the keyboard stays on what has the same key, what was folded open stays open, and nothing scrolls. */
export function keepFocus(root, draw) {
  const focused = root.contains(document.activeElement) && document.activeElement !== root ? document.activeElement : null;
  const key = focused && keyOf(focused), opened = [...root.querySelectorAll('details[open]')].map(keyOf).filter(Boolean), { scrollTop } = root;
  draw();
  for (const one of opened) { const found = root.querySelector(one); if (found) found.open = true; }
  root.scrollTop = scrollTop;
  if (focused && !root.contains(document.activeElement)) ((key && root.querySelector(key)) ?? root).focus({ preventScroll: true });
}
/** Names and values as a description list; those without a value are left out. */
export const facts = (rows) => el('dl.facts', {}, rows.filter(([, value]) => value !== null && value !== undefined && value !== '').map(([name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, value))));
/** A cell with a name; of a very long one the beginning, and all of it when pointed at. */
export const nameCell = (name) => el('td', {}, el('span.clamp', { title: name }, name || '–'));
/** A share (0 to 1, or unknown) as a bar with a mark at its target; one that nothing is held against (null) is neither good nor low. */
export function bullet(share, target) {
  const made = el('span.bullet', { 'aria-hidden': 'true' }, el(`i${target === null ? '.free' : (share ?? NaN) < target ? '.low' : ''}`), target === null ? null : el('b'));
  made.firstChild.style.width = `${Math.min(100, (share ?? 0) * 100)}%`;
  if (target !== null) made.lastChild.style.left = `${target * 100}%`;
  return made;
}
