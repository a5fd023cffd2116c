/** The waveform of a segment or a file. Before it is there, its place is. */

import { html, useEffect, useState } from "../vendor/preact-htm.js";
import { peaks as fetchPeaks } from "./api.js";

const known = new Map();
const MOST_KNOWN = 500;

/** Peaks of a segment (null: of none), or of its whole file; null until they are there, empty if there are none. */
export function usePeaks(segment, count, whole = false) {
  const key = `${segment}/${count}/${whole}`;
  const [found, setFound] = useState(known.get(key) ?? null);
  useEffect(() => {
    if (segment === null) return undefined;
    if (known.has(key)) {
      setFound(known.get(key));
      return undefined;
    }
    setFound(null);
    const abort = new AbortController();
    fetchPeaks(segment, count, { whole, signal: abort.signal }).then(({ peaks }) => {
      if (known.size >= MOST_KNOWN) known.delete(known.keys().next().value);
      known.set(key, peaks);
      setFound(peaks);
    }, () => abort.signal.aborted || setFound([]));
    return () => abort.abort();
  }, [key]);
  return found;
}

/** Bars around a middle line, as wide as its place. Quiet sound is raised, so that its shape is seen. */
export function Waveform({ peaks, className = "waveform" }) {
  if (!peaks?.length) return html`<svg class=${className} aria-hidden="true"><line x1="0" x2="100%" y1="50%"
    y2="50%" /></svg>`;
  const loudest = Math.max(...peaks, 0.02);
  const path = peaks.map((peak, index) => {
    const height = Math.max(0.8, Math.sqrt(peak / loudest) * 46);
    return `M${index + 0.5} ${(50 - height).toFixed(1)}V${(50 + height).toFixed(1)}`;
  }).join("");
  return html`<svg class=${className} viewBox=${`0 0 ${peaks.length} 100`} preserveAspectRatio="none"
    aria-hidden="true"><path d=${path} /></svg>`;
}
