/** The basket: its clips in order, their ranges, and their export. */

import { html, useEffect, useLayoutEffect, useRef, useState } from "../vendor/preact-htm.js";
import { download, segmentsOf, thumbUrl } from "./api.js";
import { Announcer, announce } from "./announcer.js";
import { setBasket, useBasket } from "./basket.js";
import { TimeField } from "./clip.js";
import { Icon } from "./elements.js";
import { count, size, time } from "./format.js";

const FORMATS = {
  zip: "Clips, in a ZIP file", m3u8: "Playlist (M3U8)", otio: "OpenTimelineIO", edl: "EDL (CMX 3600)",
  fcpxml: "Final Cut Pro XML", csv: "Table (CSV)", jsonl: "JSON Lines",
};

export function View({ close, openFile }) {
  const items = useBasket();
  const gone = useGone(items);
  const [before, setBefore] = useState(null);
  const dialog = useRef(null), list = useRef(null), dragged = useRef(null), focused = useRef(null);
  useLayoutEffect(() => dialog.current.showModal(), []);
  // After a move, the focus is on the same button of the same clip.
  useLayoutEffect(() => {
    if (!focused.current) return;
    const { index, part } = focused.current;
    const row = list.current?.children[Math.min(index, items.length - 1)];
    const buttons = [...row?.querySelectorAll(`[data-part=${part}], [data-part=remove]`) ?? []];
    (buttons.find((button) => !button.disabled) ?? dialog.current).focus();
    focused.current = null;
  }, [items]);

  const change = (index, changed) =>
    setBasket(items.map((item, at) => (at === index ? { ...item, ...changed } : item)));
  const move = (from, to, part) => {
    if (to < 0 || to >= items.length || from === to) return;
    const moved = [...items];
    moved.splice(to, 0, ...moved.splice(from, 1));
    if (part) focused.current = { index: to, part };
    setBasket(moved);
    announce(`${items[from].name} is now ${to + 1} of ${items.length}`);
  };
  const take = (left, what) => {
    setBefore(items);
    setBasket(left);
    announce(`${what} taken out of the basket`);
  };
  const undo = () => {
    setBasket(before);
    setBefore(null);
    announce("The basket is as it was");
  };
  const total = items.reduce((sum, { start, stop }) => sum + (start == null ? 0 : stop - start), 0);
  return html`<dialog ref=${dialog} class="basket" aria-labelledby="basket-title" tabindex="-1" onClose=${close}
    onClick=${(event) => event.target === dialog.current && dialog.current.close()}>
    <div class="basket-body">
      <div class="basket-head"><h2 id="basket-title">Basket</h2>
        <span class="muted">${items.length > 0 && `${count(items.length, "clip")}, ${time(total, 1)}`}</span>
        <button type="button" class="tool" aria-label="Close" onClick=${() => dialog.current.close()}><${Icon}
          name="close" /></button></div>
      ${!items.length && html`<p class="muted">Nothing is in it. Press <kbd>b</kbd> on a result, or its button with the
        basket; in the view of a file, the moment or the trimmed clip is added.</p>`}
      <ol ref=${list} class="basket-list">
        ${items.map((item, index) => html`<${Entry} key=${item.id} item=${item}
          index=${index} last=${index === items.length - 1} gone=${gone?.has(item.segment)} dragged=${dragged}
          change=${(changed) => change(index, changed)} move=${move}
          remove=${() => {
            focused.current = { index, part: "remove" };
            take(items.filter((_, at) => at !== index), item.name);
          }}
          open=${() => { dialog.current.close(); openFile(item); }} />`)}
      </ol>
      <div class="basket-foot">
        ${items.length > 0 && html`<${Export} items=${items.filter((item) => !gone?.has(item.segment))} />`}
        <div class="basket-actions">
          ${items.length > 0 && html`<button type="button" class="button button-quiet"
            onClick=${() => take([], "Everything")}>Empty the basket</button>`}
          ${before && html`<button type="button" class="button" onClick=${undo}>Undo</button>`}
        </div>
      </div>
    </div>
    <${Announcer} />
  </dialog>`;
}

/**
 * The segments that are not in the index any more, or are of another file, as after it was made anew; null until
 * that is known.
 */
