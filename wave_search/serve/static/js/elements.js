/** Small parts that every view has. Icons are 24 x 24, in the colour of the text, with their meaning beside them. */

import { html } from "../vendor/preact-htm.js";
import { why } from "./format.js";

const PATHS = {
  search: "M11 4a7 7 0 1 1 0 14 7 7 0 0 1 0-14zM20 20l-4-4",
  plus: "M12 5v14M5 12h14",
  close: "M6 6l12 12M18 6L6 18",
  file: "M12 16V5M7 10l5-5 5 5M5 19h14",
  microphone: "M12 4a3 3 0 0 1 3 3v4a3 3 0 0 1-6 0V7a3 3 0 0 1 3-3zM6 11a6 6 0 0 0 12 0M12 17v3",
  stop: "M7 7h10v10H7z",
  play: "M8 5.500v13l10.500-6.500z",
  pause: "M8 5v14M16 5v14",
  sound: "M4 10v4h3l5 4V6L7 10zM16 9a4 4 0 0 1 0 6M18.500 6.500a8 8 0 0 1 0 11",
  muted: "M4 10v4h3l5 4V6L7 10zM16 10l4 4M20 10l-4 4",
  video: "M2.5 12S6 6 12 6s9.5 6 9.5 6-3.5 6-9.5 6-9.500-6-9.500-6zM12 9.5a2.5 2.5 0 1 1 0 5 2.5 2.5 0 0 1 0-5z",
  audio: "M4 11v2M8 7v10M12 4v16M16 8v8M20 11v2",
  av:
    "M2 12s3-4.5 7.5-4.5S17 12 17 12s-3 4.5-7.500 4.5S2 12 2 12zM9.5 10.5a1.5 1.5 0 1 1 0 3 1.5 1.5 0 0 1 0-3z" +
    "M20 8v8M22.5 10.5v3",
  image: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15.500 8.500h.01",
  text: "M5 6h14M5 10h14M5 14h14M5 18h8",
  filter: "M4 7h16M7 12h10M10 17h4",
  settings: "M4 8h9M17 8h3M15 6v4M4 16h3M11 16h9M9 14v4",
  help: "M9 9a3 3 0 1 1 4.500 2.600c-1 .6-1.500 1.200-1.500 2.400M12 17.500h.01",
  theme: "M12 4a8 8 0 1 0 0 16zM12 4a8 8 0 0 1 0 16",
  back: "M14 6l-6 6 6 6",
  next: "M10 6l6 6-6 6",
  similar: "M8 5a4 4 0 1 1 0 8 4 4 0 0 1 0-8zM16 11a4 4 0 1 1 0 8 4 4 0 0 1 0-8z",
  copy: "M9 9h10v10H9zM15 9V5H5v10h4",
  save: "M12 5v11M7 11l5 5 5-5M5 19h14",
  saved: "M7 4h10v16l-5-4-5 4z",
  tag: "M4 4h8l8 8-8 8-8-8zM8 8h.01",
  undo: "M9 5L4 10l5 5M4 10h10a5 5 0 0 1 0 10h-3",
  trim: "M8 4v16M16 4v16M8 12h8M4 8h4M16 16h4",
  basket: "M4 10h16l-2 9H6zM8 10l3-6M16 10l-3-6",
  up: "M6 14l6-6 6 6",
  down: "M6 10l6 6 6-6",
  folder: "M4 6h6l2 3h8v10H4z",
  map: "M4 6l5-2 6 2 5-2v14l-5 2-6-2-5 2zM9 4v14M15 6v14",
  lasso: "M12 4c5 0 8 2.500 8 5.500S17 15 12 15s-8-2.500-8-5.500S7 4 12 4zM7.500 14c-1.500 2 1.500 3 .5 6",
  inView: "M4 8V4h4M16 4h4v4M20 16v4h-4M8 20H4v-4M12 10a2 2 0 1 1 0 4 2 2 0 0 1 0-4z",
  minus: "M5 12h14",
  full: "M9 4H4v5M15 4h5v5M9 20H4v-5M15 20h5v-5",
};

export function Icon({ name, filled = false }) {
  return html`<svg class=${filled ? "icon icon-filled" : "icon"} viewBox="0 0 24 24" aria-hidden="true"
    focusable="false">
    <path d=${PATHS[name]} />
  </svg>`;
}

/** Why a hit was found: what it matches, each with its icon. */
export function Why({ hit }) {
  const matched = hit.z == null ? [hit.kind] : hit.matched;
  return html`<span class="why">${matched.map((name) => html`<${Icon} key=${name} name=${name} />`)}${why(hit)}</span>`;
}

export function Problem({ fault, retry }) {
  return html`<section class="state" role="alert">
    <h2>${fault.message}</h2>
    ${fault.remedy && html`<p>${fault.remedy}</p>`}
    ${retry && html`<button class="button" type="button" onClick=${retry}>Try again</button>`}
  </section>`;
}

/** Whether a click on a link is to be handled here, and not by the browser (a new tab, for example). */
export function plain(event) {
  if (event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return false;
  event.preventDefault();
  return true;
}
