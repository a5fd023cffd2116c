/** Duplicates side by side: identical files, and moments of different files that are nearly the same. */

import { html, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import { duplicates, mediaUrl, thumbUrl } from "./api.js";
import { announce, copyText } from "./announcer.js";
import { addHits } from "./basket.js";
import { Icon, Problem, plain } from "./elements.js";
import { WHY, count, framesPerSecond, kilohertz, range, size, time } from "./format.js";
import { isMovingPicture, isNative, playedUrl } from "./moment.js";
import { writeAddress } from "./query.js";

const PAGE = 20;
const USUAL = 0.98;
const ROWS = {
  folder: "Folder", size_bytes: "Size", duration: "Duration", container: "Container", picture: "Picture",
  fps: "Frames per second", video_codec: "Picture codec", audio_codec: "Sound codec", sample_rate_hz: "Sample rate",
  channels: "Channels", modified: "Changed",
};
/** Kinds of groups: all, identical files, or alike in a modality. */
const KINDS = { "": "All", image: "Pictures", video: "Seen", audio: "Heard", av: "Both", text: "Texts" };

export function View({ query, library, navigate, close }) {
  const [threshold, setThreshold] = useState(USUAL);
  const [modality, setModality] = useState("");
  const [found, setFound] = useState(null);
  const [fault, setFault] = useState(null);
  const title = useRef(null);
  const load = (before) => {
    const abort = new AbortController();
    setFault(null);
    if (!before.length) setFound(null);
    duplicates({ threshold, modality, offset: before.length, limit: PAGE }, abort.signal).then((answer) => {
      setFound({ ...answer, groups: [...before, ...answer.groups] });
      announce(answer.total ? `${count(answer.total, "group")} of duplicates` : "No duplicates");
    }, (failed) => abort.signal.aborted || setFault(failed));
    return () => abort.abort();
  };
  useEffect(() => load([]), [threshold, modality]);
  useEffect(() => title.current.focus({ preventScroll: true }), []);
  const there = Object.keys(KINDS).filter((kind) => !kind || kind in library.segments);
  return html`<section class="duplicates" aria-busy=${!found && !fault}>
    <div class="duplicates-head">
      <button type="button" class="button button-quiet" onClick=${close}><${Icon} name="back" />Library</button>
      <h2 ref=${title} tabindex="-1">Duplicates</h2>
      <span class="muted">${found && count(found.total, "group")}</span>
      <div class="segments" role="radiogroup" aria-label="What is alike">
        ${there.map((kind) => html`<label key=${kind} class="segment"><input type="radio" name="alike" value=${kind}
          checked=${modality === kind} onChange=${() => setModality(kind)} /><span>${KINDS[kind]}</span></label>`)}
      </div>
      <label class="duplicates-threshold"><span>Alike from</span><input type="range" min="0.9" max="1" step="0.005"
        value=${threshold} onChange=${(event) => setThreshold(Number(event.target.value))} />
        <output>${threshold.toFixed(3)}</output></label>
    </div>
    ${fault && html`<${Problem} fault=${fault} retry=${() => load(found?.groups ?? [])} />`}
    ${!found && !fault && html`<p class="opening">Comparing … In a large library this takes a while, once.</p>`}
    ${found && !found.total && html`<div class="state"><h2>No duplicates</h2>
      <p>No two files are the same, and no moments of different files are as alike as that.</p></div>`}
    <ol class="duplicates-groups">
      ${(found?.groups ?? []).map((group) => html`<${Group} key=${keyOf(group)} group=${group} query=${query}
        navigate=${navigate} />`)}
    </ol>
    ${found?.more && html`<p class="duplicates-more"><button type="button" class="button"
      onClick=${() => load(found.groups)}>Show more</button></p>`}
  </section>`;
}

const keyOf = ({ kind, modality, members }) => `${kind} ${modality} ${members[0].hit.path} ${members[0].hit.segment}`;

/** The values of a member, by row. */
function valuesOf({ hit, columns }) {
  const { width, height, sample_rate_hz: rate, modified } = columns;
  return {
    ...columns,
    folder: hit.folder,
    size_bytes: size(columns.size_bytes),
    duration: hit.duration_s == null ? null : time(hit.duration_s, 1),
    picture: width ? `${width} × ${height}` : null,
    fps: columns.fps && framesPerSecond(columns.fps),
    sample_rate_hz: rate && kilohertz(rate),
    modified: modified && new Date(`${modified.replace(/Z?$/, "Z")}`).toLocaleString(),
  };
}

function Group({ group, query, navigate }) {
  const { kind, modality, score, members, count: all } = group;
  const list = useRef(null);
  const [playing, setPlaying] = useState(false);
  const values = members.map(valuesOf);
  const rows = Object.keys(ROWS).filter((row) => values.some((each) => each[row] != null && each[row] !== ""));
  const differing = new Set(rows.filter((row) => new Set(values.map((each) => each[row] ?? null)).size > 1));
  const plays = members.some(({ hit }) => ["audio", "video"].includes(hit.kind));
  const media = () => [...list.current.querySelectorAll("video, audio")];
  const pause = () => media().forEach((element) => { element.pause(); element.onended = null; });
  const begin = (element) => { element.currentTime = Number(element.dataset.start); };
  const start = (element) => element.play().catch(() => announce("It cannot be played here.", { shown: true }));
  const together = () => {
    pause();
    media().forEach((element, index) => {
      begin(element);
      element.muted = index > 0; // together, their sounds would be one noise
      start(element);
    });
    setPlaying(true);
  };
  const inTurn = () => {
    pause();
    const [first, ...rest] = media();
    const next = (element, left) => {
      const stop = Number(element.dataset.stop);
      begin(element);
      element.muted = false;
      const done = () => {
        element.ontimeupdate = element.onended = null;
        element.pause();
        if (left.length) next(left[0], left.slice(1));
        else setPlaying(false);
      };
      element.onended = done;
      element.ontimeupdate = () => stop && element.currentTime >= stop && done();
      start(element);
    };
    next(first, rest);
    setPlaying(true);
  };
  const stopAll = () => {
    media().forEach((element) => { element.ontimeupdate = null; });
    pause();
    setPlaying(false);
  };
  const unit = kind === "identical" ? "file" : { image: "picture", text: "text" }[modality] ?? "moment";
  const what = kind === "identical" ? "Identical files" : `Alike, ${WHY[modality].toLowerCase()}`;
  const note = kind === "identical" ? "the same bytes" : `cosine ${score.toFixed(3)}`;
  return html`<li class="group" data-kind=${kind}>
    <div class="group-head"><h3>${what}</h3><span class="muted">${count(all, unit)}, ${note}${all > members.length
      ? `; the first ${members.length} are shown` : ""}</span>
      <span class="group-tools">
        ${plays && (playing ? html`<button type="button" class="button" onClick=${stopAll}><${Icon} name="stop" />Stop
          </button>` : html`<button type="button" class="button button-quiet" onClick=${together}
            title="The first with its sound"><${Icon} name="play" />Play together</button>
          <button type="button" class="button button-quiet" onClick=${inTurn}><${Icon} name="next" />Play in turn
          </button>`)}
        <button type="button" class="button button-quiet"
          onClick=${() => copyText(members.map(({ hit }) => hit.path).join("\n"), "The paths are")}><${Icon}
          name="copy" />Copy paths</button>
      </span></div>
    <ul ref=${list} class="group-members">
      ${members.map((member, index) => html`<${Member} key=${`${member.hit.path} ${member.hit.segment}`}
        member=${member} values=${values[index]} rows=${rows} differing=${differing} query=${query} navigate=${navigate} />`)}
    </ul>
  </li>`;
}

function Member({ member, values, rows, differing, query, navigate }) {
  const { hit } = member;
  const open = { file: hit.segment, at: hit.start_s, view: "" };
  return html`<li class="member" data-modality=${hit.modality} style=${{ gridRow: `span ${rows.length + 4}` }}>
    <div class="member-face"><${Face} hit=${hit} /></div>
    <h4 class="member-name"><a href=${writeAddress({ ...query, ...open })} title=${hit.path}
      onClick=${(event) => plain(event) && navigate(open)}>${hit.name}</a></h4>
    <p class="muted">${range(hit.start_s, hit.stop_s)}${hit.gone && html` <strong>gone</strong>`}</p>
    <dl>${rows.map((row) => html`<div key=${row} class=${differing.has(row) ? "member-differs" : ""}>
      <dt>${ROWS[row]}${differing.has(row) && html`<span class="unseen"> (differs)</span>`}</dt>
      <dd>${values[row] == null || values[row] === "" ? "–" : String(values[row])}</dd></div>`)}</dl>
    <div class="member-tools">
      <button type="button" class="button button-quiet" onClick=${() => copyText(hit.path, "The path is")}><${Icon}
        name="copy" />Copy path<span class="unseen"> of ${hit.path}</span></button>
      <button type="button" class="button button-quiet" onClick=${() => addHits([hit])}><${Icon}
        name="basket" />Add<span class="unseen"> ${hit.path} to the basket</span></button>
    </div>
  </li>`;
}

function Face({ hit }) {
  const [failed, setFailed] = useState(false);
  const fail = () => setFailed(true);
  if (hit.kind === "text") return html`<p class="member-text">${hit.text}</p>`;
  if (hit.kind === "image" || isMovingPicture(hit)) {
    return html`<img src=${thumbUrl(hit.segment, 640)} alt="" loading="lazy" onError=${fail} />`;
  }
  const native = isNative(hit) && hit.start_s == null;
  // Of a moment, or of what has to be converted, only the moment is fetched.
  const { address, start, stop } = native ? { address: mediaUrl(hit.segment), start: 0, stop: 0 } : playedUrl(hit);
  const common = {
    src: address, preload: "none", controls: true, "data-start": start,
    "data-stop": stop, "aria-label": `${hit.name}, ${hit.folder}`, onError: fail,
  };
  if (hit.kind === "audio") return html`<${Icon} name="audio" /><audio ...${common}></audio>`;
  return html`<video ...${common} poster=${failed ? undefined : thumbUrl(hit.segment, 320)} playsinline></video>`;
}
