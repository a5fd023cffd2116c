/** The score along a file in bands, its moments, the position, and the range of a clip. All of it can be sought in. */

import { html, useEffect, useMemo, useRef, useState } from "../vendor/preact-htm.js";
import { share, spokenTime, time, verdict } from "./format.js";
import { Waveform } from "./waveform.js";

const BANDS = { video: "Seen", audio: "Heard", av: "Both", text: "Text" };
const STEPS = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10 };
const CLEAR_Z = 5;

export function Timeline({ media, duration, found, hit, at, seek, moments, sound, peaks, clip, setClip, minZ }) {
  const tracks = useRef(null), head = useRef(null);
  const [pointed, setPointed] = useState(null);
  const bands = useMemo(() => {
    const byName = new Map(found.bands.map((band) => [band.modality, band]));
    return Object.keys(BANDS).map((name) => byName.get(name)).filter(Boolean);
  }, [found.bands]);
  const percent = (seconds) => `${(Math.max(0, Math.min(duration, seconds)) / duration) * 100}%`;
  const span = (start, stop) => ({
    left: percent(start), width: `${((Math.min(stop, duration) - start) / duration) * 100}%`,
  });
  // Not drawn again with each move of the pointer: a long film has thousands of bars.
  const drawn = useMemo(() => bands.map((band) => html`<${Band} key=${band.modality} band=${band} span=${span}
    line=${minZ ?? CLEAR_Z} />`), [bands, minZ, duration]);
  const secondsAt = (event) => {
    const box = tracks.current.getBoundingClientRect();
    return Math.max(0, Math.min(1, (event.clientX - box.left) / box.width)) * duration;
  };

  useEffect(() => {
    const element = media.current;
    let frame = 0;
    const draw = () => {
      const seconds = element.readyState ? element.currentTime : at;
      head.current.style.left = percent(seconds);
      tracks.current.setAttribute("aria-valuenow", seconds.toFixed(1));
      tracks.current.setAttribute("aria-valuetext", `${spokenTime(seconds)} of ${spokenTime(duration)}`);
    };
    const follow = () => {
      draw();
      if (!element.paused) frame = requestAnimationFrame(follow);
    };
    draw();
    const events = ["seeking", "seeked", "timeupdate", "loadedmetadata"];
    for (const name of events) element.addEventListener(name, draw);
    element.addEventListener("play", follow);
    return () => {
      cancelAnimationFrame(frame);
      for (const name of events) element.removeEventListener(name, draw);
      element.removeEventListener("play", follow);
    };
  }, [duration]);

  const onKey = (event) => {
    const here = media.current.currentTime;
    if (event.key in STEPS) seek(here + STEPS[event.key] * (event.shiftKey ? 10 : 1));
    else if (event.key === "Home") seek(0);
    else if (event.key === "End") seek(duration);
    else if (event.key === " ") media.current.paused ? media.current.play().catch(() => {}) : media.current.pause();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const scrub = (event) => {
    if (event.type === "pointerdown") {
      if (event.button) return;
      tracks.current.setPointerCapture(event.pointerId);
    }
    if (tracks.current.hasPointerCapture(event.pointerId)) seek(secondsAt(event));
    setPointed(secondsAt(event));
  };
  const nothing = bands.length ? "" : "Search, and the matches in this file are shown here";
  return html`<div class="timeline">
    <div class="lanes" aria-hidden="true">
      ${bands.map((band) => html`<span key=${band.modality} class="lane-name"
        data-modality=${band.modality}>${BANDS[band.modality]}</span>`)}
      ${sound && html`<span class="lane-name lane-low">Sound</span>`}
    </div>
    <div ref=${tracks} class="tracks" role="slider" tabindex="0" aria-label="Position" aria-valuemin="0"
      aria-valuemax=${duration.toFixed(1)} aria-valuenow=${at.toFixed(1)}
      onKeyDown=${onKey} onPointerDown=${scrub} onPointerMove=${scrub} onPointerLeave=${() => setPointed(null)}>
      <span class="tracks-hit" style=${span(hit.start_s ?? 0, hit.stop_s ?? duration)}></span>
      ${drawn}
      ${sound && html`<div class="lane lane-low"><${Waveform} peaks=${peaks} /></div>`}
      ${!bands.length && !sound && html`<div class="lane lane-low"></div>`}
      <div class="lane-moments">${moments.map((moment) => html`<span key=${moment.segment}
        data-modality=${moment.modality}
        style=${span(moment.start_s, moment.stop_s)}></span>`)}</div>
      ${clip && html`<span class="clip-range" style=${span(clip.start, clip.stop)}></span>`}
      <span ref=${head} class="playhead"></span>
      ${pointed !== null && html`<${Pointed} seconds=${pointed} bands=${bands} left=${percent(pointed)} />`}
    </div>
    ${clip && ["start", "stop"].map((part) => html`<${Handle} key=${part} part=${part} clip=${clip} setClip=${setClip}
      duration=${duration}
      left=${clip[part] / duration} secondsAt=${secondsAt} seek=${seek} />`)}
    <div class="timeline-ends muted" aria-hidden="true"><span>0:00</span>
      <span>${found.fault?.text ?? nothing}</span>
      <span>${time(duration)}</span></div>
  </div>`;
}

/** Each segment as high as its z. The line is where a match is clear, or what was asked for. */
function Band({ band, span, line }) {
  return html`<div class="lane" data-modality=${band.modality}>
    <span class="lane-line" style=${{ bottom: `${share(line) * 100}%` }}></span>
    ${band.points.map((point) => html`<span key=${point.segment} class=${`bar${point.z >= line ? " bar-clear" : ""}`}
      style=${{ ...span(point.start_s, point.stop_s), height: `max(2px, ${share(point.z) * 100}%)` }}></span>`)}
  </div>`;
}

function Pointed({ seconds, bands, left }) {
  const covers = (point) => seconds >= point.start_s && seconds < point.stop_s;
  const here = bands.map((band) => ({ name: BANDS[band.modality], z: band.points.find(covers)?.z }));
  return html`<span class="pointed" style=${{ left }}><span class="pointed-text">${time(seconds, 1)}
    ${here.map(({ name, z }) => z !== undefined && html`<span>${name} ${z.toFixed(1)}, ${verdict(z)}</span>`)}
  </span></span>`;
}

function Handle({ part, clip, setClip, duration, left, secondsAt, seek }) {
  const label = part === "start" ? "Clip begins" : "Clip ends";
  const set = (seconds) => {
    const [low, high] = part === "start" ? [0, clip.stop - 0.1] : [clip.start + 0.1, duration];
    const value = Math.max(low, Math.min(high, seconds));
    setClip({ ...clip, [part]: value });
    seek(value);
  };
  const onKey = (event) => {
    if (!(event.key in STEPS)) return;
    set(clip[part] + STEPS[event.key] * (event.shiftKey ? 1 : 0.1));
    event.preventDefault();
    event.stopPropagation();
  };
  const onMove = (event) => event.currentTarget.hasPointerCapture(event.pointerId) && set(secondsAt(event));
  return html`<span class=${`handle handle-${part}`} style=${{ "--at": left }} role="slider" tabindex="0"
    aria-label=${label}
    aria-valuemin="0" aria-valuemax=${duration.toFixed(1)} aria-valuenow=${clip[part].toFixed(1)}
    aria-valuetext=${spokenTime(clip[part])}
    onKeyDown=${onKey} onPointerDown=${(event) => event.currentTarget.setPointerCapture(event.pointerId)}
    onPointerMove=${onMove}></span>`;
}
