/** The range of a clip in numbers, and how it is saved. */

import { html, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import { clipUrl, download } from "./api.js";
import { announce } from "./announcer.js";
import { Icon } from "./elements.js";
import { seconds, size, time } from "./format.js";

export function Clip({ hit, media, duration, clip, setClip, trim }) {
  const [busy, setBusy] = useState(false);
  const stopped = useRef(null);
  const set = (part) => (value) => {
    const changed = { ...clip, [part]: Math.min(value, duration) };
    if (changed.start < changed.stop) setClip(changed);
    else announce("A clip has to begin before it ends.", { shown: true });
  };
  const save = async () => {
    setBusy(true);
    try {
      const { name, bytes } = await download(clipUrl(hit.segment, clip.start, clip.stop, { saved: true }));
      announce(`Saved ${name}, ${size(bytes)}`, { shown: true });
    } catch (fault) {
      announce(fault.text, { shown: true });
    }
    setBusy(false);
  };
  const play = () => {
    const element = media.current;
    stopped.current?.();
    const check = () => element.currentTime >= clip.stop && element.pause();
    const done = () => {
      element.removeEventListener("timeupdate", check);
      element.removeEventListener("pause", done);
    };
    stopped.current = done;
    element.currentTime = clip.start;
    element.addEventListener("timeupdate", check);
    element.play().then(() => element.addEventListener("pause", done), done);
  };
  useEffect(() => () => stopped.current?.(), []);
  return html`<div class="clip" role="group" aria-label="Clip">
    <${TimeField} label="From" value=${clip.start} onChange=${set("start")} />
    <button type="button" class="button button-quiet" onClick=${() => trim("start")}
      title="It begins at the position of the player ([)">Here</button>
    <${TimeField} label="to" value=${clip.stop} onChange=${set("stop")} />
    <button type="button" class="button button-quiet" onClick=${() => trim("stop")}
      title="It ends at the position of the player (])">Here</button>
    <span class="muted clip-length">${time(clip.stop - clip.start, 1)}</span>
    <button type="button" class="button button-quiet" onClick=${play}><${Icon} name="play" />Play clip</button>
    <button type="button" class="button button-strong" disabled=${busy} onClick=${save}><${Icon} name="save" />
      ${busy ? "Cutting …" : "Save clip"}</button>
  </div>`;
}

export function TimeField({ label, value, onChange }) {
  const shown = time(value, 2);
  const change = (event) => {
    const read = seconds(event.target.value);
    if (read === null) announce("A time is written as 75.5 or 1:15.5.", { shown: true });
    else onChange(read);
    event.target.value = shown;
  };
  return html`<label class="clip-time"><span>${label}</span><input type="text" inputmode="decimal" value=${shown}
    onChange=${change} /></label>`;
}
