// The address of a replay: #view=replay&hour=2026-06-25T12:00&v=…&v=…&speed=10; the hour is the city's local time, whatever the browser's timezone.
import { state } from './store.js';

export const SPEEDS = [1, 5, 10, 30, 60];

/** An instant in the city's local time, to the minute. */
export const cityMinute = (ms) => new Intl.DateTimeFormat('sv-SE', { timeZone: state.city?.timezone ?? 'Asia/Shanghai', dateStyle: 'short', timeStyle: 'short' }).format(ms).replace(' ', 'T');

export function replayHref({ hour = '', vehicles = [], speed = 0 }) {
  const said = new URLSearchParams({ view: 'replay' });
  if (hour) said.set('hour', hour);
  for (const id of vehicles) said.append('v', id);
  if (speed) said.set('speed', speed);
  return `#${said}`;
}

export function readAddress() {
  const said = new URLSearchParams(location.hash.slice(1));
  const speed = Number(said.get('speed'));
  return { hour: said.get('hour') ?? '', vehicles: [...new Set(said.getAll('v'))], speed: SPEEDS.includes(speed) ? speed : null };
}
