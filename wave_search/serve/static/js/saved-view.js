/** Saved searches: keep the present one, run, rename and delete, and let one post what it finds anew. */

import { html, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import { announce } from "./announcer.js";
import { call } from "./api.js";
import { Icon } from "./elements.js";
import { TARGETS } from "./format.js";
import { EMPTY, filterCount, newTerm, requestOf, termsOf } from "./query.js";

const json = (method, body) => ({
  method, body: JSON.stringify(body), headers: { "Content-Type": "application/json" },
});
const at = (name, folder = "searches") => `/${folder}/${encodeURIComponent(name)}`;

export function View({ query, library, navigate, close }) {
  const [found, setFound] = useState(null);
  const [fault, setFault] = useState(null);
  const dialog = useRef(null);
  useEffect(() => {
    dialog.current.showModal();
    call("/searches").then(setFound, setFault);
  }, []);
  /** Make a request whose answer is the new list; resolves to whether it succeeded. */
  const change = async (path, options, done) => {
    setFault(null);
    try {
      setFound(await call(path, options));
      announce(done);
      return true;
    } catch (error) {
      setFault(error);
      return false;
    }
  };
  const run = (saved) => {
    navigate(restored(saved));
    dialog.current.close();
    scrollTo(0, 0);
  };
  return html`<dialog ref=${dialog} class="help" aria-labelledby="saved-title" onClose=${close}
    onClick=${(event) => event.target === dialog.current && dialog.current.close()}>
    <div class="help-body">
      <div class="help-head"><h2 id="saved-title">Saved searches</h2>
        <button type="button" class="tool" aria-label="Close" onClick=${() => dialog.current.close()}><${Icon}
          name="close" /></button></div>
      <${Save} query=${query} library=${library} change=${change} fault=${fault} />
      ${fault && html`<p class="saved-fault" role="alert">${fault.text}</p>`}
      ${found && (found.searches.length ? html`<ul class="saved-list" aria-label="Saved searches">
        ${found.searches.map((saved) => html`<${Saved} key=${saved.name} saved=${saved} run=${run} change=${change}
          alerts=${found.alerts_allowed} />`)}</ul>`
      : html`<p>None yet. They belong to this library, and everyone who uses it sees them.</p>`)}
    </div>
  </dialog>`;
}

function Save({ query, library, change, fault }) {
  const terms = termsOf(query);
  const [name, setName] = useState(terms.map((term) => term.text ?? term.name).join(", ").slice(0, 100));
  if (!terms.length && !filterCount(query)) return html`<p>Search or filter first, then save it here.</p>`;
  if (terms.some((term) => term.kind === "upload")) {
    return html`<p>A search by a file that was dropped here cannot be saved, because the file is not kept. Index it, and
      search for more like it.</p>`;
  }
  const save = (replace) => change(
    `${at(name.trim())}${replace ? "?replace=true" : ""}`, json("PUT", requestOf(query, library)), `${name} saved`,
  );
  return html`<form class="saved-save" onSubmit=${(event) => { event.preventDefault(); if (name.trim()) save(false); }}>
    <label class="field"><span>Save the present search as</span><input type="text" value=${name} maxlength="100"
      autocomplete="off" required onInput=${(event) => setName(event.target.value)} /></label>
    <button type="submit" class="button button-strong">Save</button>
    ${fault?.status === 409 && html`<button type="button" class="button"
      onClick=${() => save(true)}>Replace</button>`}
  </form>`;
}

function Saved({ saved, run, change, alerts }) {
  const [open, setOpen] = useState("");
  const [sure, setSure] = useState(false);
  const toggle = (part) => setOpen(open === part ? "" : part);
  const gone = saved.terms.find((term) => term.text === null && term.segment === null);
  const rename = (name) => change(at(saved.name), json("PATCH", { name }), `Renamed to ${name}`);
  const post = async (webhook) => {
    const path = at(saved.name, "alerts");
    const done = await (webhook ? change(path, json("PUT", { webhook }), `New matches of ${saved.name} are posted`)
      : change(path, { method: "DELETE" }, `${saved.name} has no alert any more`));
    if (done) setOpen("");
  };
  const tool = (part, icon, label) => html`<button type="button" class="tool" aria-expanded=${open === part}
    aria-label=${`${label} ${saved.name}`} title=${label} onClick=${() => toggle(part)}><${Icon} name=${icon} /></button>`;
  return html`<li>
    <div class="saved-row">
      <button type="button" class="saved-run" disabled=${Boolean(gone)} onClick=${() => run(saved)}>
        <strong>${saved.name}</strong><small>${described(saved)}</small></button>
      ${alerts && saved.min_z !== null && tool("alert", "sound", saved.alert ? "Change the alert of" : "Alert of")}
      ${tool("rename", "text", "Rename")}
      <button type="button" class=${sure ? "button" : "tool"} aria-label=${`${sure ? "Really delete" : "Delete"} ${saved.name}`}
        title="Delete" onBlur=${() => setSure(false)}
        onClick=${() => (sure ? change(at(saved.name), { method: "DELETE" }, `${saved.name} deleted`) : setSure(true))}>
        ${sure ? "Really delete" : html`<${Icon} name="close" />`}</button>
    </div>
    ${gone && html`<small class="saved-fault">${gone.name} is not in the library any more.</small>`}
    ${saved.alert && html`<small>New matches go to ${saved.alert} after each run of index.</small>`}
    ${open === "rename" && html`<${Line} label="New name" value=${saved.name} button="Rename" send=${rename} />`}
    ${open === "alert" && html`<${Line} label="Post new matches to this address (empty for no alert)" value=""
      button="Set" send=${post} placeholder="https://" optional=${Boolean(saved.alert)} />`}
  </li>`;
}

function Line({ label, value, button, send, placeholder, optional }) {
  const [text, setText] = useState(value);
  const input = useRef(null);
  useEffect(() => input.current.focus(), []);
  const submit = (event) => {
    event.preventDefault();
    if (text.trim() || optional) send(text.trim());
  };
  return html`<form class="saved-form" onSubmit=${submit}>
    <label class="field"><span>${label}</span><input ref=${input} type="text" value=${text} placeholder=${placeholder}
      autocomplete="off" onInput=${(event) => setText(event.target.value)} /></label>
    <button type="submit" class="button">${button}</button></form>`;
}

function described(saved) {
  const terms = saved.terms.map((term) => `${term.avoid ? "not " : ""}${term.text ?? `like ${term.name}`}`);
  const parts = [terms.join(", "), saved.target !== "any" && TARGETS[saved.target]];
  if (saved.min_z !== null) parts.push(`z ≥ ${saved.min_z}`);
  return [...parts, saved.where].filter(Boolean).join(" · ");
}

/** The query of a saved search. Its filters are one SQL condition. */
function restored({ terms, ...saved }) {
  const [only] = terms, single = terms.length === 1 && only.text !== null && !only.avoid && only.weight === 1;
  const text = (value) => (value === null ? "" : String(value));
  return {
    ...EMPTY,
    text: single ? only.text : "",
    terms: single ? [] : terms.map(({ text: words, segment, name, weight, avoid }) => (words !== null
      ? newTerm("text", { text: words, weight, avoid })
      : newTerm("segment", { key: segment, name, weight, avoid }))),
    target: saved.target,
    minZ: saved.min_z,
    where: saved.where ?? "",
    instruction: saved.instruction ?? "",
    rerank: text(saved.rerank),
    single: !saved.moments,
    perFile: text(saved.per_file),
    dedupe: text(saved.dedupe),
  };
}
