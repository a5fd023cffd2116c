/** The map of the library: every segment a point, those that are alike near each other. */

import { html, useEffect, useMemo, useState } from "../vendor/preact-htm.js";
import * as api from "./api.js";
import { announce } from "./announcer.js";
import { Icon, Problem, plain } from "./elements.js";
import { KINDS, count, range } from "./format.js";
import { DIM, PLAIN, STRONG } from "./map-plot.js";
import { groupsOf, loadMap, matchesOf } from "./map-points.js";
import { COLOURS, Stage } from "./map-stage.js";
import { requestOf, termsOf, whereOf, writeAddress } from "./query.js";
import { readSelection, writeSelection } from "./selection.js";

const MOST_LIT = 200;
const LEAST_LIT = 10;
const WEAK_Z = 3;
const LISTED = 60;
const MOST_SELECTED = 100_000;
const NONE = Object.freeze([]);
const ROLES = { rest: "all others", none: "no value" };
const NOUNS = {
  video: "moments seen", audio: "moments heard", av: "moments seen and heard", image: "pictures", text: "texts",
};
const METHODS = { umap: "UMAP", pca: "principal components" };

/** The map of a modality: {about, points, descriptions}, or how far it is, or a fault. It follows the index. */
function useMap(modality, version) {
  const [state, setState] = useState({ modality, progress: 0 });
  const [tries, setTries] = useState(0);
  useEffect(() => {
    const abort = new AbortController(), same = state.modality === modality && !state.fault;
    if (!same) setState({ modality, progress: 0 });
    const show = (found) => abort.signal.aborted || setState((old) => ({ ...old, ...found }));
    loadMap(modality, version, same ? state.about?.tag : null, show, abort.signal).catch(
      (fault) => abort.signal.aborted || setState({ modality, fault }),
    );
    return () => abort.abort();
  }, [modality, tries, version]);
  return { ...state, retry: () => setTries(tries + 1) };
}

/** What belongs to the points and comes from the server: null until it is there. */
function useOfPoints(load, keys) {
  const [found, setFound] = useState(null);
  useEffect(() => {
    const abort = new AbortController();
    setFound(null);
    load(abort.signal)?.then(
      (answer) => abort.signal.aborted || setFound(answer),
      (fault) => abort.signal.aborted || announce(fault.text, { shown: true }),
    );
    return () => abort.abort();
  }, keys);
  return found;
}

/** What is asked for about the points, unless the map has changed in the meantime: then it is loaded again. */
const sameMap = ({ about, retry }, answer) => answer.then((found) => {
  if (found.tag === about.tag) return found;
  retry();
  return null;
});

/** Which points the search finds: the nearest to its terms, or all that pass its filters; null without a search. */
function useLit(query, library, map) {
  const terms = termsOf(query), where = whereOf(query, library), { points, about } = map;
  const request = { ...requestOf({ ...query, target: "any" }, library), moments: false, rerank: null };
  const wanted = points && (terms.length ? JSON.stringify(request) : where || query.only);
  return useOfPoints((signal) => {
    if (!wanted) return null;
    if (!terms.length) {
      const only = query.only ? new Set(readSelection(query.only)) : null;
      const chosen = Uint8Array.from(points.ids, (id) => (!only || only.has(id) ? 1 : 0));
      if (!where) return Promise.resolve(chosen);
      return sameMap(map, matchesOf(about.modality, where, signal)).then((found) =>
        found && chosen.map((each, index) => each & found.matches[index]));
    }
    const asked = { ...request, target: about.modality, limit: MOST_LIT, offset: 0 };
    return api.search(asked, terms, signal).then(({ hits }) => {
      const lit = new Uint8Array(points.count);
      const near = hits.filter(({ z }, index) => z >= WEAK_Z || index < LEAST_LIT);
      for (const { segment } of near) if (points.indexOf.has(segment)) lit[points.indexOf.get(segment)] = 1;
      return lit;
    });
  }, [wanted, query.only, points, about?.index_version]);
}

