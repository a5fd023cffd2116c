/** The points of a map: what they are, where they are, and which are near or inside something. */

import { Fault, call, segmentsOf } from "./api.js";

const BYTES = 13; // of a point: an id of 8, x and y of 2 each, and the kind of its file
/** Coordinates of points as they are sent are from 0 to this. */
export const SIDE = 65_535;
const CELLS = 128;
const POLL_MS = 400;
/** The kinds of files, as they are numbered in the points. */
export const KIND_NAMES = ["text", "image", "audio", "video"];

const of = (modality) => (modality ? `modality=${modality}` : "");

/**
 * Load what a map shows until it is of a version of the index.
 *
 * @param tag of the points that are there.
 * @param show called with how far the map is; with what is known about it, when it is ready; and with new points.
 */
export async function loadMap(modality, version, tag, show, signal) {
  for (;;) {
    const about = await call(`/map?${of(modality)}`, { signal });
    if (about.state !== "ready") show({ progress: about.progress });
    else if (about.tag === tag) show({ about });
    else show({ about, points: await loadPoints(about.modality, signal), descriptions: new Descriptions() });
    // That of the version before is shown until there is a new one.
    if (about.state === "ready" && about.index_version >= version) return;
    tag = about.tag ?? tag;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    signal.throwIfAborted();
  }
}

async function loadPoints(modality, signal) {
  const response = await fetch(`/api/map/points?${of(modality)}`, { signal });
  if (!response.ok) throw new Fault("The map cannot be loaded.", "Try again.", response.status);
  return new Points(await response.arrayBuffer());
}

export const groupsOf = (modality, by, signal) =>
  call(`/map/groups?${of(modality)}&by=${encodeURIComponent(by)}`, { signal });
export const matchesOf = (modality, where, signal) =>
  call(`/map/matches?${of(modality)}&where=${encodeURIComponent(where)}`, { signal });

/** Segments as results, by id. What was asked for before is not asked for again. */
export class Descriptions {
  #known = new Map();

  get(id) {
    return this.#known.get(id);
  }

  async load(ids, signal) {
    const missing = ids.filter((id) => !this.#known.has(id));
    if (missing.length) {
      const { hits } = await segmentsOf(missing, signal);
      for (const hit of hits) if (hit) this.#known.set(hit.segment, hit);
    }
    return ids.map((id) => this.#known.get(id)).filter(Boolean);
  }
}

/** Points in the square from 0 to 1, with a grid over it for those that are near. */
export class Points {
  constructor(buffer) {
    const count = buffer.byteLength / BYTES;
    this.count = count;
    this.ids = Float64Array.from(new BigInt64Array(buffer, 0, count), Number);
    this.places = new Uint16Array(buffer, 8 * count, 2 * count);
    this.kinds = new Uint8Array(buffer, 12 * count, count);
    this.indexOf = new Map();
    this.ids.forEach((id, index) => this.indexOf.set(id, index));
    // Points by cell, of which each has the slice of `order` from its start to the next.
    this.starts = new Uint32Array(CELLS * CELLS + 1);
    const cells = new Uint16Array(count);
    for (let index = 0; index < count; index += 1) {
      cells[index] = cellOf(this.y(index)) * CELLS + cellOf(this.x(index));
      this.starts[cells[index] + 1] += 1;
    }
    for (let cell = 0; cell < CELLS * CELLS; cell += 1) this.starts[cell + 1] += this.starts[cell];
    const next = this.starts.slice();
    this.order = new Uint32Array(count);
    for (let index = 0; index < count; index += 1) this.order[next[cells[index]]++] = index;
  }

  x(index) {
    return this.places[2 * index] / SIDE;
  }

  y(index) {
    return this.places[2 * index + 1] / SIDE;
  }

  /** Call with each point in a box, until it returns true. */
  visit({ left, top, right, bottom }, see) {
    const first = cellOf(left), last = cellOf(right);
    for (let row = cellOf(top); row <= cellOf(bottom); row += 1) {
      const stop = this.starts[row * CELLS + last + 1];
      for (let at = this.starts[row * CELLS + first]; at < stop; at += 1) {
        const index = this.order[at], x = this.x(index), y = this.y(index);
        if (x >= left && x <= right && y >= top && y <= bottom && see(index)) return;
      }
    }
  }

  within(box) {
    const found = [];
    this.visit(box, (index) => void found.push(index));
    return found;
  }

  /** The nearest point within distances along both axes, or -1; only those that `counts` accepts. */
  nearest(x, y, reachX, reachY, counts = () => true) {
    let best = -1, least = 1;
    this.visit({ left: x - reachX, right: x + reachX, top: y - reachY, bottom: y + reachY }, (index) => {
      const distance = ((this.x(index) - x) / reachX) ** 2 + ((this.y(index) - y) / reachY) ** 2;
      if (distance <= least && counts(index)) [best, least] = [index, distance];
    });
    return best;
  }

  /** The nearest point in a direction ([1, 0] is to the right), or -1. `stretch` is width by height on the screen. */
  towards(from, [across, down], stretch, counts = () => true) {
    let best = -1, least = Infinity;
    for (let index = 0; index < this.count; index += 1) {
      const dx = (this.x(index) - this.x(from)) * stretch, dy = this.y(index) - this.y(from);
      const ahead = dx * across + dy * down, aside = Math.abs(dx * down) + Math.abs(dy * across);
      const cost = ahead + 2 * aside;
      if (ahead > 0 && aside <= ahead && cost < least && counts(index)) [best, least] = [index, cost];
    }
    return best;
  }

  /** The points inside of a polygon: [[x, y], ...]. */
  inside(polygon) {
    const xs = polygon.map(([x]) => x), ys = polygon.map(([, y]) => y);
    const box = { left: Math.min(...xs), right: Math.max(...xs), top: Math.min(...ys), bottom: Math.max(...ys) };
    return this.within(box).filter((index) => contains(polygon, this.x(index), this.y(index)));
  }
}

const cellOf = (share) => Math.max(0, Math.min(CELLS - 1, Math.floor(share * CELLS)));

function contains(polygon, x, y) {
  let inside = false;
  for (let at = 0, before = polygon.length - 1; at < polygon.length; before = at, at += 1) {
    const [ax, ay] = polygon[at], [bx, by] = polygon[before];
    if ((ay > y) !== (by > y) && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
  }
  return inside;
}
