/** What the keys do, and what z means. */

import { html } from "../vendor/preact-htm.js";
import { Icon } from "./elements.js";

const KEYS = {
  Everywhere: { "/": "to the box", i: "folders of the index", "?": "this help", Esc: "back, or empty the box" },
  "In the box": {
    Enter: "search", "Ctrl Enter": "make it a term, and type another", "⌫": "take the last term back",
    "↓": "to the results",
  },
  "In the results": {
    "← → ↑ ↓": "from result to result", Space: "play the moment, with sound", Enter: "open the file",
    m: "sound of previews on or off", b: "into the basket, or out of it",
  },
  "On the map": {
    "← → ↑ ↓": "from point to point", Enter: "open", Space: "select, or not",
    "+ - 0": "zoom in, out, show everything",
    a: "select what is in view", "Shift drag": "lasso",
  },
  "In a file": {
    Space: "play, pause", "← →": "5 seconds back, on", "n p": "next, previous moment",
    "[ ]": "a clip begins, ends here", "m f": "mute, full screen", b: "the moment, or the clip, into the basket",
  },
};

export function Help({ dialog }) {
  const close = () => dialog.current.close();
  return html`<dialog ref=${dialog} class="help" aria-labelledby="help-title"
    onClick=${(event) => event.target === dialog.current && close()}>
    <div class="help-body">
      <div class="help-head"><h2 id="help-title">Keys and terms</h2>
        <button type="button" class="tool" aria-label="Close" onClick=${close}><${Icon} name="close" /></button></div>
      <div class="help-keys">
        ${Object.entries(KEYS).map(([place, keys]) => html`<section key=${place}><h3>${place}</h3><dl>
          ${Object.entries(keys).map(([key, does]) => html`<div
            key=${key}><dt>${key.split(" ").map((each) => html`<kbd>${each}</kbd>`)}</dt><dd>${does}</dd></div>`)}
        </dl></section>`)}
      </div>
      <h3>z</h3>
      <p>How far a match stands out from everything unrelated, in standard deviations. It is comparable between
        searches, and between sound, pictures and text. 6 and more is very clear, 5 clear, 4 likely, 3 possible; what is
        below is only the nearest.</p>
      <h3>Terms</h3>
      <p>Words, files and earlier results can be combined: results match all of them. Click a term to give it a weight,
        or to exclude what is like it. Files can be dropped anywhere on the page, or pasted; they are sent to your
        server only, and not kept.</p>
    </div>
  </dialog>`;
}
