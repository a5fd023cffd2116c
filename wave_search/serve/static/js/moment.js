/** Plays just the moment of a hit, over its picture. */

import { html, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import { mediaUrl } from "./api.js";
import { announce } from "./announcer.js";

const LONGEST_S = 15;

/** The whole moment, or of a long one its peak: {start, stop} in seconds. */
export function playedRange(hit) {
    const start = hit.start_s ?? 0, stop = hit.stop_s ?? hit.duration_s ?? LONGEST_S;
    if (stop - start <= LONGEST_S || hit.peak_start_s == null) return { start, stop };
    return { start: hit.peak_start_s, stop: hit.peak_stop_s };
}

/** @param once stops at the end of the moment; otherwise it begins again. */
export function Moment({ hit, audible, once, onStop }) {
    const media = useRef(null), line = useRef(null);
    const [shown, setShown] = useState(false);
    const { start, stop } = playedRange(hit);
    useEffect(() => {
        const element = media.current;
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
        // The fragment makes the browser fetch the moment first. What follows its end is not played.
        element.src = `${mediaUrl(hit.segment)}#t=${start},${stop}`;
        element.play().then(() => { frame = requestAnimationFrame(follow); }, (error) => {
            if (error.name === "AbortError") return;
            if (once) announce(`${hit.name} cannot be played in this browser. Open it in a player: ${hit.path}`, { shown: true });
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
    return html`<video ref=${media} class=${`moment${shown && hit.kind === "video" ? " moment-shown" : ""}`} playsinline preload="auto"
            aria-label=${`Preview of ${hit.name}`} onPlaying=${() => setShown(true)}></video>
        <span class="moment-line" ref=${line} aria-hidden="true"></span>`;
}
