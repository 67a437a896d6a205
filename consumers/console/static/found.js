// What the page does not hold of the incidents: asked of the server, with the filters of now.
import { filterValues } from './filters.js';
import { ask, state } from './store.js';

const ASKED_AFTER_MS = 300;
const FIRST = 100;
export const found = { query: null, rows: [], number: 0, before: null };
let later = null;

/** Ask for what the filters leave, once for each choice of them; `draw` is called when there is an answer. Without older ones the page holds all. */
export function askServer(draw) {
  const values = filterValues(), query = state.older > 0 && Object.keys(values).length ? new URLSearchParams({ ...values, limit: FIRST }).toString() : null;
  if (query === found.query) return;
  Object.assign(found, { query, rows: [], number: 0, before: null });
  clearTimeout(later);
  if (query) later = setTimeout(() => read(query, draw), ASKED_AFTER_MS);
}
export const askFurther = (draw) => read(`${found.query}&before=${encodeURIComponent(found.before)}`, draw);

async function read(query, draw) {
  const { query: asked } = found;
  try {
    const { rows, found: number, before } = await ask(`/api/incidents?${query}`);
    if (asked !== found.query) return;
    Object.assign(found, { rows: [...found.rows, ...rows], number, before });
    draw();
  } catch { /* the list says what the page itself has */ }
}

/** The rows of the server that the page does not hold. */
export const olderRows = () => found.rows.filter((row) => !state.incidents.has(row.incident_id));
