/** Plays just the moment of a hit, over its picture. */

import { html, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import { clipUrl, mediaUrl } from "./api.js";
import { announce } from "./announcer.js";

const LONGEST_S = 15;

/** Whether a film is a picture that moves by itself: no player takes it. */
export const isMovingPicture = (hit) => /\.webp$/i.test(hit.name);

/** The whole moment, or of a long one its peak: {start, stop} in seconds. */
function playedRange(hit) {
  const start = hit.start_s ?? 0, stop = hit.stop_s ?? hit.duration_s ?? LONGEST_S;
  if (stop - start <= LONGEST_S || hit.peak_start_s == null) return { start, stop };
  return { start: hit.peak_start_s, stop: hit.peak_stop_s };
}

/** Whether browsers play a file as it is, as far as its name tells. Others are converted, but not unasked. */
export const isNative = (hit) => /\.(mp4|m4v|mov|webm|mp3|flac|wav|ogg|oga|opus|m4a|aac)$/i.test(hit.name);

/** Where a moment is to be had: {address, start, stop} in seconds. Of what has to be converted, only the moment is. */
export function playedUrl(hit) {
  const { start, stop } = playedRange(hit);
  if (!isNative(hit)) return { address: clipUrl(hit.segment, start, stop), start: 0, stop: stop - start };
  // The fragment makes the browser fetch the moment first. What follows its end is not played.
  return { address: `${mediaUrl(hit.segment)}#t=${start},${stop}`, start, stop };
}

/** @param once stops at the end of the moment; otherwise it begins again. */
export function Moment({ hit, audible, once, onStop }) {
  const media = useRef(null), line = useRef(null);
  const [shown, setShown] = useState(false);
  useEffect(() => {
    const element = media.current, { address, start, stop } = playedUrl(hit);
    let frame = 0;
    const follow = () => {
      const at = element.currentTime;
      line.current.style.transform = `scaleX(${Math.max(0, Math.min(1, (at - start) / (stop - start)))})`;
      if (at >= stop || element.ended) {
        if (once) return onStop();
        element.currentTime = start;
        element.play().catch(() => {});
      }
      frame = requestAnimationFrame(follow);
      return undefined;
    };
    element.muted = !audible;
    element.src = address;
    element.play().then(() => { frame = requestAnimationFrame(follow); }, (error) => {
      if (error.name === "AbortError") return;
      const remedy = `Open it in a player: ${hit.path}`;
      if (once) announce(`${hit.name} cannot be played in this browser. ${remedy}`, { shown: true });
      onStop();
    });
    return () => {
      cancelAnimationFrame(frame);
      element.removeAttribute("src");
      element.load();
    };
  }, []);
  useEffect(() => {
    media.current.muted = !audible;
  }, [audible]);
  return html`<video ref=${media} class=${`moment${shown && hit.kind === "video" ? " moment-shown" : ""}`} playsinline
    preload="auto"
      aria-label=${`Preview of ${hit.name}`} onPlaying=${() => setShown(true)}></video>
    <span class="moment-line" ref=${line} aria-hidden="true"></span>`;
}
