/** Views that are loaded when they are first shown: `NAME.js`, which exports `View`, and `NAME.css`. */

import { html, useEffect, useState } from "../vendor/preact-htm.js";
import { Problem } from "./elements.js";

const loaded = new Map();

function styled(name) {
  return new Promise((resolve, reject) => {
    const link = document.createElement("link");
    link.rel = "stylesheet";
    link.href = `css/${name}.css`;
    link.onload = resolve;
    link.onerror = reject;
    document.head.append(link);
  });
}

async function load(name) {
  const [module] = await Promise.all([import(`./${name}.js`), styled(name)]);
  loaded.set(name, module.View);
}

/** @param waiting is shown until the view is there. */
export function Lazy({ name, waiting = null, ...properties }) {
  const [, render] = useState(0);
  const [fault, setFault] = useState(null);
  useEffect(() => {
    const failed = () => setFault({ message: "A part of the page cannot be loaded.", remedy: "Reload the page." });
    if (!loaded.has(name)) load(name).then(() => render((old) => old + 1), failed);
  }, [name]);
  const View = loaded.get(name);
  if (View) return html`<${View} ...${properties} />`;
  return fault ? html`<${Problem} fault=${fault} />` : waiting;
}
