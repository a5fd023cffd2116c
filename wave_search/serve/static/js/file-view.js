/** The view of one file: player, timeline, moments, subtitles, details, and what is like it. */

import { html, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import * as api from "./api.js";
import { announce, copyText } from "./announcer.js";
import { addHits, isBasketKey } from "./basket.js";
import { Match } from "./card.js";
import { Clip } from "./clip.js";
import { Icon, Problem, Why } from "./elements.js";
import { framesPerSecond, kilohertz, range, size, time } from "./format.js";
import { Lazy } from "./lazy.js";
import { Neighbours } from "./neighbours.js";
import { Stage, Transport, hasPlayer, useKeys } from "./player.js";
import { quoted, requestOf, termsOf } from "./query.js";
import { Timeline } from "./timeline.js";
import { usePeaks } from "./waveform.js";

const MOST_MOMENTS = 50;
const LEAST_MOMENTS = 3;
const WEAK_Z = 3;
/** Keeps the place of the editor until it is loaded. */
const EDITOR = html`<section class="editor-place"><h3>Tags</h3></section>`;

export function View({ query, library, hits, navigate, close, likeSegment, reload }) {
  const [shown, setShown] = useState(null);
  const [fault, setFault] = useState(null);
  const title = useRef(null);
  const load = () => {
    setFault(null);
    api.details(query.file).then((answer) => setShown(asFound(answer, hits)), setFault);
  };
  useEffect(load, [query.file]);
  useEffect(() => {
    if (!shown) return;
    scrollTo(0, 0);
    title.current.focus({ preventScroll: true });
  }, [shown]);
  const place = hits.findIndex((hit) => hit.segment === query.file);
  const step = (by) => {
    const hit = hits[place + by];
    navigate({ file: hit.segment, at: hit.peak_start_s ?? hit.start_s }, { replace: true });
  };
  return html`<article class="file" aria-busy=${!shown && !fault}>
    <div class="file-head">
      <button type="button" class="button button-quiet" onClick=${close}><${Icon} name="back" />
        ${query.view === "map" ? "Map" : termsOf(query).length ? "Results" : "Library"}</button>
      <h2 ref=${title} tabindex="-1">${shown?.file.name ?? "…"}</h2>
      ${place >= 0 && html`<div class="file-steps">
        <button type="button" class="tool" disabled=${place === 0} aria-label="Previous result"
          onClick=${() => step(-1)}><${Icon} name="back" /></button>
        <span>${place + 1} of ${hits.length}</span>
        <button type="button" class="tool" disabled=${place === hits.length - 1} aria-label="Next result"
          onClick=${() => step(1)}><${Icon} name="next" /></button>
      </div>`}
    </div>
    ${fault && html`<${Problem} fault=${fault} retry=${fault.status === 404 ? undefined : load} />`}
    ${shown && html`<${Body} shown=${shown} query=${query} library=${library} navigate=${navigate}
      likeSegment=${likeSegment} reload=${reload} />`}
    ${!shown && !fault && html`<div class="file-body"><div class="file-main"><div
      class="stage stage-empty"></div></div></div>`}
  </article>`;
}

/** The details of a file under the name that it was found by, which may be that of a copy. */
function asFound(shown, hits) {
  const found = hits.find((hit) => hit.segment === shown.hit.segment), { file } = shown;
  const copy = file.copies.indexOf(found?.path);
  if (copy < 0) return shown;
  const copies = file.copies.with(copy, file.path);
  return { ...shown, file: { ...file, name: found.name, path: found.path, copies, copy } };
}

function Body({ shown, query, library, navigate, likeSegment, reload }) {
  const { hit, subtitles } = shown;
  const [columns, setColumns] = useState(shown.file.columns);
  const file = { ...shown.file, columns };
  const media = useRef(null);
  const [clip, setClip] = useState(null);
  const found = useScores(shown, query, library);
  const plays = hasPlayer(file);
  const peaks = usePeaks(plays && file.has_audio ? hit.segment : null, 480, true);
  const duration = file.duration_s;
  const at = query.at ?? hit.peak_start_s ?? hit.start_s ?? 0;
  const seek = (seconds) => {
    if (media.current) media.current.currentTime = Math.max(0, Math.min(duration, seconds));
  };
  const moments = [...(found.moments ?? [])].sort((a, b) => a.start_s - b.start_s);
  const trim = (part) => {
    const here = media.current.currentTime, old = clip ?? { start: hit.start_s ?? 0, stop: hit.stop_s ?? duration };
    if (part === "start") setClip({ start: here, stop: old.stop > here ? old.stop : duration });
    else setClip({ start: old.start < here ? old.start : 0, stop: here });
  };
  useKeys(media, plays, { moments, seek, trim });
  return html`
    <div class="file-body">
      <div class="file-main">
        <${Stage} media=${media} shown=${shown} at=${at} peaks=${peaks} subtitles=${subtitles} />
        ${plays && html`<${Transport} media=${media} file=${file} subtitles=${subtitles} />
          <${Timeline} media=${media} duration=${duration} found=${found} hit=${hit} at=${at} seek=${seek}
            moments=${moments} sound=${file.kind === "video" && file.has_audio} peaks=${peaks} clip=${clip}
            setClip=${setClip} minZ=${query.minZ} />`}
        <${Actions} library=${library} file=${file} hit=${hit} clip=${clip} likeSegment=${likeSegment}
          onTrim=${plays && (() => setClip(clip ? null : { start: hit.start_s ?? 0, stop: hit.stop_s ?? duration }))} />
        ${clip && html`<${Clip} hit=${hit} media=${media} duration=${duration} clip=${clip} setClip=${setClip}
          trim=${trim} />`}
      </div>
      <aside class="file-side" aria-label="About the file">
        ${termsOf(query).length > 0 && html`<${Moments} moments=${found.moments} seek=${seek} plays=${plays} />`}
        ${file.kind === "text" && shown.moments.length > 1 && html`<${Texts} shown=${shown} />`}
        ${subtitles.length > 0 && plays && html`<${Subtitles} subtitles=${subtitles} media=${media} seek=${seek} />`}
        <${Lazy} name="editor" waiting=${EDITOR} hit=${hit} file=${file} library=${library} reload=${reload}
          onColumns=${setColumns} />
        <${Details} file=${file} />
      </aside>
    </div>
    <${Neighbours} shown=${shown} library=${library} navigate=${navigate} likeSegment=${likeSegment} />`;
}

/**
 * The scores of the query along the file, and its moments: {bands, moments, fault}. Without a query there are none.
 * Before they are known, bands are empty, so that their place is kept, and moments are null.
 */
function useScores({ hit, file, moments: segments }, query, library) {
  const terms = termsOf(query);
  const [found, setFound] = useState(() => {
    if (!terms.length) return { bands: [], moments: [], fault: null };
    const modalities = [...new Set(segments.map((segment) => segment.modality))];
    return { bands: modalities.map((modality) => ({ modality, points: [] })), moments: null, fault: null };
  });
  const everywhere = { ...query, target: "any", minZ: null, perFile: "", dedupe: "", rerank: "", single: false };
  const request = requestOf(everywhere, library);
  const key = JSON.stringify(request.terms);
  useEffect(() => {
    if (!terms.length) return undefined;
    const abort = new AbortController();
    const set = (part) => (value) => setFound((old) => ({ ...old, ...part(value) }));
    const fail = (fault) => abort.signal.aborted || setFound((old) => ({ ...old, moments: old.moments ?? [], fault }));
    const scored = api.scores(hit.segment, { ...request, where: null }, terms, abort.signal);
    scored.then(set(({ bands }) => ({ bands })), fail);
    const matters = (each, index) => each.z >= WEAK_Z || (each.z > 0 && index < LEAST_MOMENTS);
    const inside = { ...request, where: `path = ${quoted(file.path)}`, limit: MOST_MOMENTS, offset: 0 };
    api.search(inside, terms, abort.signal).then(set(({ hits }) => ({ moments: hits.filter(matters) })), fail);
    return () => abort.abort();
  }, [hit.segment, key]);
  return found;
}

function Actions({ library, file, hit, clip, likeSegment, onTrim }) {
  const where = clip ?? (hit.start_s == null ? null : { start: hit.start_s, stop: hit.stop_s });
  const ranged = where && `${file.path}@${+where.start.toFixed(2)}-${+where.stop.toFixed(2)}`;
  const add = () => addHits([hit], clip);
  const show = () => api.reveal(hit.segment, file.copy).then(() => {}, (fault) => announce(fault.text, { shown: true }));
  useEffect(() => {
    const onKey = (event) => {
      if (event.target.closest("dialog, .card") || !isBasketKey(event)) return;
      event.preventDefault();
      add();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  });
  return html`<div class="actions">
    ${onTrim && html`<button type="button" class="button" aria-expanded=${clip !== null} onClick=${onTrim}><${Icon}
      name="trim" />Trim and save</button>`}
    <button type="button" class="button button-quiet" onClick=${add}
      title=${`Add ${clip ? "the clip" : "this moment"} to the basket (b)`}><${Icon}
        name="basket" />Add to basket</button>
    <button type="button" class="button button-quiet" onClick=${() => likeSegment(hit.segment, hit.name)}><${Icon}
      name="similar" />More like this</button>
    <button type="button" class="button button-quiet" onClick=${() => copyText(file.path, "The path is")}><${Icon}
      name="copy" />Copy path</button>
    ${library.can_reveal && html`<button type="button" class="button button-quiet" onClick=${show}
      title="Show the file in the file manager of this machine"><${Icon} name="folder" />Show in folder</button>`}
    ${where && html`<button type="button" class="button button-quiet" title="For wave-search query, with the time range"
      onClick=${() => copyText(ranged, "The path with its range is")}>
      <${Icon} name="copy" />Copy with range</button>`}
  </div>`;
}

/** The best moments. Their place is kept while they are searched for (null). */
function Moments({ moments, seek, plays }) {
  return html`<section><h3>${plays ? "Moments" : "Match"}</h3><ul class=${`moments${plays ? " moments-many" : ""}`}>
    ${(moments ?? []).map((moment) => html`<li key=${moment.segment} data-modality=${moment.modality}>
      <button type="button" disabled=${!plays} onClick=${() => seek(moment.start_s)}>
        <${Why} hit=${moment} />
        <span class="moments-time">${range(moment.start_s, moment.stop_s)}</span>
        <${Match} z=${moment.z} /><span class="unseen">, z ${moment.z.toFixed(1)}</span></button></li>`)}
    ${moments?.length === 0 && html`<li class="muted">Nothing in this file is like it.</li>`}
  </ul></section>`;
}

function Texts({ shown }) {
  const first = useRef(null);
  useEffect(() => first.current?.scrollIntoView({ block: "nearest" }), []);
  const texts = shown.moments.filter((segment) => segment.text);
  return html`<section><h3>Text</h3><div class="texts" tabindex="0" role="group" aria-label="Text of the file">
    ${texts.map((segment) => segment.segment === shown.hit.segment
      ? html`<p key=${segment.segment} ref=${first}><mark>${segment.text}</mark></p>` : html`<p
        key=${segment.segment}>${segment.text}</p>`)}
  </div></section>`;
}

function Subtitles({ subtitles, media, seek }) {
  const [line, setLine] = useState(-1);
  const list = useRef(null);
  useEffect(() => {
    const element = media.current;
    const follow = () => {
      const here = element.currentTime;
      setLine(subtitles.findIndex((each) => here >= each.start_s && here < each.stop_s));
    };
    element.addEventListener("timeupdate", follow);
    return () => element.removeEventListener("timeupdate", follow);
  }, []);
  useEffect(() => {
    const item = list.current.children[line];
    if (item) list.current.scrollTop = item.offsetTop - list.current.clientHeight / 3;
  }, [line]);
  return html`<section><h3>Subtitles</h3><ul ref=${list} class="subtitles">
    ${subtitles.map((each, index) => html`<li key=${index}><button type="button"
      aria-current=${index === line ? "true" : undefined}
      onClick=${() => seek(each.start_s)}><span>${time(each.start_s)}</span>${each.text}</button></li>`)}
  </ul></section>`;
}

const NAMES = {
  container: "Container", fps: "Frames per second", video_codec: "Picture codec", audio_codec: "Sound codec",
  channels: "Channels", sample_rate_hz: "Sample rate", audio_tracks: "Sound tracks", timecode: "Timecode",
};
const WRITTEN = { fps: framesPerSecond, sample_rate_hz: kilohertz };
const SHOWN_ELSEWHERE = new Set([
  "path", "name", "folder", "kind", "size_bytes", "modified", "duration_s", "status", "cause", "width", "height",
  "modality", "start_s", "stop_s", "text",
]);

function Details({ file }) {
  const rows = [
    ["Path", file.path],
    ["Copies", file.copies.join("\n")],
    ["Duration", file.duration_s == null ? null : time(file.duration_s, 1)],
    ["Picture", file.width ? `${file.width} × ${file.height}` : null],
    ["Size", size(file.size_bytes)],
    ["Changed", file.modified && new Date(`${file.modified.replace(/Z?$/, "Z")}`).toLocaleString()],
    ...Object.entries(file.columns)
      .filter(([name, value]) => !SHOWN_ELSEWHERE.has(name) && (value || !(name in NAMES)))
      .map(([name, value]) => [NAMES[name] ?? name, WRITTEN[name]?.(value) ?? [value].flat().join(", ")]),
  ].filter(([, value]) => value != null && value !== "");
  return html`<section><h3>Details</h3>
    ${file.gone && html`<p
      class="notice">The file is not there any more. It leaves the library with the next run of wave-search index.</p>`}
    ${file.status !== "indexed" && html`<p class="notice">${[file.status, file.cause].filter(Boolean).join(": ")}</p>`}
    <dl class="details">${rows.map(([name, value]) => html`<div
      key=${name}><dt>${name}</dt><dd>${String(value)}</dd></div>`)}</dl></section>`;
}
