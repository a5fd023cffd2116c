/** What is like a file, sounds like it, and looks like it. Asked for when it comes into view. */

import { html, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import * as api from "./api.js";
import { Card, usePlaying } from "./card.js";
import { EMPTY, newTerm, quoted, requestOf, rootOf } from "./query.js";

const ROW = 8;
/** Title, the modality that is compared, and what is looked for. */
const ROWS = [
  ["More like this", "av", "any"], ["More like this", "text", "any"], ["Looks like this", "image", "image"],
  ["Sounds like this", "audio", "audio"], ["Looks like this", "video", "video"],
];

export function Neighbours({ shown, library, navigate, likeSegment }) {
  const { hit, moments } = shown;
  const there = new Set([hit.modality, ...moments.map((segment) => segment.modality)]);
  const rows = ROWS.filter(([, modality]) => there.has(modality));
  return html`${rows.map(([title, modality, target]) => html`<${Row} key=${modality} title=${title} modality=${modality}
    target=${target}
    hit=${hit} root=${rootOf(library)} navigate=${navigate} likeSegment=${likeSegment} />`)}`;
}

function Row({ title, modality, target, hit, root, navigate, likeSegment }) {
  const [hits, setHits] = useState(null);
  const [current, setCurrent] = useState(0);
  const { playing, play, preview, stop } = usePlaying();
  const row = useRef(null), list = useRef(null);
  const term = newTerm("segment", { key: hit.segment, name: hit.name, ...(modality !== "text" && { modality }) });
  const query = { ...EMPTY, target, perFile: "1", terms: [term] };
  useEffect(() => {
    const abort = new AbortController();
    const observer = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      observer.disconnect();
      const others = { ...query, where: `path <> ${quoted(hit.path)}` };
      const request = { ...requestOf(others, { folders: [], columns: [] }), limit: ROW, offset: 0 };
      const failed = () => abort.signal.aborted || setHits([]);
      api.search(request, query.terms, abort.signal).then((answer) => setHits(answer.hits), failed);
    }, { rootMargin: "100px" });
    observer.observe(row.current);
    return () => {
      observer.disconnect();
      abort.abort();
    };
  }, []);
  const onKey = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const index = current + step;
    if (step && hits[index]) {
      setCurrent(index);
      list.current.querySelectorAll(".card-link")[index].focus();
    } else if (event.key === " " && event.target.matches(".card-link")) play(hits[current]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  if (hits && !hits.length) return null;
  return html`<section ref=${row} class="row" aria-label=${title}>
    <div class="row-head"><h3>${title}</h3>
      <button type="button" class="button button-quiet"
        onClick=${() => likeSegment(hit.segment, hit.name, term.modality, target)}>Show all
        <span class="unseen"> that ${title.toLowerCase()}</span></button></div>
    <ul ref=${list} class="row-cards" onKeyDown=${onKey}>
      ${hits ? hits.map((each, index) => html`<${Card} key=${each.segment} hit=${each} query=${query} root=${root}
        current=${index === current}
        playing=${playing?.segment === each.segment ? playing : null} audible=${false} onPlay=${() => play(each)}
        onPreview=${(on) => preview(each, on)} onFocus=${() => setCurrent(index)} onStop=${stop}
        onOpen=${() => navigate({ file: each.segment, at: each.peak_start_s ?? each.start_s })}
        onSimilar=${() => likeSegment(each.segment, each.name)} />`)
      : Array.from({ length: ROW }, (_, index) => html`<li key=${index} class="card card-empty" aria-hidden="true"><div
        class="card-media"></div></li>`)}
    </ul></section>`;
}