function useGone(items) {
  const [gone, setGone] = useState(null);
  useEffect(() => {
    const segments = items.map((item) => item.segment);
    segmentsOf(segments).then(({ hits }) => setGone(new Set(
      segments.filter((_, index) => !hits[index] || hits[index].gone || hits[index].path !== items[index].path),
    )), () => {});
  }, []);
  return gone;
}

function Entry({ item, index, last, gone, dragged, change, move, remove, open }) {
  const [over, setOver] = useState(false);
  const ranged = item.start != null && item.duration > 0;
  const set = (part) => (value) => {
    const changed = { start: item.start, stop: item.stop, [part]: Math.min(value, item.duration) };
    if (changed.start < changed.stop) change(changed);
    else announce("A clip has to begin before it ends.", { shown: true });
  };
  const onKey = (event) => {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!step || !event.altKey) return;
    event.preventDefault();
    move(index, index + step, "name");
  };
  return html`<li class=${`basket-entry${gone ? " basket-gone" : ""}${over ? " basket-over" : ""}`} draggable="true"
    onKeyDown=${onKey}
    onDragStart=${(event) => {
      dragged.current = index;
      event.dataTransfer.effectAllowed = "move";
      event.dataTransfer.setData("text/plain", item.path);
    }}
    onDragOver=${(event) => { if (dragged.current !== null) { event.preventDefault(); setOver(true); } }}
    onDragLeave=${() => setOver(false)} onDragEnd=${() => { dragged.current = null; }}
    onDrop=${(event) => {
      event.preventDefault();
      setOver(false);
      if (dragged.current !== null) move(dragged.current, index);
      dragged.current = null;
    }}>
    <div class="basket-face"><${Face} item=${item} shown=${gone === false} /></div>
    <div class="basket-middle">
      <button type="button" class="basket-name" data-part="name" title=${`${item.path}\n(Alt ↑, Alt ↓ move it)`}
        onClick=${open}>${item.name}</button>
      ${gone && html`<span class="basket-mark">not in the library any more</span>`}
      ${ranged && html`<div class="basket-range"><${TimeField} label="From" value=${item.start}
        onChange=${set("start")} /><${TimeField} label="to" value=${item.stop} onChange=${set("stop")} /></div>`}
    </div>
    <div class="basket-tools">
      <button type="button" class="tool" data-part="up" disabled=${index === 0} aria-label=${`Move ${item.name} up`}
        onClick=${() => move(index, index - 1, "up")}><${Icon} name="up" /></button>
      <button type="button" class="tool" data-part="down" disabled=${last} aria-label=${`Move ${item.name} down`}
        onClick=${() => move(index, index + 1, "down")}><${Icon} name="down" /></button>
      <button type="button" class="tool" data-part="remove" aria-label=${`Take ${item.name} out`}
        onClick=${remove}><${Icon} name="close" /></button>
    </div>
  </li>`;
}

function Face({ item, shown }) {
  const [failed, setFailed] = useState(false);
  if (!shown || failed || !["video", "image"].includes(item.kind)) return html`<${Icon} name=${item.kind} />`;
  return html`<img src=${thumbUrl(item.segment, 160)} alt="" loading="lazy" draggable="false"
    onError=${() => setFailed(true)} />`;
}

function Export({ items }) {
  const [format, setFormat] = useState("zip");
  const [busy, setBusy] = useState(false);
  const save = async () => {
    setBusy(true);
    const chosen = items.map(({ segment, start, stop }) => ({ segment, start_s: start, stop_s: stop }));
    const body = JSON.stringify({ format, items: chosen, name: "basket" });
    const headers = { "Content-Type": "application/json" };
    try {
      const { name, bytes } = await download("/api/export", { method: "POST", body, headers });
      announce(`Saved ${name}, ${size(bytes)}`, { shown: true });
    } catch (fault) {
      announce(fault.text, { shown: true });
    }
    setBusy(false);
  };
  return html`<div class="basket-export">
    <label><span class="unseen">Save as</span><select value=${format}
      onChange=${(event) => setFormat(event.target.value)}>
      ${Object.entries(FORMATS).map(([name, text]) => html`<option key=${name} value=${name}>${text}</option>`)}
    </select></label>
    <button type="button" class="button button-strong" disabled=${busy || !items.length} onClick=${save}><${Icon}
      name="save" />${busy ? "Writing …" : "Save"}</button>
  </div>`;
}
