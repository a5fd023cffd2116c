/** The grid of results, which fills while one scrolls. */

import { html, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../vendor/preact-htm.js";
import * as api from "./api.js";
import { announce } from "./announcer.js";
import { addHits } from "./basket.js";
import { Card, usePlaying } from "./card.js";
import { Icon, Problem } from "./elements.js";
import { count, verdict } from "./format.js";
import { Lazy } from "./lazy.js";
import { filterCount, requestOf, rootOf, termsOf, unfiltered } from "./query.js";

const PAGE = 24;
const MOST = 1800;
const WEAK_Z = 3;
const SLOW_MS = 2500;

/**
 * The search of the query: {hits, more, status: "loading" | "ready" | "failed", fault, warnings}. Old hits stay while
 * new ones are found.
 */
function useSearch(query, library) {
  const request = useMemo(() => requestOf(query, library), [query, library]);
  const key = JSON.stringify(request);
  const terms = termsOf(query);
  const version = library.index_version;
  const [state, setState] = useState({ key: null, hits: [], more: false, status: "loading" });
  const running = useRef(null);
  const run = useCallback((offset, before) => {
    running.current?.abort();
    const abort = new AbortController();
    running.current = abort;
    setState((old) => ({ ...old, status: "loading", adding: offset > 0, fault: null }));
    const found = (answer) => {
      const there = new Set(before.map((hit) => hit.segment));
      const hits = [...before, ...answer.hits.filter((hit) => !there.has(hit.segment))];
      const more = answer.more && hits.length > before.length && hits.length < MOST;
      setState({ key, version, hits, more, status: "ready", warnings: answer.warnings, tookS: answer.took_s });
    };
    const failed = (fault) => {
      if (fault.name === "AbortError") return;
      setState((old) => ({ ...old, hits: before, more: false, status: "failed", fault }));
    };
    api.search({ ...request, limit: PAGE, offset }, terms, abort.signal).then(found, failed);
  }, [key, version]);
  const hidden = query.file != null || query.view !== "";
  // A new version is searched at once if that takes little, and nobody has scrolled.
  const follows = state.hits.length <= PAGE && !request.rerank && !terms.some((term) => term.kind === "upload");
  useEffect(() => {
    if (!hidden && (state.key !== key || (follows && state.version !== version))) run(0, []);
  }, [key, version, hidden]);
  useEffect(() => () => running.current?.abort(), []);
  const fresh = state.key === key;
  const loadMore = () => state.status === "ready" && state.more && fresh && run(state.hits.length, state.hits);
  return { ...state, wanted: key, fresh, loadMore, retry: () => run(0, []) };
}

export function Results({ query, library, navigate, likeSegment, onHits, box, reload }) {
  const found = useSearch(query, library);
  const { hits, status, fault, fresh } = found;
  const root = rootOf(library);
  const searched = termsOf(query).length > 0;
  const [current, setCurrent] = useState(0);
  const { playing, play, preview, stop } = usePlaying();
  const [audible, setAudible] = useState(false);
  const [tagging, setTagging] = useState(false);
  const [slow, setSlow] = useState(false);
  const grid = useRef(null);
  const opened = useRef(null);
  const said = useRef("");

  useEffect(() => onHits(hits), [hits]);
  useEffect(() => {
    setCurrent(0);
    stop();
  }, [found.key]);
  useEffect(() => {
    if (status !== "ready" || query.file != null) return;
    const news = summary(found);
    if (said.current !== found.key + news) announce(news); // not again with each version of the index
    said.current = found.key + news;
  }, [found.key, status, hits.length]);
  useEffect(() => {
    if (status !== "loading") return setSlow(false);
    const timer = setTimeout(() => setSlow(true), SLOW_MS);
    return () => clearTimeout(timer);
  }, [status]);

  // Back from a file, the page is where it was, with the focus on the card.
  useLayoutEffect(() => {
    if (query.file != null) {
      opened.current = { top: scrollY, index: current, key: found.wanted };
      stop();
    } else if (opened.current?.key === found.wanted) {
      scrollTo(0, opened.current.top);
      link(opened.current.index)?.focus({ preventScroll: true });
    }
  }, [query.file == null]);

  const link = (index) => grid.current?.querySelectorAll(".card-link")[index];
  const focus = (index) => {
    if (index >= hits.length - 4) found.loadMore();
    if (index < 0 || index >= hits.length) return;
    setCurrent(index);
    link(index).focus();
    link(index).closest(".card").scrollIntoView({ block: "nearest" });
  };
  const onKey = (event) => {
    const columns = getComputedStyle(grid.current).gridTemplateColumns.split(" ").length;
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "ArrowUp" && current < columns) box.current.focus();
    else if (event.key in steps) focus(current + steps[event.key]);
    else if (event.key === "Home") focus(0);
    else if (event.key === "End") focus(hits.length - 1);
    else if (event.key === "Escape" && playing !== null) stop();
    else if (event.key === "m") setAudible(!audible);
    else if (event.key === " " && event.target.matches(".card-link")) play(hits[current]);
    else return;
    event.preventDefault();
  };
  return html`<section id="results" aria-label="Results" aria-busy=${status === "loading"}>
    <div class=${`progress${status === "loading" ? " progress-on" : ""}`} aria-hidden="true"></div>
    <div class="results-head">
      <h2>${searched ? "Results" : "The library"}</h2>
      <p class="results-note">${note(found, searched, slow)}</p>
      ${!searched && html`<button type="button" class="button button-quiet"
        onClick=${() => navigate({ view: "duplicates" })}
        title="Files and moments that are there several times"><${Icon} name="copy" />Duplicates</button>`}
      ${hits.length > 0 && html`<button type="button" class="button button-quiet" onClick=${() => addHits(hits)}
        title="Add all shown results to the basket"><${Icon} name="basket" />Add all</button>`}
      ${hits.length > 0 && html`<button type="button" class="tool" aria-label="Tag all results that are shown"
        title="Tag all results that are shown" onClick=${() => setTagging(true)}><${Icon} name="tag" /></button>`}
      <button type="button" class="button button-quiet" aria-pressed=${audible} onClick=${() => setAudible(!audible)}
        title="Play with sound when the pointer rests on a result (m)"><${Icon} name=${audible ? "sound" : "muted"} />
        ${audible ? "Sound on" : "Sound off"}</button>
    </div>
    ${(found.warnings ?? []).map((warning) => html`<p class="notice">${warning}</p>`)}
    ${status === "failed" && html`<${Problem} fault=${fault} retry=${found.retry} />`}
    ${status === "ready" && fresh && !hits.length && html`<${Nothing} query=${query} searched=${searched}
      navigate=${navigate} library=${library} />`}
    ${status !== "failed" && html`<ul ref=${grid} role="list" class=${`grid${fresh || !hits.length ? "" : " grid-old"}`}
      onKeyDown=${onKey}>
      ${hits.map((hit, index) => html`<${Card} key=${hit.segment} hit=${hit} current=${index === current} query=${query}
        root=${root}
        playing=${playing?.segment === hit.segment ? playing : null} audible=${audible} onPlay=${() => play(hit)}
        onPreview=${(on) => preview(hit, on)} onFocus=${() => setCurrent(index)} onStop=${stop}
        onOpen=${() => { setCurrent(index); navigate({ file: hit.segment, at: hit.peak_start_s ?? hit.start_s }); }}
        onSimilar=${() => likeSegment(hit.segment, hit.name)} />`)}
      ${status === "loading" && (!hits.length || found.adding) && html`<${Waiting} count=${hits.length ? 4 : 12} />`}
    </ul>`}
    ${found.more && found.status === "ready" && hits.length > 0 && html`<${End} key=${hits.length}
      on=${found.loadMore} />`}
    ${tagging && html`<${Lazy} name="editor" hits=${hits} reload=${reload} library=${library}
      close=${() => setTagging(false)} />`}
  </section>`;
}

