/** Pictures and names of some of the points that are shown, once one is near enough: none covers another. */

import { thumbUrl } from "./api.js";
import { KIND_NAMES } from "./map-points.js";

const MOST = 60;
const FROM_ZOOM = 3;
const FEW = 40;
const WIDTH = 104, HEIGHT = 68, GAP = 10;
const SETTLE_MS = 120;

export class Pictures {
  #shown = new Map(); // index of a point -> its element
  #timer = 0;

  constructor(layer, points, descriptions) {
    this.layer = layer;
    this.points = points;
    this.descriptions = descriptions;
  }

  /** Move what is there with the map, and choose anew when it rests. */
  follow(view, width, height, counts) {
    this.#place(view, width, height);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#choose(view, width, height, counts), SETTLE_MS);
  }

  close() {
    clearTimeout(this.#timer);
    this.layer.replaceChildren();
  }

  #place(view, width, height) {
    const { scaleX, scaleY, left, top } = view.box(width, height);
    for (const [index, element] of this.#shown) {
      const x = this.points.x(index) * scaleX + left, y = this.points.y(index) * scaleY + top;
      element.style.transform = `translate(${x.toFixed(1)}px, ${y.toFixed(1)}px)`;
    }
  }

  #choose(view, width, height, counts) {
    const visible = this.points.within(view.shown(width, height)).filter(counts);
    const near = view.zoom >= FROM_ZOOM || visible.length <= FEW;
    const chosen = near ? this.#apart(visible, view.box(width, height), width, height) : [];
    for (const [index, element] of this.#shown) {
      if (chosen.includes(index)) continue;
      element.remove();
      this.#shown.delete(index);
    }
    const added = chosen.filter((index) => !this.#shown.has(index));
    for (const index of added) {
      const element = this.#element(index);
      this.#shown.set(index, element);
      this.layer.append(element);
    }
    this.#place(view, width, height);
    this.#name(added.filter((index) => !this.#hasPicture(index)));
  }

  /** Points whose pictures do not overlap: those that are there already first, so that few come and go. */
  #apart(visible, { scaleX, scaleY, left, top }, width, height) {
    const taken = new Map(), chosen = [], sideX = WIDTH + GAP, sideY = HEIGHT + GAP;
    const wanted = [...visible.filter((index) => this.#shown.has(index)), ...visible];
    for (const index of wanted) {
      if (chosen.length >= MOST) break;
      const x = this.points.x(index) * scaleX + left, y = this.points.y(index) * scaleY + top;
      if (x < WIDTH / 2 || y < HEIGHT + GAP || x > width - WIDTH / 2 || y > height) continue;
      const column = Math.floor(x / sideX), row = Math.floor(y / sideY);
      const around = [-1, 0, 1].flatMap((dx) => [-1, 0, 1].map((dy) => taken.get(`${column + dx},${row + dy}`)));
      if (around.some((other) => other && Math.abs(other.x - x) < sideX && Math.abs(other.y - y) < sideY)) continue;
      taken.set(`${column},${row}`, { x, y });
      chosen.push(index);
    }
    return chosen;
  }

  #hasPicture(index) {
    return ["image", "video"].includes(KIND_NAMES[this.points.kinds[index]]);
  }

  #element(index) {
    const element = document.createElement("div");
    element.className = "map-picture";
    if (this.#hasPicture(index)) {
      const image = document.createElement("img");
      image.alt = "";
      image.decoding = "async";
      image.src = thumbUrl(this.points.ids[index], 160);
      image.onerror = () => this.#name([index]);
      element.append(image);
    } else element.classList.add("map-name");
    return element;
  }

  async #name(indices) {
    if (!indices.length) return;
    await this.descriptions.load(indices.map((index) => this.points.ids[index])).catch(() => {});
    for (const index of indices) {
      const hit = this.descriptions.get(this.points.ids[index]), element = this.#shown.get(index);
      if (!hit || !element) continue;
      element.classList.add("map-name");
      element.textContent = hit.kind === "text" && hit.text ? hit.text.slice(0, 80) : hit.name;
    }
  }
}
