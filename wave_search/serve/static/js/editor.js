/** The editor of a file's tags and own columns, and of the tags of all results. Changes can be undone. */

import { html, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import { announce } from "./announcer.js";
import { call } from "./api.js";
import { Icon } from "./elements.js";
import { count } from "./format.js";

const TAGS = "tags";
const json = (method, body) => ({
  method, body: JSON.stringify(body), headers: { "Content-Type": "application/json" },
});

const editMetadata = (edits) => call("/metadata", json("POST", { edits }));
const undoEdit = (undo) => call("/metadata/undo", json("POST", { undo }));

/** @param hits makes it a dialog that tags them all. */
export const View = ({ hits, ...properties }) => (hits
  ? html`<${TagAll} hits=${hits} ...${properties} />` : html`<${Editor} ...${properties} />`);

function Editor({ hit, file, library, reload, onColumns }) {
  const [open, setOpen] = useState(false);
  const [undo, setUndo] = useState(null);
  const [running, setRunning] = useState(0);
  const [fault, setFault] = useState(null);
  const own = library.columns.filter(({ name }) => name !== TAGS);
  const lists = [TAGS, ...own.filter(({ type }) => type === "texts").map(({ name }) => name)];
  const singles = own.filter(({ type }) => type !== "texts");

  const run = async (work, done) => {
    setFault(null);
    setRunning((edits) => edits + 1);
    try {
      const answer = await work();
      setUndo(answer.undo);
      onColumns((await call(`/segments/${hit.segment}`)).file.columns);
      reload();
      announce(done);
    } catch (error) {
      setFault(error);
      throw error;
    } finally {
      setRunning((edits) => edits - 1);
    }
  };
  const edit = (change, done) => run(() => editMetadata([{ segments: [hit.segment], ...change }]), done);
  return html`<section class="editor" aria-label="Tags and columns">
    <div class="editor-head"><h3>Tags</h3>
      ${undo && html`<button type="button" class="button button-quiet" aria-disabled=${running > 0}
        onClick=${() => running || run(() => undoEdit(undo), "The change is undone").catch(() => {})}>
        <${Icon} name="undo" />Undo</button>`}</div>
    ${lists.map((name) => html`<${Tags} key=${name} name=${name} tags=${file.columns[name] ?? []}
      titled=${name !== TAGS} known=${library.columns.some((column) => column.name === name)} edit=${edit} />`)}
    ${fault && html`<p class="editor-fault" role="alert">${fault.text}</p>`}
    <div><button type="button" class="button button-quiet" aria-expanded=${open} aria-controls="editor-columns"
      onClick=${() => setOpen(!open)}><${Icon} name="settings" />Edit columns</button></div>
    ${open && html`<div id="editor-columns" class="editor-columns">
      ${singles.map((column) => html`<${Column} key=${column.name} column=${column}
        value=${file.columns[column.name] ?? null} edit=${edit} />`)}
      <${NewColumn} edit=${edit} /></div>`}
  </section>`;
}

/** Chips, and a field that completes the tags that other files have. */
function Tags({ name, tags: stored, titled, known, edit }) {
  const [going, setGoing] = useState([]);
  const tags = stored.filter((tag) => !going.includes(tag));
  const [draft, setDraft] = useState("");
  const [others, setOthers] = useState([]);
  const input = useRef(null), id = `known-${name}`;
  const ask = () => known && call(`/metadata/values?column=${encodeURIComponent(name)}`)
    .then(({ values }) => setOthers(values), () => {});
  const add = () => {
    const tag = draft.trim();
    if (tag) edit({ add: { [name]: [tag] } }, `${tag} added`).then(() => setDraft(""), () => {});
  };
  const remove = (tag) => {
    input.current.focus();
    setGoing((known) => [...known, tag]);
    edit({ remove: { [name]: [tag] } }, `${tag} removed`).catch(() => {})
      .finally(() => setGoing((known) => known.filter((one) => one !== tag)));
  };
  const onKey = (event) => {
    if (event.key === "Enter") add();
    else if (event.key === "Escape" && draft) setDraft("");
    else if (event.key === "Backspace" && !draft && tags.length) remove(tags.at(-1));
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return html`<div class="field">
    ${titled && html`<span aria-hidden="true">${name}</span>`}
    <div class="tags" role="group" aria-label=${titled ? name : "Tags"}>
      ${tags.map((tag) => html`<span key=${tag} class="chip"><span class="chip-text">${tag}</span>
        <button type="button" class="chip-remove" aria-label=${`Remove ${tag}`} onClick=${() => remove(tag)}>
          <${Icon} name="close" /></button></span>`)}
      <input ref=${input} type="text" value=${draft} list=${id} maxlength="200" autocomplete="off"
        aria-label=${titled ? `Add to ${name}` : "Add a tag"} placeholder="Add …" enterkeyhint="done" onFocus=${ask}
        onInput=${(event) => setDraft(event.target.value)} onKeyDown=${onKey} />
      <datalist id=${id}>${others.filter((tag) => !tags.includes(tag)).map((tag) => html`<option key=${tag}
        value=${tag} />`)}</datalist>
    </div></div>`;
}

function TagAll({ hits, library, reload, close }) {
  const [chosen] = useState(hits);
  const [done, setDone] = useState(null);
  const [fault, setFault] = useState(null);
  const dialog = useRef(null);
  useEffect(() => dialog.current.showModal(), []);
  const run = async (work, words) => {
    setFault(null);
    try {
      const { files, undo } = await work();
      setDone({ undo, text: `${words} ${count(files, "file")}.` });
      reload();
    } catch (error) {
      setFault(error);
      throw error;
    }
  };
  const segments = [...new Set(chosen.map(({ segment }) => segment))];
  const edit = ({ add }) => run(() => editMetadata([{ segments, add }]), `“${add[TAGS][0]}” added to`);
  return html`<dialog ref=${dialog} class="help" aria-labelledby="tag-all" onClose=${close}><div class="help-body">
    <div class="help-head"><h2 id="tag-all">Tag ${count(chosen.length, "result")}</h2>
      <button type="button" class="tool" aria-label="Close" onClick=${() => dialog.current.close()}><${Icon}
        name="close" /></button></div>
    <p>The files of all results that are shown get the tag, with their copies.</p>
    <${Tags} name=${TAGS} tags=${[]} known=${library.columns.some(({ name }) => name === TAGS)} edit=${edit} />
    ${fault && html`<p class="editor-fault" role="alert">${fault.text}</p>`}
    ${done && html`<div class="editor-head" role="status"><span>${done.text}</span>
      ${done.undo && html`<button type="button" class="button button-quiet"
        onClick=${() => run(() => undoEdit(done.undo), "Undone for").catch(() => {})}><${Icon} name="undo" />Undo
        </button>`}</div>`}
  </div></dialog>`;
}

const TYPES = { number: "number", timestamp: "datetime-local", text: "text" };

function Column({ column: { name, type }, value, edit }) {
  const input = useRef(null);
  const shown = value === null ? "" : String(value).slice(0, type === "timestamp" ? 19 : undefined);
  // What does not fit is put back, with the reason shown.
  const set = (given) => edit({ set: { [name]: given } }, `${name} saved`).catch(() => {
    if (input.current) input.current.value = shown;
  });
  useEffect(() => {
    if (input.current) input.current.value = shown;
  }, [shown]);
  if (type === "bool") {
    return html`<label class="field"><span>${name}</span>
      <select ref=${input} onChange=${(event) => set(event.target.value || null)}>
        <option value="">not known</option><option value="true">yes</option><option value="false">no</option>
      </select></label>`;
  }
  return html`<label class="field"><span>${name}</span>
    <input ref=${input} type=${TYPES[type]} step=${type === "timestamp" ? 1 : "any"} defaultValue=${shown}
      onChange=${(event) => set(event.target.value || null)} /></label>`;
}

function NewColumn({ edit }) {
  const [name, setName] = useState(""), [value, setValue] = useState("");
  const add = (event) => {
    event.preventDefault();
    if (!name.trim() || !value.trim()) return;
    edit({ set: { [name.trim()]: value } }, `${name.trim()} added`).then(() => { setName(""); setValue(""); }, () => {});
  };
  return html`<form class="editor-new" onSubmit=${add}>
    <label class="field"><span>New column</span><input type="text" value=${name} maxlength="200" autocomplete="off"
      onInput=${(event) => setName(event.target.value)} /></label>
    <label class="field"><span>Its value</span><input type="text" value=${value} autocomplete="off"
      onInput=${(event) => setValue(event.target.value)} /></label>
    <button type="submit" class="tool" aria-label="Add the column"><${Icon} name="plus" /></button></form>`;
}
