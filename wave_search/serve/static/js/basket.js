/** What was chosen from the results, in an order. The browser keeps it, for each index by itself. */

import { html, useEffect, useState } from "../vendor/preact-htm.js";
import { announce } from "./announcer.js";
import { Icon } from "./elements.js";

export const MOST = 500;
const listeners = new Set();
let key = null;
let items = [];
let known = new Set();
let made = 0;

/** Two entries are the same if they are of the same segment and range. */
const nameOf = ({ segment, start, stop }) => `${segment} ${start} ${stop}`;

/** Read the basket of an index. */
export function openBasket(path) {
  key = `basket ${path}`;
  show(kept());
  addEventListener("storage", (event) => event.key === key && show(kept())); // of another tab
}

function kept() {
  try {
    const found = JSON.parse(localStorage.getItem(key)) ?? [];
    return found.filter((item) => Number.isInteger(item.segment) && typeof item.path === "string").slice(0, MOST);
  } catch {
    return [];
  }
}

function show(changed) {
  items = changed;
  known = new Set(items.map(nameOf));
  for (const listener of listeners) listener();
}

export function setBasket(changed) {
  show(changed);
  try {
    localStorage.setItem(key, JSON.stringify(changed));
  } catch {
    announce("The browser keeps nothing more: the basket is lost when the page is left.", { shown: true });
  }
}

/** The entry of a hit, with its own range, that of the whole file, or a clip of it. */
function entryOf(hit, clip) {
  const { segment, name, path, kind, duration_s: duration } = hit;
  const start = clip?.start ?? hit.start_s ?? (duration ? 0 : null), stop = clip?.stop ?? hit.stop_s ?? duration;
  made += 1;
  return { id: `${Date.now()} ${made}`, segment, name, path, kind, duration, start, stop };
}

/** Add hits that are not there yet. Reports how many were added. */
export function addHits(hits, clip) {
  const fresh = hits.map((hit) => entryOf(hit, clip)).filter((entry) => !known.has(nameOf(entry)));
  const added = fresh.slice(0, MOST - items.length);
  setBasket([...items, ...added]);
  const what = hits.length === 1 ? hits[0].name : `${added.length} of ${hits.length} results`;
  if (added.length < fresh.length) announce(`The basket is full: it holds ${MOST}.`, { shown: true });
  else announce(added.length ? `${what} added to the basket` : `${what} is in the basket already`, { shown: true });
}

function toggle(hit) {
  const name = nameOf(entryOf(hit));
  if (!known.has(name)) return addHits([hit]);
  setBasket(items.filter((item) => nameOf(item) !== name));
  return announce(`${hit.name} taken out of the basket`, { shown: true });
}

/** What `read` returns, again whenever the basket has changed. */
function useStore(read) {
  const [value, setValue] = useState(read);
  useEffect(() => {
    const listener = () => setValue(read);
    listener();
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, []);
  return value;
}

export const useBasket = () => useStore(() => items);

/** Whether a key press means the basket, on something that has no such key of its own. */
export const isBasketKey = (event) =>
  event.key === "b" && !event.ctrlKey && !event.metaKey && !event.altKey && !event.target.closest("input, select");

/** {chosen, change} of a hit. */
export function useChosen(hit) {
  const chosen = useStore(() => known.has(nameOf(entryOf(hit))));
  return { chosen, change: () => toggle(hit) };
}

export function BasketButton({ open }) {
  const { length } = useBasket();
  return html`<button class="tool" type="button" onClick=${open} title="Basket" aria-haspopup="dialog"
    aria-label=${`Basket, ${length} ${length === 1 ? "clip" : "clips"}`}><${Icon} name="basket" />
    ${length > 0 && html`<span class="badge" aria-hidden="true">${length}</span>`}</button>`;
}
