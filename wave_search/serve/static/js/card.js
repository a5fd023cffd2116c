/** One result: what it looks or sounds like, when, why it was found, and how clearly. */

import { html, useCallback, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import { thumbUrl } from "./api.js";
import { isBasketKey, useChosen } from "./basket.js";
import { Icon, Why, plain } from "./elements.js";
import { range, share, verdict } from "./format.js";
import { Moment, isMovingPicture, isNative } from "./moment.js";
import { writeAddress } from "./query.js";
import { Waveform, usePeaks } from "./waveform.js";

const REST_MS = 120;

/** Whether an element moves only when asked to. */
const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** Which card plays: {segment, asked}. What was asked for is not replaced by what the pointer passes. */
export function usePlaying() {
  const [playing, setPlaying] = useState(null);
  return {
    playing,
    stop: useCallback(() => setPlaying(null), []),
    play: ({ segment }) =>
      setPlaying((old) => (old?.segment === segment && old.asked ? null : { segment, asked: true })),
    preview: (hit, on) => setPlaying((old) => {
      if (old?.asked) return old;
      return on ? { segment: hit.segment, asked: false } : null;
    }),
  };
}

export function Card({
  hit, query, root, current, playing, audible, onPlay, onPreview, onFocus, onStop, onOpen, onSimilar,
}) {
  const timer = useRef(null);
  const canPlay = (hit.kind === "video" || hit.kind === "audio") && !isMovingPicture(hit);
  // Sound is not played unasked, and pictures do not move for those who prefer that.
  const previews = canPlay && isNative(hit) && (hit.kind === "video" || audible);
  const { chosen, change } = useChosen(hit);
  useEffect(() => () => clearTimeout(timer.current), []);
  const rest = (on) => {
    clearTimeout(timer.current);
    if (on && previews && !still()) timer.current = setTimeout(() => onPreview(true), REST_MS);
    else if (!on) onPreview(false);
  };
  const id = `hit-${hit.segment}`, when = range(hit.start_s, hit.stop_s);
  const tab = current ? 0 : -1;
  return html`<li class=${`card${playing ? " card-playing" : ""}${hit.gone ? " card-gone" : ""}`}
    data-modality=${hit.z == null ? hit.kind : hit.modality}
    onPointerEnter=${(event) => event.pointerType === "mouse" && rest(true)} onPointerLeave=${() => rest(false)}
    onFocusIn=${(event) => { onFocus(); if (event.target.matches(".card-link:focus-visible")) rest(true); }}
    onFocusOut=${() => rest(false)}
    onKeyDown=${(event) => { if (isBasketKey(event)) { event.preventDefault(); change(); } }}>
    <div class="card-body">
      <h3 class="card-name"><a class="card-link"
        href=${writeAddress({ ...query, file: hit.segment, at: hit.peak_start_s })} tabindex=${tab}
        aria-describedby=${id} title=${hit.path} onClick=${(event) => plain(event) && onOpen()}>${hit.name}</a></h3>
      <p id=${id} class="card-meta"><${Why} hit=${hit} />
        ${hit.folder && html`<span class="card-folder">${hit.folder.slice(root)}</span>`}
        ${hit.gone && html`<span class="card-gone-mark">gone</span>`}
        ${hit.z != null && html`<span class="unseen">, ${verdict(hit.z)} match, z ${hit.z.toFixed(1)}</span>`}</p>
      ${hit.z != null && html`<${Match} z=${hit.z} />`}
    </div>
    <div class="card-media">
      <${Face} hit=${hit} />
      ${playing && html`<${Moment} hit=${hit} audible=${playing.asked || audible} once=${playing.asked}
        onStop=${onStop} />`}
      ${when && html`<span class="card-time">${when}</span>`}
      ${canPlay && html`<button type="button" class="card-play" tabindex=${tab} onClick=${onPlay}
        aria-label=${`${playing?.asked ? "Stop" : "Play"} ${hit.name}${when && `, ${when}`}`}>
        <${Icon} name=${playing?.asked ? "stop" : "play"} filled=${true} /></button>`}
      <button type="button" class="card-similar" tabindex=${tab} onClick=${onSimilar}
        aria-label=${`More like ${hit.name}`} title="More like this">
        <${Icon} name="similar" /></button>
      <button type="button" class="card-basket" tabindex=${tab} onClick=${change} aria-pressed=${chosen}
        aria-label=${`${hit.name}${when && `, ${when}`} in the basket`} title="In the basket (b)">
        <${Icon} name="basket" /></button>
    </div>
  </li>`;
}

export function Match({ z }) {
  return html`<div class="match" title=${`z ${z.toFixed(2)}: ${verdict(z)} match`} aria-hidden="true">
    <span class="match-bar"><span style=${{ width: `${share(z) * 100}%` }}></span></span><span
      class="match-z">${z.toFixed(1)}</span></div>`;
}

/** Picture at the peak, waveform, or text. */
function Face({ hit }) {
  const [failed, setFailed] = useState(false);
  if (hit.kind === "text") return html`<p class="card-text">${hit.text ?? hit.name}</p>`;
  if (hit.kind === "audio" || failed) return html`<${SoundFace} hit=${hit} />`;
  return html`<img src=${thumbUrl(hit.segment, 320)}
    srcset=${`${thumbUrl(hit.segment, 320)} 320w, ${thumbUrl(hit.segment, 640)} 640w`}
    sizes="(max-width: 600px) 45vw, 280px" alt="" loading="lazy" decoding="async" onError=${() => setFailed(true)} />`;
}

function SoundFace({ hit }) {
  const peaks = usePeaks(hit.kind === "image" ? null : hit.segment, 96);
  return hit.kind === "image" ? html`<span class="card-none"><${Icon} name="image" /></span>` : html`<${Waveform}
    peaks=${peaks} />`;
}
