/** The page: one query, read from the address; its results; and, on top of them, the view of one file. */

import { html, render, useCallback, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import * as api from "./api.js";
import { Announcer, announce } from "./announcer.js";
import { BasketButton, openBasket } from "./basket.js";
import { Controls } from "./controls.js";
import { Icon, Problem, plain } from "./elements.js";
import { count, time } from "./format.js";
import { Help } from "./help.js";
import { Lazy } from "./lazy.js";
import { EMPTY, newTerm, readAddress, writeAddress } from "./query.js";
import { Results } from "./results.js";
import { SearchBox } from "./search-box.js";
import { uploadTerm } from "./uploads.js";

/** Keeps the place of a view that is not loaded yet. */
const WAITING = html`<div class="view-waiting"></div>`;
/** How often to look for a new version of the index. */
const FOLLOW_MS = 5000;
const THEMES = ["auto", "light", "dark"];

function App() {
  const [query, setQuery] = useState(() => readAddress(location.search));
  const [library, setLibrary] = useState(null);
  const [fault, setFault] = useState(null);
  const [hits, setHits] = useState([]);
  const box = useRef(null);
  const help = useRef(null);
  const [saved, setSaved] = useState(false);
  const [basket, setBasket] = useState(false);
  const shown = useRef(query);

  const show = useCallback((changed) => {
    shown.current = changed;
    setQuery(changed);
  }, []);
  const navigate = useCallback((patch, { replace = false } = {}) => {
    const old = shown.current;
    // A search leads to its results, but the map shows it as well.
    const left = patch.file === null && old.view !== "map" ? { view: "" } : {};
    const changed = { ...old, ...left, ...patch }, address = writeAddress(changed);
    if (replace) history.replaceState(history.state, "", address);
    else if (address !== writeAddress(old)) {
      history.pushState({ overResults: old.file === null && changed.file !== null }, "", address);
    }
    show(changed);
  }, [show]);
  // A file that was opened from the results is left by going back, so that "forward" opens it again.
  const close = useCallback(() => {
    if (history.state?.overResults) history.back();
    else navigate({ file: null, at: null });
  }, [navigate]);

  const openIndex = () => navigate({ view: "index", file: null, at: null });

  useEffect(() => {
    const onPop = () => show(readAddress(location.search));
    addEventListener("popstate", onPop);
    return () => removeEventListener("popstate", onPop);
  }, [show]);

  const load = useCallback(() => {
    setFault(null);
    api.library().then((found) => {
      openBasket(found.path);
      setLibrary(found);
    }, setFault);
  }, []);
  useEffect(load, [load]);
  const known = library?.index_version;
  useEffect(() => {
    const follow = async () => {
      if (document.hidden || known === undefined || (await api.version()) === known) return;
      setLibrary(await api.library());
    };
    const timer = setInterval(() => follow().catch(() => {}), FOLLOW_MS); // a search says what is wrong
    return () => clearInterval(timer);
  }, [known]);

  useEffect(() => {
    const words = [...query.terms.map((term) => term.text ?? term.name), query.text].filter(Boolean).join(", ");
    document.title = words ? `${words} · wave-search` : "wave-search";
  }, [query]);

  useEffect(() => {
    const onKey = (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.target.closest("input, textarea, select, dialog")) return;
      if (event.key === "/") box.current?.focus();
      else if (event.key === "?") help.current?.showModal();
      else if (event.key === "i") openIndex();
      else if (event.key === "Escape" && query.file != null) close();
      else if (event.key === "Escape" && query.view) navigate({ view: "" });
      else return;
      event.preventDefault();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, [query.file, query.view, close]);

  const addFiles = useCallback((files) => {
    try {
      const added = [...files].map(uploadTerm);
      if (!added.length) return;
      navigate({ terms: [...shown.current.terms, ...added], file: null, at: null });
      scrollTo(0, 0);
      announce(`Searching by ${added.map((term) => term.name).join(", ")}`);
    } catch (error) {
      announce(error.message, { shown: true });
    }
  }, [navigate]);
  const dropping = useDrop(addFiles);

  const likeSegment = useCallback((segment, name, modality, target = "any") => {
    navigate({
      ...EMPTY, target,
      terms: [newTerm("segment", { key: segment, name, ...(modality && { modality }) })],
    });
    scrollTo(0, 0);
    announce(`Searching for more like ${name}`);
  }, [navigate]);

  return html`
    <a class="skip" href="#main">Skip to the results</a>
    <header class="top">
      <h1 class="brand"><a href="./" onClick=${(event) => plain(event) && navigate({ ...EMPTY })}>
        <${Icon} name="audio" /><span>wave-search</span>
      </a></h1>
      <${SearchBox} query=${query} navigate=${navigate} addFiles=${addFiles} input=${box} />
      <div class="top-tools">
        <button class="tool" type="button" aria-label="Saved searches" title="Saved searches" disabled=${!library}
          onClick=${() => setSaved(true)}><${Icon} name="saved" /></button>
        <${BasketButton} open=${() => setBasket(true)} />
        <a class="tool" href="?view=index" aria-label="Folders of the index" title="Folders of the index (i)"
          onClick=${(event) => plain(event) && openIndex()}><${Icon} name="folder" /></a>
        <${MapLink} query=${query} navigate=${navigate} />
        <${ThemeSwitch} />
        <button class="tool" type="button" aria-label="Keyboard and help" title="Keyboard and help (?)"
          onClick=${() => help.current.showModal()}><${Icon} name="help" /></button>
      </div>
    </header>
    <main id="main" tabindex="-1">
      ${fault && html`<${Problem} fault=${fault} retry=${load} />`}
      ${library && html`
        <div hidden=${query.file != null || !["", "map"].includes(query.view)}>
          <${Controls} query=${query} library=${library} navigate=${navigate} />
          ${query.view === "map" ? html`<${Lazy} name="map-view" query=${query} library=${library}
            navigate=${navigate} onHits=${setHits} />` : html`<${Results} query=${query} library=${library}
            navigate=${navigate} likeSegment=${likeSegment} onHits=${setHits} box=${box} reload=${load} />`}
        </div>
        ${query.file == null && query.view === "duplicates" && html`<${Lazy} name="duplicates" waiting=${WAITING}
          query=${query} library=${library} navigate=${navigate} close=${() => navigate({ view: "" })} />`}
        ${query.file != null && html`<${Lazy} name="file-view" waiting=${WAITING} key=${query.file} query=${query}
          library=${library} hits=${hits} navigate=${navigate} close=${close} likeSegment=${likeSegment}
          reload=${load} />`}
        ${query.file == null && query.view === "index" && html`<${Lazy} name="index-view" waiting=${WAITING}
          reload=${load} close=${() => navigate({ view: "" })} />`}
      `}
      ${!library && !fault && html`<p class="opening">Opening the library …</p>`}
    </main>
    ${library && html`<footer class="foot">
      <span>${count(Object.values(library.files).reduce((sum, files) => sum + files, 0), "file")},
        ${" "}${time(library.duration_s)} of sound and video</span>
      <span class="foot-path">${library.path}</span>
      <span>${library.model.name}</span>
    </footer>`}
    <${Help} dialog=${help} />
    ${saved && html`<${Lazy} name="saved-view" query=${query} library=${library} navigate=${navigate}
      close=${() => setSaved(false)} />`}
    ${basket && html`<${Lazy} name="basket-view" close=${() => setBasket(false)}
      openFile=${(item) => navigate({ file: item.segment, at: item.start })} />`}
    <${Announcer} />
    ${dropping && html`<div class="drop" aria-hidden="true"><p>Drop to search by it</p></div>`}
  `;
}

function MapLink({ query, navigate }) {
  const on = query.view === "map", patch = { view: on ? "" : "map", file: null, at: null };
  return html`<a class="tool" href=${writeAddress({ ...query, ...patch })} aria-current=${on ? "page" : undefined}
    aria-label="Map" title=${on ? "Back to the results" : "Map of the library"}
    onClick=${(event) => plain(event) && navigate(patch)}><${Icon} name="map" /></a>`;
}

function ThemeSwitch() {
  const [theme, setTheme] = useState(() => document.documentElement.dataset.theme ?? "auto");
  const change = () => {
    const chosen = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    if (chosen === "auto") {
      delete document.documentElement.dataset.theme;
      localStorage.removeItem("theme");
    } else {
      document.documentElement.dataset.theme = chosen;
      localStorage.setItem("theme", chosen);
    }
    setTheme(chosen);
  };
  return html`<button class="tool" type="button" onClick=${change} title=${`Colours: ${theme}`}
    aria-label=${`Colours: ${theme}. Change`}><${Icon} name="theme" /></button>`;
}

/** Files that are dropped anywhere, or pasted, become terms. Returns whether one is being dragged. */
function useDrop(addFiles) {
  const [dropping, setDropping] = useState(false);
  useEffect(() => {
    const carriesFiles = (event) => [...event.dataTransfer.types].includes("Files");
    const onDrag = (event) => {
      if (!carriesFiles(event)) return;
      event.preventDefault();
      setDropping(true);
    };
    const onLeave = (event) => event.relatedTarget === null && setDropping(false);
    const onDrop = (event) => {
      if (!carriesFiles(event)) return;
      event.preventDefault();
      setDropping(false);
      addFiles(event.dataTransfer.files);
    };
    const onPaste = (event) => {
      if (event.clipboardData.files.length) {
        event.preventDefault();
        addFiles(event.clipboardData.files);
      }
    };
    const listeners = { dragenter: onDrag, dragover: onDrag, dragleave: onLeave, drop: onDrop, paste: onPaste };
    for (const [name, listener] of Object.entries(listeners)) addEventListener(name, listener);
    return () => {
      for (const [name, listener] of Object.entries(listeners)) removeEventListener(name, listener);
    };
  }, [addFiles]);
  return dropping;
}

render(html`<${App} />`, document.getElementById("app"));