/** Places of results that are on their way. */
const Waiting = ({ count }) => Array.from({ length: count }, (_, index) => html`
  <li key=${index} class="card card-empty" aria-hidden="true"><div class="card-media"></div></li>`);

/** Asks for more results before the end of the page is reached. */
function End({ on }) {
  const end = useRef(null);
  useEffect(() => {
    const near = (entries) => entries.some((entry) => entry.isIntersecting) && on();
    const observer = new IntersectionObserver(near, { rootMargin: "600px" });
    observer.observe(end.current);
    return () => observer.disconnect();
  });
  return html`<div ref=${end} class="end"></div>`;
}

function summary({ hits, more }) {
  if (!hits.length) return "Nothing found";
  const best = hits[0].z == null ? "" : `, the best is a ${verdict(hits[0].z)} match, z ${hits[0].z.toFixed(1)}`;
  return `${count(hits.length, "result")}${more ? " so far" : ""}${best}`;
}

function note({ hits, more, status, tookS, fresh }, searched, slow) {
  const patience = slow ? " A long file, or a large model, takes its time." : "";
  if (status === "loading" && !fresh) return `Searching …${patience}`;
  if (status === "failed" || !hits.length) return "";
  const number = `${hits.length}${more ? "+" : ""}`;
  if (!searched) return `${number} ${hits.length === 1 ? "file" : "files"}, by path`;
  if (hits[0].z < WEAK_Z) return "Nothing stands out. These are the nearest, and they may have nothing to do with it.";
  return `${number} in ${tookS.toFixed(2)} s, best first`;
}

function Nothing({ query, searched, navigate, library }) {
  const filters = filterCount(query);
  const empty = !Object.values(library.files).some(Boolean);
  if (empty) {
    return html`<div class="state"><h2>The library is empty</h2>
      <p>Index a folder, then reload this page: <code>wave-search index FOLDER</code></p></div>`;
  }
  const cause = query.minZ && searched
    ? `Nothing in the library matches with a z of ${query.minZ} or more (${verdict(query.minZ)}).`
    : filters ? "No file passes the filters." : "The library has nothing of this kind.";
  return html`<div class="state"><h2>${searched ? "Nothing like that" : "No such file"}</h2>
    <p>${cause}</p>
    <p class="state-actions">
      ${query.minZ && searched && html`<button type="button" class="button"
        onClick=${() => navigate({ minZ: null })}>Show the nearest</button>`}
      ${filters > 0 && html`<button type="button" class="button"
        onClick=${() => navigate(unfiltered)}>Remove the filters</button>`}
      ${query.target !== "any" && html`<button type="button" class="button"
        onClick=${() => navigate({ target: "any" })}>Search everything</button>`}
    </p></div>`;
}
