/** What is shown and heard of a file, its controls, and its keys. */

import { html, useEffect, useLayoutEffect, useState } from "../vendor/preact-htm.js";
import { clipUrl, mediaFault, mediaUrl, subtitlesUrl, thumbUrl } from "./api.js";
import { Icon } from "./elements.js";
import { time } from "./format.js";
import { Waveform } from "./waveform.js";

const STEP_S = 5;
const EVENTS = [
  "loadedmetadata", "play", "pause", "ended", "timeupdate", "seeked", "volumechange", "waiting", "playing",
];

/** Whether a file has a player with a timeline: browsers play it, or a conversion of it. */
export const hasPlayer = (file) => file.duration_s > 0 && ["direct", "proxy"].includes(file.playable);

export function Stage({ media, shown, at, peaks, subtitles }) {
  const { hit, file } = shown;
  const [failed, setFailed] = useState(false);
  const fail = () => setFailed(true);
  useLayoutEffect(() => {
    // Not by a fragment of the address: the player would stop at its end.
    if (media.current) media.current.currentTime = at;
  }, []);
  if (file.kind === "text") return html`<blockquote class="stage stage-text">${hit.text}</blockquote>`;
  const shape = { aspectRatio: file.width ? `${file.width} / ${file.height}` : "16 / 9" };
  if (file.kind === "image" || file.playable === "image") {
    const address = failed ? thumbUrl(hit.segment, 1280) : mediaUrl(hit.segment);
    return html`<div class="stage"><img src=${address} alt=${file.name} style=${shape} onError=${fail} /></div>`;
  }
  if (file.playable === "clip") {
    const address = clipUrl(hit.segment, hit.start_s ?? hit.peak_start_s, hit.stop_s ?? hit.peak_stop_s);
    return html`<div class="stage"><video src=${address} style=${shape} controls preload="metadata"
        aria-label=${`The moment in ${file.name}`}></video></div>
      <p class="notice">Browsers cannot play this format, and the file is too long to be converted: only the moment is
        shown.</p>`;
  }
  const cannot = (failed || file.playable === "none") && html`<${NotPlayed} segment=${hit.segment} />`;
  if (file.playable === "none") return html`<div class="stage stage-empty">${cannot}</div>`;
  // Without a known duration there is no timeline, and the browser's own controls have to do.
  const controls = !hasPlayer(file);
  const common = { ref: media, src: mediaUrl(hit.segment), preload: "metadata", controls, onError: fail };
  if (file.kind === "audio") {
    return html`<div class="stage stage-sound"><${Waveform} peaks=${peaks} />${cannot}
      <audio ...${common}></audio></div>`;
  }
  return html`<div class="stage"><video ...${common} poster=${thumbUrl(hit.segment, 1280)} style=${shape}
      aria-label=${file.name} playsinline onClick=${() => toggle(media.current)}>
      ${subtitles.length > 0 && html`<track kind="captions" label="Subtitles" src=${subtitlesUrl(hit.segment)} />`}
    </video>${cannot}</div>`;
}

function NotPlayed({ segment }) {
  const [fault, setFault] = useState(null);
  useEffect(() => {
    mediaFault(segment).then(setFault);
  }, [segment]);
  const other = "This file cannot be played in the browser. Copy its path, and open it in another player.";
  return html`<p class="stage-fault" role="alert">${fault?.text ?? other}</p>`;
}

function toggle(element) {
  if (element.paused) element.play().catch(() => {});
  else element.pause();
}

/** Calls back at each event of a media element, and once at the beginning; renders again. */
function useEvents(media, names) {
  const [, render] = useState(0);
  useEffect(() => {
    const element = media.current, listener = () => render((old) => old + 1);
    listener();
    for (const name of names) element.addEventListener(name, listener);
    return () => {
      for (const name of names) element.removeEventListener(name, listener);
    };
  }, []);
  return media.current;
}

export function Transport({ media, file, subtitles }) {
  const element = useEvents(media, EVENTS);
  const [captions, setCaptions] = useState(false);
  const canBeFull = file.kind === "video";
  // Formats that browsers do not know are converted when they are first asked for.
  const converting = file.playable === "proxy" && !element?.readyState;
  const paused = element?.paused ?? true, muted = element?.muted ?? false;
  const showCaptions = () => {
    element.textTracks[0].mode = captions ? "hidden" : "showing";
    setCaptions(!captions);
  };
  return html`<div class="transport">
    <button type="button" class="tool tool-play" aria-label=${paused ? "Play" : "Pause"}
      title=${paused ? "Play (space)" : "Pause (space)"}
      onClick=${() => toggle(element)}><${Icon} name=${paused ? "play" : "pause"} filled=${paused} /></button>
    <span class="transport-time">${time(element?.currentTime ?? 0, 1)} <span
      class="muted">/ ${time(file.duration_s, 1)}</span></span>
    ${(converting || (!paused && element.readyState < 3)) && html`<span
      class="muted">${converting ? "Converting for the browser …" : "Loading …"}</span>`}
    <span class="transport-end">
      ${subtitles.length > 0 && canBeFull && html`<button type="button" class="tool" aria-pressed=${captions}
        aria-label="Subtitles on the picture"
        title="Subtitles on the picture" onClick=${showCaptions}><${Icon} name="text" /></button>`}
      <button type="button" class="tool" aria-label=${muted ? "Sound on" : "Mute"}
        title=${muted ? "Sound on (m)" : "Mute (m)"}
        onClick=${() => { element.muted = !muted; }}><${Icon} name=${muted ? "muted" : "sound"} /></button>
      ${canBeFull && html`<button type="button" class="tool" aria-label="Full screen" title="Full screen (f)"
        onClick=${() => element.requestFullscreen()}><${Icon} name="full" /></button>`}
    </span>
  </div>`;
}

/** The keys of the view of a file, while the focus is on nothing that has keys of its own. */
export function useKeys(media, plays, { moments, seek, trim }) {
  useEffect(() => {
    if (!plays) return undefined;
    const onKey = (event) => {
      const busy = event.target.closest("input, textarea, select, dialog, [role=slider]");
      if (busy || event.ctrlKey || event.metaKey || event.altKey) return;
      const element = media.current, here = element.currentTime;
      const keys = {
        " ": () => toggle(element),
        ArrowLeft: () => seek(here - STEP_S),
        ArrowRight: () => seek(here + STEP_S),
        n: () => seek(moments.find((each) => each.start_s > here + 0.2)?.start_s ?? here),
        p: () => seek(moments.findLast((each) => each.start_s < here - 0.2)?.start_s ?? here),
        "[": () => trim("start"),
        "]": () => trim("stop"),
        m: () => { element.muted = !element.muted; },
        f: () => element.requestFullscreen?.(),
      };
      if (!Object.hasOwn(keys, event.key) || (event.key === " " && event.target.closest("button, a"))) return;
      event.preventDefault();
      keys[event.key]();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  });
}
