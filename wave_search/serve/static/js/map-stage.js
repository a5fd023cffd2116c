/** The canvas of the map with what lies on it, and what pointer and keys do. Frames are not drawn by Preact. */

import { html, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import { announce } from "./announcer.js";
import { Icon } from "./elements.js";
import { KINDS, count, range } from "./format.js";
import { Pictures } from "./map-pictures.js";
import { DIM, createPlot } from "./map-plot.js";
import { View, ZOOM_STEP, listen } from "./map-pointer.js";

/** How many colours the style sheet has: of groups, then of the rest, and of points without a value. */
export const COLOURS = 13;
const REACH_PX = 14;
const PAN_PX = 80;
const PASSED_MS = 40;
const ARROWS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };

/**
 * The map: `paint` is the colour of each point, `flags` how it is shown, `free` those that can be selected, and
 * `opened` whether a file lies over it.
 */
export function Stage({ map, paint, flags, free, tool, setTool, select, selected, open, opened }) {
  const { points, descriptions, about } = map;
  const stage = useRef(null), canvas = useRef(null), layer = useRef(null), lasso = useRef(null), mark = useRef(null);
  const engine = useRef(null);
  const [pointed, setPointed] = useState(null); // {index, x, y}
  const latest = useRef({});
  latest.current = { tool, flags, free, selected, select, open, setPointed, setTool };

  useEffect(() => {
    const running = start({ stage, canvas, layer, lasso, mark, points, descriptions, latest });
    engine.current = running;
    return running.close;
  }, [points]);
  useEffect(() => engine.current.show(paint, flags), [points, paint, flags]);
  const covered = useRef(opened);
  useEffect(() => {
    if (covered.current && !opened) canvas.current.focus({ preventScroll: true });
    covered.current = opened;
  }, [opened]);

  const hit = useDescribed(descriptions, pointed && points.ids[pointed.index]);
  useEffect(() => {
    if (hit && pointed?.byKey) announce(`${hit.name} ${range(hit.start_s, hit.stop_s)}, ${KINDS[hit.kind]}`);
  }, [hit, pointed?.index]);
  const act = (name) => () => engine.current[name]();
  const tip = pointed && hit;
  return html`<div ref=${stage} class=${`map-stage map-${tool}`}>
    <canvas ref=${canvas} class="map-canvas" tabindex="0" role="application"
      aria-label=${`Map of ${count(about.points, "moment")}`} aria-describedby="map-keys"
      onKeyDown=${(event) => engine.current.key(event)}></canvas>
    <p id="map-keys" class="unseen">Arrow keys go to the next point in their direction, Enter opens it, Space adds it to
      the selection, plus and minus zoom, 0 shows everything, A selects what is in view, Escape ends the selection.</p>
    <div ref=${layer} class="map-pictures" aria-hidden="true"></div>
    <svg class="map-drawn" aria-hidden="true"><path ref=${lasso} /><circle ref=${mark} r="9" /></svg>
    ${tip && html`<div class="map-tip" aria-hidden="true" style=${tipPlace(pointed, stage.current)}>
      <strong>${hit.name}</strong><span>${placeOf(hit)}</span></div>`}
    <div class="map-tools" role="toolbar" aria-label="Map">
      <button type="button" class="tool" aria-pressed=${tool === "lasso"} aria-label="Lasso"
        title="Lasso: draw around points (or hold Shift)"
        onClick=${() => setTool(tool === "lasso" ? "move" : "lasso")}><${Icon} name="lasso" /></button>
      <button type="button" class="tool" aria-label="Select what is in view" title="Select what is in view (a)"
        onClick=${act("selectAll")}><${Icon} name="inView" /></button>
      <button type="button" class="tool" aria-label="Zoom in" title="Zoom in (+)" onClick=${act("zoomIn")}><${Icon}
        name="plus" /></button>
      <button type="button" class="tool" aria-label="Zoom out" title="Zoom out (-)" onClick=${act("zoomOut")}><${Icon}
        name="minus" /></button>
      <button type="button" class="tool" aria-label="Show everything" title="Show everything (0)"
        onClick=${act("fit")}><${Icon} name="full" /></button>
    </div>
  </div>`;
}

const placeOf = (hit) =>
  [range(hit.start_s, hit.stop_s), hit.folder.split("/").slice(-2).join("/")].filter(Boolean).join(" · ");

function tipPlace({ x, y }, stage) {
  const right = x > stage.clientWidth / 2, low = y > stage.clientHeight - 80;
  const moved = `translate(${right ? x - 14 : x + 14}px, ${low ? y - 60 : y + 14}px)`;
  return { transform: right ? `${moved} translateX(-100%)` : moved };
}

