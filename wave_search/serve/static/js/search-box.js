/** The box: words, files, a recording, and the terms that are already there as chips. */

import { html, useEffect, useLayoutEffect, useRef, useState } from "../vendor/preact-htm.js";
import { announce } from "./announcer.js";
import { Icon } from "./elements.js";
import { time } from "./format.js";
import { TAKEN_AS, isUnusual, newTerm, usualWeight } from "./query.js";
import { isVideo, uploadOf } from "./uploads.js";

const LONGEST_RECORDING_S = 30;

export function SearchBox({ query, navigate, addFiles, input }) {
  const [draft, setDraft] = useState(query.text);
  const [edited, setEdited] = useState(null);
  const picker = useRef(null);
  // Before the next key, which would be lost otherwise.
  useLayoutEffect(() => setDraft(query.text), [query.text]);
  useEffect(() => setEdited(null), [query.terms.length]);

  const submit = (event) => {
    event.preventDefault();
    navigate({ text: draft.trim(), file: null, at: null });
    scrollTo(0, 0);
  };
  const setTerm = (index, term) => navigate({ terms: query.terms.map((old, at) => (at === index ? term : old)) });
  const remove = (index) => {
    navigate({ terms: query.terms.filter((_, at) => at !== index) });
    input.current.focus();
  };
  const addTerm = () => {
    const term = newTerm("text", { text: draft.trim() });
    setDraft("");
    navigate({ terms: [...query.terms, term], text: "", file: null, at: null });
    announce(`${term.text} is a term. Type another.`);
    input.current.focus();
  };
  const onKey = (event) => {
    if (event.key === "Escape" && draft) setDraft("");
    else if (event.key === "Escape") input.current.blur();
    else if (event.key === "ArrowDown") document.querySelector("#results a[tabindex='0']")?.focus();
    else if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && draft.trim()) addTerm();
    else if (event.key === "Backspace" && !draft && query.terms.length) {
      const term = query.terms.at(-1);
      setDraft(term.text ?? "");
      navigate({ terms: query.terms.slice(0, -1) });
    } else return;
    event.preventDefault();
  };
  const term = query.terms[edited];
  return html`<form class="box" role="search" onSubmit=${submit}>
    <div class="box-field">
      <span class="box-icon"><${Icon} name="search" /></span>
      ${query.terms.length > 0 && html`<ul class="chips" aria-label="Terms">
        ${query.terms.map((each, index) => html`<${Chip} key=${index} term=${each} open=${edited === index}
          onEdit=${() => setEdited(edited === index ? null : index)} onRemove=${() => remove(index)} />`)}
      </ul>`}
      <input ref=${input} type="text" class="box-input" value=${draft} autocomplete="off" spellcheck=${false}
        enterkeyhint="search" aria-label="Search for" aria-keyshortcuts="/"
        placeholder=${query.terms.length ? "and …" : "Describe a sound, a picture, a moment"}
        onInput=${(event) => setDraft(event.target.value)} onKeyDown=${onKey} />
      <span class="box-tools">
      ${draft.trim() && html`<button class="tool" type="button" onClick=${addTerm}
        aria-label="Add as a term, and type another" title="Add as a term, and type another (Ctrl Enter)">
        <${Icon} name="plus" /></button>`}
      <input ref=${picker} class="unseen" type="file" multiple tabindex="-1" aria-hidden="true"
        onChange=${(event) => { addFiles(event.target.files); event.target.value = ""; }} />
      <button class="tool" type="button" onClick=${() => picker.current.click()} aria-label="Search by a file"
        title="Search by a file: pick, drop or paste it"><${Icon} name="file" /></button>
      <${Recorder} addFiles=${addFiles} />
      <button class="box-submit" type="submit">Search</button>
      </span>
    </div>
    ${term && html`<${TermEditor} term=${term} onChange=${(changed) => setTerm(edited, changed)}
      close=${() => setEdited(null)} />`}
  </form>`;
}

