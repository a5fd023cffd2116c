/** What happened, for screen readers, and as a short message for everyone where it is not to be seen otherwise. */

import { html, useEffect, useState } from "../vendor/preact-htm.js";

const SHOWN_FOR_MS = 5000;
/** Of what is shown now, the newest last: everything outside of an open dialog is silent. */
const listeners = [];

export function announce(text, { shown = false } = {}) {
  listeners.at(-1)?.({ text, shown });
}

/** Copy a text, and report that with what it is: "The path is". */
export function copyText(text, what) {
  const failed = () => announce(`The browser does not allow copying here. Select it: ${text}`, { shown: true });
  if (!navigator.clipboard) failed(); // as on a page without TLS on another machine
  else navigator.clipboard.writeText(text).then(() => announce(`${what} copied`, { shown: true }), failed);
}

export function Announcer() {
  const [said, setSaid] = useState({ text: "", shown: false });
  useEffect(() => {
    listeners.push(setSaid);
    return () => listeners.splice(listeners.indexOf(setSaid), 1);
  }, []);
  useEffect(() => {
    if (!said.shown) return undefined;
    const timer = setTimeout(() => setSaid({ text: "", shown: false }), SHOWN_FOR_MS);
    return () => clearTimeout(timer);
  }, [said]);
  return html`<div role="status" aria-live="polite"
    class=${said.shown && said.text ? "toast" : "unseen"}>${said.text}</div>`;
}