/** A segment as a result, a moment after it was asked for: what the pointer only passes is not asked for. */
function useDescribed(descriptions, id) {
  const [hit, setHit] = useState(null);
  useEffect(() => {
    const known = id == null ? null : descriptions.get(id);
    setHit(known ?? null);
    if (id == null || known) return undefined;
    const abort = new AbortController();
    const load = () => descriptions.load([id], abort.signal).then(([found]) => setHit(found ?? null), () => {});
    const timer = setTimeout(load, PASSED_MS);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [descriptions, id]);
  return hit;
}

/** Draw and listen; returns what the buttons and keys do, and `close`. */
function start({ stage, canvas, layer, lasso, mark, points, descriptions, latest }) {
  const view = new View(), pictures = new Pictures(layer.current, points, descriptions);
  const counts = (index) => latest.current.flags[index] !== DIM;
  let width = 1, height = 1, ratio = 1, asked = 0, current = -1;
  const draw = () => {
    asked = 0;
    plot.draw(view, width, height, ratio);
    pictures.follow(view, width, height, counts);
    drawMark();
  };
  const redraw = () => {
    asked ||= requestAnimationFrame(draw);
  };
  const plot = createPlot(canvas.current, redraw);
  stage.current.dataset.drawn = plot.kind;
  plot.setPoints(points);
  const recolour = () => {
    plot.setColours(coloursOf(stage.current));
    redraw();
  };
  const screen = (index) => {
    const { scaleX, scaleY, left, top } = view.box(width, height);
    return [points.x(index) * scaleX + left, points.y(index) * scaleY + top];
  };
  const drawMark = () => {
    mark.current.style.display = current < 0 ? "none" : "";
    if (current < 0) return;
    const [x, y] = screen(current);
    mark.current.setAttribute("cx", x);
    mark.current.setAttribute("cy", y);
  };
  const point = (index, byKey = false) => {
    current = index;
    const [x, y] = index < 0 ? [] : screen(index);
    latest.current.setPointed(index < 0 ? null : { index, x, y, byKey });
    drawMark();
  };
  const nearest = (px, py) => {
    const { scaleX, scaleY } = view.box(width, height), place = view.place(px, py, width, height);
    const at = (accepts) => points.nearest(...place, REACH_PX / scaleX, REACH_PX / scaleY, accepts);
    const bright = at(counts);
    return bright < 0 ? at(() => true) : bright;
  };
  const resized = new ResizeObserver(() => {
    if (!stage.current.clientWidth) return; // hidden behind a file
    width = stage.current.clientWidth;
    height = stage.current.clientHeight;
    ratio = Math.min(devicePixelRatio, 2);
    canvas.current.width = width * ratio;
    canvas.current.height = height * ratio;
    cancelAnimationFrame(asked);
    draw();
  });
  resized.observe(stage.current);
  const zoom = (factor, px = width / 2, py = height / 2) => {
    view.zoomAt(factor, px, py, width, height);
    if (current >= 0) point(current);
    redraw();
  };
  const ended = listen(canvas.current, {
    isLasso: (event) => latest.current.tool === "lasso" || event.shiftKey,
    pan(dx, dy) {
      point(-1);
      view.pan(dx, dy, width, height);
      redraw();
    },
    zoom(factor, px, py) {
      point(-1);
      zoom(factor, px, py);
    },
    point: (px, py) => {
      const index = nearest(px, py);
      if (index !== current) point(index);
    },
    leave: () => point(-1),
    click(px, py) {
      const index = nearest(px, py);
      if (index >= 0) latest.current.open(index);
      else if (latest.current.selected.length) latest.current.select([]);
    },
    lasso(path, done) {
      point(-1);
      lasso.current.setAttribute("d", done || path.length < 2 ? "" : `M${path.map((at) => at.join(" ")).join("L")}Z`);
      if (!done || path.length < 3) return;
      latest.current.select(points.inside(path.map(([x, y]) => view.place(x, y, width, height))).filter(isFree));
      latest.current.setTool("move");
    },
  });
  const isFree = (index) => latest.current.free[index] !== DIM;
  const selectAll = () => latest.current.select(points.within(view.shown(width, height)).filter(isFree));
  const step = (direction) => {
    const next = current < 0
      ? points.nearest(view.x, view.y, 1, 1, counts)
      : points.towards(current, direction, width / height, counts);
    if (next < 0) return;
    const [x, y] = screen(next);
    if (x < PAN_PX || y < PAN_PX || x > width - PAN_PX || y > height - PAN_PX) {
      view.centre(points.x(next), points.y(next));
      redraw();
    }
    point(next, true);
  };
  const toggle = () => {
    const { selected, select } = latest.current;
    select(selected.includes(current) ? selected.filter((each) => each !== current) : [...selected, current]);
  };
  const fit = () => {
    view.fit();
    point(-1);
    redraw();
  };
  const keys = {
    "+": () => zoom(ZOOM_STEP), "=": () => zoom(ZOOM_STEP), "-": () => zoom(1 / ZOOM_STEP), 0: fit, a: selectAll,
    Enter: () => current >= 0 && latest.current.open(current), " ": () => current >= 0 && toggle(),
  };
  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", recolour);
  const themes = new MutationObserver(recolour);
  themes.observe(document.documentElement, { attributeFilter: ["data-theme"] });
  recolour();
  return {
    show(paint, flags) {
      plot.setLooks(paint, flags);
      redraw();
    },
    zoomIn: keys["+"], zoomOut: keys["-"], fit, selectAll,
    key(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key in ARROWS) step(ARROWS[event.key]);
      else if (event.key in keys) keys[event.key]();
      else if (event.key === "Escape" && latest.current.selected.length) {
        latest.current.select([]);
        event.stopPropagation(); // the next one leaves the map
      }
      else return;
      event.preventDefault();
    },
    close() {
      cancelAnimationFrame(asked);
      ended();
      pictures.close();
      resized.disconnect();
      themes.disconnect();
      dark.removeEventListener("change", recolour);
    },
  };
}

/** The colours of the style sheet, as numbers. */
function coloursOf(parent) {
  const probe = document.createElement("span");
  parent.append(probe);
  const colours = Array.from({ length: COLOURS }, (_, code) => {
    probe.className = `map-c${code}`;
    return getComputedStyle(probe).color.match(/\d+/g).slice(0, 3).map(Number);
  });
  probe.remove();
  return colours;
}