function Chip({ term, open, onEdit, onRemove }) {
  const label = term.text ?? term.name;
  const lost = term.kind === "upload" && !uploadOf(term);
  return html`<li class=${`chip${term.avoid ? " chip-not" : ""}${lost ? " chip-lost" : ""}`}>
    <button type="button" class="chip-label" aria-expanded=${open} aria-controls="term-editor" onClick=${onEdit}>
      ${term.avoid && html`<span class="chip-mark">not </span>`}
      ${term.kind === "segment" && html`<span class="chip-mark">like </span>`}
      <span class="chip-text">${label}</span>
      ${term.modality in TAKEN_AS && html`<span class="chip-mark"> (${TAKEN_AS[term.modality]})</span>`}
      ${isUnusual(term) && html`<span class="chip-mark"> ×${term.weight}</span>`}
    </button>
    <button type="button" class="chip-remove" aria-label=${`Remove ${label}`} onClick=${onRemove}>
      <${Icon} name="close" /></button>
  </li>`;
}

function TermEditor({ term, onChange, close }) {
  const first = useRef(null);
  useEffect(() => first.current.focus(), []);
  const choice = (avoid, label) => html`<label class="segment">
    <input type="radio" name="avoid" ref=${avoid === term.avoid ? first : null} checked=${term.avoid === avoid}
      onChange=${() => onChange({ ...term, avoid, weight: usualWeight(avoid) })} /><span>${label}</span>
  </label>`;
  return html`<div id="term-editor" class="term-editor" role="group" aria-label=${`Term ${term.text ?? term.name}`}
    onKeyDown=${(event) => event.key === "Escape" && close()}>
    <fieldset class="segments"><legend class="unseen">How it counts</legend>
      ${choice(false, "Find this")}${choice(true, "Not this")}</fieldset>
    <label class="weight"><span>Weight</span>
      <input type="range" min="0.25" max="4" step="0.25" value=${term.weight}
        onChange=${(event) => onChange({ ...term, weight: Number(event.target.value) })} />
      <span class="weight-number" aria-hidden="true">×${term.weight}</span></label>
    ${(isVideo(term) || term.kind === "segment") && html`<label class="weight"><span>Take</span>
      <select value=${term.modality ?? ""}
        onChange=${(event) => onChange({ ...term, modality: event.target.value || undefined })}>
        <option value="">as it is</option>
        ${Object.entries(TAKEN_AS).map(([name, label]) => html`<option value=${name}>${label}</option>`)}
      </select></label>`}
    ${term.kind === "upload" && !uploadOf(term) && html`<p class="term-lost">
      This file is no longer here. Remove it, and drop it again.</p>`}
  </div>`;
}

/** Records the microphone; what was recorded becomes a term. */
function Recorder({ addFiles }) {
  const [elapsed, setElapsed] = useState(null);
  const recorder = useRef(null);
  const stop = () => recorder.current?.state === "recording" && recorder.current.stop();
  const start = async () => {
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    } catch {
      const remedy = "Allow it for this page in the browser, and see that one is connected.";
      announce(`The microphone cannot be used. ${remedy}`, { shown: true });
      return;
    }
    const parts = [], begun = Date.now();
    const timer = setInterval(() => {
      setElapsed((Date.now() - begun) / 1000);
      if (Date.now() - begun > LONGEST_RECORDING_S * 1000) stop();
    }, 250);
    recorder.current = new MediaRecorder(stream);
    recorder.current.ondataavailable = (event) => parts.push(event.data);
    recorder.current.onstop = () => {
      clearInterval(timer);
      setElapsed(null);
      stream.getTracks().forEach((track) => track.stop());
      const type = recorder.current.mimeType.split(";")[0];
      addFiles([new File(parts, `recording.${type.split("/")[1]}`, { type })]);
    };
    recorder.current.start();
    setElapsed(0);
    announce("Recording");
  };
  useEffect(() => stop, []);
  if (!navigator.mediaDevices?.getUserMedia || !globalThis.MediaRecorder) return null;
  if (elapsed === null) {
    return html`<button class="tool" type="button" onClick=${start} aria-label="Record a sound to search by"
      title="Record a sound to search by"><${Icon} name="microphone" /></button>`;
  }
  return html`<button class="tool tool-on" type="button" onClick=${stop} aria-label="Stop recording, and search">
    <${Icon} name="stop" filled=${true} /><span class="tool-text">${time(elapsed)}</span></button>`;
}
