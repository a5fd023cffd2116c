/** What the pointer does on a map: pan, zoom, point, click, draw a lasso. Positions are pixels of the element. */

const STEP = 1.6;
const MOST_ZOOM = 4000;
const MARGIN = 28;
const CLICK_PX = 5;

/** Which part of the map is shown: the middle of it, and how many times larger than the whole. */
export class View {
  x = 0.5;
  y = 0.5;
  zoom = 1;

  /** Pixels of a unit along both axes, and where the map begins. */
  box(width, height) {
    const scaleX = Math.max(1, width - 2 * MARGIN) * this.zoom, scaleY = Math.max(1, height - 2 * MARGIN) * this.zoom;
    return { scaleX, scaleY, left: width / 2 - this.x * scaleX, top: height / 2 - this.y * scaleY };
  }

  /** The place on the map of a position on the screen. */
  place(px, py, width, height) {
    const { scaleX, scaleY, left, top } = this.box(width, height);
    return [(px - left) / scaleX, (py - top) / scaleY];
  }

  /** The part of the map that is on the screen. */
  shown(width, height) {
    const [left, top] = this.place(0, 0, width, height), [right, bottom] = this.place(width, height, width, height);
    return { left, top, right, bottom };
  }

  pan(dx, dy, width, height) {
    const { scaleX, scaleY } = this.box(width, height);
    this.centre(this.x - dx / scaleX, this.y - dy / scaleY);
  }

  centre(x, y) {
    this.x = Math.max(0, Math.min(1, x));
    this.y = Math.max(0, Math.min(1, y));
  }

  /** Zoom so that what is at a position stays there. */
  zoomAt(factor, px, py, width, height) {
    const [x, y] = this.place(px, py, width, height);
    this.zoom = Math.max(1, Math.min(MOST_ZOOM, this.zoom * factor));
    if (this.zoom === 1) return this.centre(0.5, 0.5);
    const [newX, newY] = this.place(px, py, width, height);
    return this.centre(this.x + x - newX, this.y + y - newY);
  }

  fit() {
    this.zoom = 1;
    this.centre(0.5, 0.5);
  }
}

export const ZOOM_STEP = STEP;

/**
 * Listen to the pointer on an element; returns what ends that. `on` has: pan(dx, dy), zoom(factor, x, y),
 * point(x, y), leave(), click(x, y, event), lasso([[x, y], ...], done), and isLasso(event).
 */
export function listen(element, on) {
  const pointers = new Map();
  let path = null, moved = 0, spread = 0;
  const at = (event) => {
    const { left, top } = element.getBoundingClientRect();
    return [event.clientX - left, event.clientY - top];
  };
  const middle = () => {
    const [[ax, ay], [bx, by]] = pointers.values();
    return { x: (ax + bx) / 2, y: (ay + by) / 2, spread: Math.hypot(ax - bx, ay - by) };
  };
  const listeners = {
    pointerdown(event) {
      if (event.button) return;
      element.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, at(event));
      moved = 0;
      if (pointers.size === 1 && on.isLasso(event)) path = [at(event)];
      else if (pointers.size === 2) {
        path = null;
        on.lasso([], false);
        spread = middle().spread;
      }
    },
    pointermove(event) {
      const now = at(event), before = pointers.get(event.pointerId);
      if (!before) return void on.point(...now);
      const old = pointers.size === 2 ? middle() : null;
      pointers.set(event.pointerId, now);
      moved += Math.hypot(now[0] - before[0], now[1] - before[1]);
      if (path) {
        const [x, y] = path.at(-1);
        if (Math.hypot(now[0] - x, now[1] - y) > 2) path.push(now);
        on.lasso(path, false);
      } else if (old) {
        const next = middle();
        if (spread > 0) on.zoom(next.spread / old.spread, next.x, next.y);
        on.pan(next.x - old.x, next.y - old.y);
      } else if (pointers.size === 1 && moved > CLICK_PX) on.pan(now[0] - before[0], now[1] - before[1]);
    },
    pointerup(event) {
      if (!pointers.delete(event.pointerId)) return;
      if (path) on.lasso(moved > CLICK_PX ? path : [], true);
      else if (moved <= CLICK_PX && !pointers.size) on.click(...at(event), event);
      path = null;
    },
    pointercancel(event) {
      pointers.delete(event.pointerId);
      if (path) on.lasso([], true);
      path = null;
    },
    pointerleave: () => on.leave(),
    wheel(event) {
      event.preventDefault();
      const lines = event.deltaMode === 1 ? 16 : 1;
      on.zoom(2 ** (-Math.max(-240, Math.min(240, event.deltaY * lines)) / 240), ...at(event));
    },
  };
  for (const [name, listener] of Object.entries(listeners)) {
    element.addEventListener(name, listener, { passive: false });
  }
  return () => {
    for (const [name, listener] of Object.entries(listeners)) element.removeEventListener(name, listener);
  };
}
