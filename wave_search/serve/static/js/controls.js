/** What narrows a search: the target, how clear a match has to be, filters, and the advanced options. */

import { html, useRef, useState } from "../vendor/preact-htm.js";
import { copyText } from "./announcer.js";
import { Icon } from "./elements.js";
import { KINDS, TARGETS, count, verdict } from "./format.js";
import { filterCount, rootOf, unfiltered, whereOf } from "./query.js";
import { LOST, readSelection } from "./selection.js";

const SETTLED_MS = 150;
const ADVANCED = ["instruction", "rerank", "perFile", "dedupe"];

export function Controls({ query, library, navigate }) {
  const filters = filterCount(query);
  const advanced = ADVANCED.filter((field) => query[field]).length + (query.single ? 1 : 0);
  const [open, setOpen] = useState(null);
  const toggle = (name) => setOpen(open === name ? null : name);
  const change = (patch) => navigate(patch, { replace: true });
  const targets = Object.entries(TARGETS).filter(([name]) => library.targets.includes(name));
  return html`<section class="controls" aria-label="Narrow the search">
    <div class="controls-row">
      <fieldset class="segments"><legend class="unseen">What to find</legend>
        ${targets.map(([name, label]) => html`<label key=${name} class="segment">
          <input type="radio" name="target" value=${name} checked=${query.target === name}
            onChange=${() => change({ target: name })} /><span>${label}</span></label>`)}
      </fieldset>
      <${Clarity} minZ=${query.minZ} change=${change} />
      ${query.only && html`<span class="chip"><span class="chip-label">${selectionSize(query.only)}</span><button
        type="button" class="chip-remove" aria-label="Remove the selection"
        onClick=${() => change({ only: "" })}><${Icon} name="close" /></button></span>`}
      <div class="controls-end">
        <${Opener} name="filters" icon="filter" label="Filters" count=${filters} open=${open} toggle=${toggle} />
        <${Opener} name="advanced" icon="settings" label="Advanced" count=${advanced} open=${open} toggle=${toggle} />
      </div>
    </div>
    ${open === "filters" && html`<${Filters} query=${query} library=${library} change=${change} />`}
    ${open === "advanced" && html`<${Advanced} query=${query} library=${library} change=${change} />`}
  </section>`;
}

function selectionSize(only) {
  const ids = readSelection(only);
  return ids === LOST ? "a selection that is lost" : `${count(ids.length, "point")} of the map`;
}

function Opener({ name, icon, label, count, open, toggle }) {
  return html`<button type="button" class="button button-quiet" aria-expanded=${open === name} aria-controls=${name}
    onClick=${() => toggle(name)}><${Icon} name=${icon} />${label}
    ${count > 0 && html`<span class="badge"><span class="unseen">, in use: </span>${count}</span>`}</button>`;
}

/** The least z, in words. */
function Clarity({ minZ, change }) {
  const [dragged, setDragged] = useState(null);
  const timer = useRef(null);
  // A key that is held down is one search, not thirty.
  const settle = (chosen) => {
    clearTimeout(timer.current);
    timer.current = setTimeout(() => {
      setDragged(null);
      change({ minZ: chosen || null });
    }, SETTLED_MS);
  };
  const value = dragged ?? minZ ?? 0;
  const rest = value === 0 ? ", even if weak" : value < 6 ? " or better" : "";
  const words = value > 0 ? verdict(value) : "the nearest";
  return html`<label class="clarity"><span class="clarity-label">Matches</span>
    <input type="range" min="0" max="8" step="0.5" value=${value}
      aria-valuetext=${`${words}${rest}${value > 0 ? `, z at least ${value}` : ""}`}
      onInput=${(event) => { setDragged(Number(event.target.value)); settle(Number(event.target.value)); }} />
    <span class="clarity-words" aria-hidden="true">${words}<span
      class="clarity-rest">${rest}</span>${value > 0 && html`<small> z ≥ ${value}</small>`}</span></label>`;
}