export function View({ query, library, navigate, onHits }) {
  const map = useMap(query.target === "any" ? "" : query.target, library.index_version);
  const { points, about, descriptions } = map;
  const by = query.colour || "folder";
  const grouped = useOfPoints((signal) => points && sameMap(map, groupsOf(about.modality, by, signal)),
    [points, by, about?.index_version]);
  const lit = useLit(query, library, map);
  const [alone, setAlone] = useState(null);
  const [selected, setSelected] = useState(NONE);
  const [tool, setTool] = useState("move");
  useEffect(() => setAlone(null), [grouped]);
  useEffect(() => setSelected(NONE), [points]);
  const free = useMemo(() => points && looks(points, grouped, lit, alone), [points, grouped, lit, alone]);
  const flags = useMemo(() => points && emphasized(free, selected), [free, selected]);
  const paint = useMemo(() => points && painted(points, grouped), [points, grouped]);
  const first = selected.slice(0, LISTED).map((index) => points.ids[index]);
  const listed = useOfPoints((signal) => (first.length ? descriptions.load(first, signal) : null), [selected]);
  useEffect(() => onHits(listed ?? []), [listed]);

  const change = (patch) => navigate(patch, { replace: true });
  const open = (index) => {
    const id = points.ids[index];
    descriptions.load([id]).then(([hit]) => navigate({ file: id, at: hit?.start_s ?? null }),
      () => navigate({ file: id, at: null }));
  };
  const select = (indices) => {
    setSelected(indices.slice(0, MOST_SELECTED));
    const more = indices.length > MOST_SELECTED ? `, the first ${count(MOST_SELECTED, "point")} of them` : "";
    announce(`${count(indices.length, "point")} selected${more}`, { shown: more !== "" });
  };
  const show = () => navigate({ view: "", only: writeSelection(selected.map((index) => points.ids[index])) });
  const here = lit && lit.reduce((sum, each) => sum + each, 0);
  return html`<section class="map" aria-label="Map" aria-busy=${!points || !grouped}>
    <div class="map-head">
      <h2>Map</h2>
      <p class="map-note">${about ? note(about, termsOf(query).length, here) : "What is alike lies close together."}</p>
      <div class="map-choices">
        <label class="map-choice"><span>Colour by</span><select value=${by}
          onChange=${(event) => change({ colour: event.target.value })}>
          ${["folder", "kind", ...library.columns.map(({ name }) => name)].map((name) => html`<option key=${name}
            value=${name}>${name}</option>`)}</select></label>
      </div>
    </div>
    ${map.fault && html`<${Problem} fault=${map.fault} retry=${map.retry} />`}
    ${!map.fault && html`<div class="map-body">
      ${points ? html`<${Stage} map=${map} paint=${paint} flags=${flags} free=${free} tool=${tool} setTool=${setTool}
        select=${select} selected=${selected} open=${open} opened=${query.file != null} />` : html`<div
        class="map-stage map-wait">
        <p>Arranging the library …</p>
        <progress value=${map.progress} max="1" aria-label="Arranging the library"></progress></div>`}
      <div class="map-side">
        ${selected.length > 0 && html`<${Selected} selected=${selected} listed=${listed} query=${query}
          navigate=${navigate} show=${show} clear=${() => select([])} />`}
        <${Legend} grouped=${grouped} by=${by} alone=${alone} setAlone=${setAlone} />
      </div>
    </div>`}
  </section>`;
}

function note(about, searched, lit) {
  const all = `${about.points.toLocaleString("en")} ${NOUNS[about.modality]}, placed by ${METHODS[about.method]}`;
  if (lit == null) return all;
  return searched ? `${all}. The ${lit} nearest to the search are lit.` : `${all}. ${lit} pass the filters.`;
}

/** How each point is shown: what the search does not find, or another group than the one that was chosen, is dim. */
function looks(points, grouped, lit, alone) {
  const others = (index) => (lit && !lit[index]) || (alone !== null && grouped?.codes[index] !== alone);
  return Uint8Array.from(points.ids, (_, index) => (others(index) ? DIM : lit ? STRONG : PLAIN));
}

/** The same with the selected points alone, if there are any. */
function emphasized(flags, selected) {
  if (!selected.length) return flags;
  const alone = new Uint8Array(flags.length).fill(DIM);
  for (const index of selected) alone[index] = STRONG;
  return alone;
}

const colourOf = (role, code) => ({ value: code, rest: COLOURS - 2, none: COLOURS - 1 })[role];

/** The colour of each point. Before the groups are known, all have that of the rest. */
function painted(points, grouped) {
  const colours = grouped?.groups.map(({ role }, code) => colourOf(role, code));
  return Uint8Array.from(points.ids, (_, index) => (colours ? colours[grouped.codes[index]] : COLOURS - 2));
}

function Legend({ grouped, by, alone, setAlone }) {
  return html`<section class="map-legend" aria-label="Colours"><h3>${by[0].toUpperCase() + by.slice(1)}</h3><ul>
    ${(grouped?.groups ?? []).map(({ name, role, count: points }, code) => html`<li key=${code}>
      <button type="button" aria-pressed=${alone === code} title="Show these alone"
        onClick=${() => setAlone(alone === code ? null : code)}>
        <span class=${`map-dot map-c${colourOf(role, code)}`}></span><span class="map-group">${
          role === "value" ? (by === "kind" ? KINDS[name] : name) : ROLES[role]}</span>
        <span class="map-count">${points.toLocaleString("en")}</span></button></li>`)}
  </ul></section>`;
}

function Selected({ selected, listed, query, navigate, show, clear }) {
  const link = (hit) => ({ file: hit.segment, at: hit.start_s });
  return html`<section class="map-selected" aria-label="Selection">
    <h3>${count(selected.length, "point")} selected</h3>
    <p class="map-actions"><button type="button" class="button button-strong" onClick=${show}>Show these</button>
      <button type="button" class="button button-quiet" onClick=${clear}>Clear</button></p>
    <ul class="map-list">${(listed ?? []).map((hit) => html`<li key=${hit.segment}><a
      href=${writeAddress({ ...query, ...link(hit) })} title=${hit.path}
      onClick=${(event) => plain(event) && navigate(link(hit))}><${Icon} name=${hit.kind} /><span
      class="map-list-name">${hit.name}</span><span
      class="map-list-time">${range(hit.start_s, hit.stop_s)}</span></a></li>`)}
      ${selected.length > LISTED && html`<li
        class="muted">and ${(selected.length - LISTED).toLocaleString("en")} more</li>`}
    </ul></section>`;
}
