/** Segments that were chosen on the map: in the address if they are few, otherwise kept by this tab. */

const MOST_CHARS = 1500;
const KEPT = /^~\d+$/;
const kept = new Map();

/** The text that stands for ids in the address. */
export function writeSelection(ids) {
  const ascending = [...ids].sort((one, other) => one - other);
  const text = ascending.map((id, at) => (id - (at ? ascending[at - 1] : 0)).toString(36)).join(".");
  if (text.length <= MOST_CHARS) return text;
  const key = `~${Date.now()}`;
  kept.set(key, ascending);
  try {
    sessionStorage.setItem(key, text);
  } catch {
    // The tab has no room for it: it is lost when the page is loaded again.
  }
  return key;
}

/** In place of ids that are no longer there. */
export const LOST = "lost";

/** The ids, ascending, or LOST. */
export function readSelection(text) {
  if (!KEPT.test(text)) return sums(text);
  if (!kept.has(text)) {
    const stored = sessionStorage.getItem(text);
    kept.set(text, stored === null ? LOST : sums(stored));
  }
  return kept.get(text);
}

function sums(text) {
  let id = 0;
  const ids = text.split(".").map((part) => (id += parseInt(part, 36)));
  return ids.every(Number.isSafeInteger) ? ids : LOST;
}