function Filters({ query, library, change }) {
  const kinds = Object.keys(KINDS).filter((kind) => library.files[kind]);
  const setKind = (kind, on) =>
    change({ kinds: kinds.filter((each) => (each === kind ? on : query.kinds.includes(each))) });
  const sql = whereOf(query, library);
  const root = rootOf(library);
  const copy = () => copyText(sql, "The condition is");
  return html`<div id="filters" class="panel" role="group" aria-label="Filters">
    <fieldset class="field"><legend>Kind of file</legend><div class="checks">
      ${kinds.map((kind) => html`<label key=${kind} class="check"><input type="checkbox"
        checked=${query.kinds.includes(kind)}
        onChange=${(event) => setKind(kind, event.target.checked)} />${KINDS[kind]}</label>`)}</div></fieldset>
    ${library.folders.length > 0 && html`<label class="field"><span>Folder</span>
      <select value=${query.folder} onChange=${(event) => change({ folder: event.target.value })}>
        <option value="">all folders</option>
        ${library.folders.map(({ name }) => html`<option key=${name}
          value=${name}>${name.slice(root)}</option>`)}</select></label>`}
    <${Between} label="Duration in seconds" type="number" from=${query.shortest} to=${query.longest}
      onFrom=${(shortest) => change({ shortest })} onTo=${(longest) => change({ longest })} />
    <${Between} label="File changed" type="date" from=${query.after} to=${query.before}
      onFrom=${(after) => change({ after })} onTo=${(before) => change({ before })} />
    ${library.columns.map((column) => html`<${Column} key=${column.name} column=${column}
      condition=${query.columns[column.name] ?? {}}
      onChange=${(condition) => change({ columns: withColumn(query.columns, column.name, condition) })} />`)}
    <label class="field field-wide"><span>Further SQL condition</span>
      <input type="text" class="code" spellcheck=${false} autocomplete="off"
        placeholder="fps >= 50 AND name LIKE 'take%'"
        value=${query.where} onChange=${(event) => change({ where: event.target.value })} /></label>
    <div class="field-wide made">
      ${sql ? html`<code>${sql}</code>
        <button type="button" class="button button-quiet" onClick=${copy}><${Icon}
          name="copy" />Copy for --where</button>
        <button type="button" class="button button-quiet"
          onClick=${() => change(unfiltered)}>Remove all filters</button>`
      : html`<span class="muted">The SQL condition that the filters make is shown here.</span>`}
    </div>
  </div>`;
}

function withColumn(columns, name, condition) {
  const { [name]: _, ...others } = columns;
  return Object.values(condition).some(Boolean) ? { ...others, [name]: condition } : others;
}

function Column({ column, condition, onChange }) {
  const set = (part) => (value) => onChange({ ...condition, [part]: value });
  if (column.type === "number" || column.type === "timestamp") {
    return html`<${Between} label=${column.name} type=${column.type === "number" ? "number" : "date"}
      from=${condition.min ?? ""} to=${condition.max ?? ""} onFrom=${set("min")} onTo=${set("max")} />`;
  }
  if (column.type === "bool") {
    return html`<label class="field"><span>${column.name}</span>
      <select value=${condition.value ?? ""} onChange=${(event) => set("value")(event.target.value)}>
        <option value="">either</option><option value="yes">yes</option><option
          value="no">no</option></select></label>`;
  }
  return html`<label class="field"><span>${column.name}</span>
    <input type="text" value=${condition.value ?? ""}
      placeholder=${column.type === "texts" ? "is one of them" : "contains"}
      onChange=${(event) => set("value")(event.target.value)} /></label>`;
}

function Between({ label, type, from, to, onFrom, onTo }) {
  const input = (name, value, onChange) => html`<input type=${type} aria-label=${`${label}, ${name}`} value=${value}
    placeholder=${name} step="any" onChange=${(event) => onChange(event.target.value)} />`;
  return html`<fieldset class="field"><legend>${label}</legend><div class="between">
    ${input("from", from, onFrom)}<span aria-hidden="true">–</span>${input("to", to, onTo)}</div></fieldset>`;
}

function Advanced({ query, library, change }) {
  const instructions = library.instructions.filter(Boolean);
  return html`<div id="advanced" class="panel" role="group" aria-label="Advanced">
    <label class="field field-wide"><span>Instruction</span>
      <input type="text" list="instructions" value=${query.instruction} placeholder="What is heard?"
        onChange=${(event) => change({ instruction: event.target.value })} />
      <small>What the model is asked about each clip. The library is indexed with
        ${" "}${instructions.length ? instructions.map((each) => `“${each}”`).join(", ") : "none"}.</small></label>
    <datalist id="instructions">${instructions.map((each) => html`<option key=${each} value=${each} />`)}</datalist>
    <${Count} label="Embed the best again" value=${query.rerank} onChange=${(rerank) => change({ rerank })}
      placeholder="50" max="500"
      hint="So many of the best matches, with the instruction: slower, and more exact." />
    <${Count} label="Most results of a file" value=${query.perFile} onChange=${(perFile) => change({ perFile })}
      placeholder="all" max="100" />
    <label class="field"><span>Leave out near duplicates</span>
      <select value=${query.dedupe} onChange=${(event) => change({ dedupe: event.target.value })}>
        <option value="">no</option><option value="0.99">nearly identical (0.99)</option>
        <option value="0.97">very similar (0.97)</option><option value="0.9">similar (0.9)</option></select></label>
    <label class="check"><input type="checkbox" checked=${query.single}
      onChange=${(event) => change({ single: event.target.checked })} />Single segments instead of moments</label>
  </div>`;
}

function Count({ label, value, onChange, placeholder, max, hint }) {
  return html`<label class="field"><span>${label}</span>
    <input type="number" min="1" max=${max} value=${value} placeholder=${placeholder}
      onChange=${(event) => onChange(event.target.value)} />
    ${hint && html`<small>${hint}</small>`}</label>`;
}
