/** The folders of the index: what they hold, a run that brings them up to date, and what could not be used. */

import { html, useCallback, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import { call } from "./api.js";
import { Icon, Problem } from "./elements.js";
import { count } from "./format.js";
import { Run, useRun } from "./index-run.js";
import { SkippedGroups } from "./index-skipped.js";

export function View({ reload, close }) {
  const [index, setIndex] = useState(null);
  const [skipped, setSkipped] = useState([]);
  const [fault, setFault] = useState(null);
  const [typed, setTyped] = useState(null);
  const [retry, setRetry] = useState(false);
  const title = useRef(null);
  const load = useCallback(() => {
    setFault(null);
    Promise.all([call("/index"), call("/index/skipped")]).then(([folders, { groups }]) => {
      setIndex(folders);
      setSkipped(groups);
    }, setFault);
  }, []);
  const ended = useCallback(() => {
    load();
    reload();
  }, [load, reload]);
  const run = useRun(ended);
  const start = (paths, isNew = false) => {
    const globs = typed ?? (isNew ? leftOut(index.folders) : null);
    run.start({ paths, retry, exclude: globs?.split(",").map((glob) => glob.trim()).filter(Boolean) });
    setTyped(null);
  };
  useEffect(load, [load]);
  useEffect(() => title.current.focus({ preventScroll: true }), []);
  return html`<section class="indexing">
    <div class="indexing-head">
      <button type="button" class="button button-quiet" onClick=${close}><${Icon} name="back" />Library</button>
      <h2 ref=${title} tabindex="-1">Folders of the index</h2>
    </div>
    ${fault && html`<${Problem} fault=${fault} retry=${load} />`}
    <${Run} run=${run} />
    ${index && html`<section class="indexing-part" aria-labelledby="folders-title">
      <h3 id="folders-title">Folders</h3>
      <div class="indexing-options">
        <label><span>Leave out</span><input type="text" value=${typed ?? leftOut(index.folders)}
          placeholder="*.tmp.mp4, drafts/*" spellcheck="false" autocomplete="off"
          onInput=${(event) => setTyped(event.target.value)} /></label>
        <label class="indexing-check"><input type="checkbox" checked=${retry}
          onChange=${(event) => setRetry(event.target.checked)} /><span>Retry files that were not used</span></label>
        ${index.folders.length > 0 && html`<button type="button" class="button button-strong" disabled=${run.active}
          onClick=${() => start(null)}>Index all folders again</button>`}
      </div>
      <${Folders} folders=${index.folders} active=${run.active} start=${start} />
      <${Add} allowed=${index.allowed} active=${run.active} start=${start} />
    </section>`}
    ${skipped.length > 0 && html`<section class="indexing-part" aria-labelledby="skipped-title">
      <h3 id="skipped-title">Not used, or only in part</h3>
      <${SkippedGroups} groups=${skipped} />
    </section>`}
  </section>`;
}

/** The patterns that the index remembers for its folders. */
function leftOut(folders) {
  return [...new Set(folders.flatMap((folder) => folder.exclude))].join(", ");
}

function Folders({ folders, active, start }) {
  if (!folders.length) return null;
  return html`<ul class="folders">${folders.map((folder) => html`<li key=${folder.path} class="folder">
    <span class="folder-path">${folder.path}</span>
    <span class="muted">${count(folder.files, "file")}${folder.skipped > 0 && `, ${folder.skipped} not used`}${
      folder.exclude.length > 0 && `, without ${folder.exclude.join(", ")}`}</span>
    <button type="button" class="button" disabled=${active} onClick=${() => start([folder.path])}>Index again<span
      class="unseen"> ${folder.path}</span></button>
  </li>`)}</ul>`;
}

/** A folder or file that is not in the index yet, where the server allows that. */
function Add({ allowed, active, start }) {
  const [path, setPath] = useState("");
  if (allowed?.length === 0) {
    return html`<p class="muted">Other folders are added with <code>wave-search index</code>, or here if the server is
      started with <code>--allow-index</code>.</p>`;
  }
  const add = (event) => {
    event.preventDefault();
    if (active || !path.trim()) return;
    start([path.trim()], true);
    setPath("");
  };
  return html`<form class="indexing-add" onSubmit=${add}>
    <label><span>Another folder or file${allowed && ` in ${allowed.join(", ")}`}</span><input type="text" value=${path}
      placeholder=${allowed?.[0] ?? "/home/me/Videos"} spellcheck="false" autocomplete="off"
      onInput=${(event) => setPath(event.target.value)} /></label>
    <button class="button" disabled=${active || !path.trim()}><${Icon} name="plus" />Add to the index</button>
  </form>`;
}
