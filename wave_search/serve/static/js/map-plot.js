/** Draws points: with WebGL, and where there is no GPU for it, pixel by pixel. */

import { SIDE } from "./map-points.js";

/** How a point is shown. */
export const DIM = 0, PLAIN = 1, STRONG = 2;
const LOOKS = [
  { alpha: 0.16, grown: 0 },
  { alpha: 0.82, grown: 0 },
  { alpha: 1, grown: 3 },
];
const MOST_COLOURS = 16;
const SOFTWARE = /swiftshader|llvmpipe|softpipe|software|basic render/i;
const VERTEX = `
attribute vec2 place;
attribute vec2 look;
uniform vec2 scale, offset;
uniform mediump float size; // as in the other shader, or the two do not fit together
uniform float shown;
uniform vec3 colours[${MOST_COLOURS}];
varying vec3 colour;
void main() {
  gl_Position = look.y == shown ? vec4(place * scale + offset, 0.0, 1.0) : vec4(2.0, 2.0, 2.0, 1.0);
  gl_PointSize = size;
  colour = colours[int(look.x)];
}`;
const FRAGMENT = `
precision mediump float;
uniform float alpha, size;
varying vec3 colour;
void main() {
  float inside = clamp((0.5 - distance(gl_PointCoord, vec2(0.5))) * size, 0.0, 1.0) * alpha;
  gl_FragColor = vec4(colour * inside, inside);
}`;

/** A plot on a canvas; `lost` is called when it has to be drawn again. */
export function createPlot(canvas, lost) {
  return hasGpu() ? new WebGlPlot(canvas, lost) : new CanvasPlot(canvas);
}

/** Whether a GPU does what WebGL asks for. A CPU would take many times as long as for setting the pixels. */
function hasGpu() {
  const gl = document.createElement("canvas").getContext("webgl", { failIfMajorPerformanceCaveat: true });
  if (!gl) return false;
  const names = gl.getExtension("WEBGL_debug_renderer_info");
  const renderer = gl.getParameter(names ? names.UNMASKED_RENDERER_WEBGL : gl.RENDERER);
  gl.getExtension("WEBGL_lose_context")?.loseContext();
  return !SOFTWARE.test(renderer);
}

/** The diameter of a point in pixels of the page. */
function diameter(count, zoom) {
  return Math.max(2.6, Math.min(11, (1000 / Math.sqrt(count + 1)) * zoom ** 0.4));
}

class WebGlPlot {
  kind = "WebGL";

  constructor(canvas, lost) {
    this.gl = canvas.getContext("webgl", { antialias: false });
    this.#start();
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => {
      this.#start();
      this.setPoints(this.points);
      this.setLooks(this.codes, this.flags);
      lost();
    });
  }

  #start() {
    const { gl } = this, program = gl.createProgram();
    for (const [type, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(type);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.bindAttribLocation(program, 0, "place");
    gl.bindAttribLocation(program, 1, "look");
    gl.linkProgram(program);
    gl.useProgram(program);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    const names = ["scale", "offset", "size", "shown", "alpha", "colours"];
    this.at = Object.fromEntries(names.map((name) => [name, gl.getUniformLocation(program, name)]));
    this.buffers = [gl.createBuffer(), gl.createBuffer()];
  }

  #fill(attribute, data, type, normalized) {
    const { gl } = this;
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[attribute]);
    gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
    gl.enableVertexAttribArray(attribute);
    gl.vertexAttribPointer(attribute, 2, type, normalized, 0, 0);
  }

  setPoints(points) {
    this.points = points;
    this.#fill(0, points.places, this.gl.UNSIGNED_SHORT, true);
  }

  /** The colour of each point, and how it is shown. */
  setLooks(codes, flags) {
    this.codes = codes;
    this.flags = flags;
    const looks = new Uint8Array(2 * codes.length);
    this.used = new Set();
    for (let index = 0; index < codes.length; index += 1) {
      looks[2 * index] = codes[index];
      looks[2 * index + 1] = flags[index];
      this.used.add(flags[index]);
    }
    this.#fill(1, looks, this.gl.UNSIGNED_BYTE, false);
  }

  /** Colours as [red, green, blue] from 0 to 255. */
  setColours(colours) {
    this.colours = new Float32Array(3 * MOST_COLOURS);
    this.colours.set(colours.flat().map((value) => value / 255));
  }

  draw(view, width, height, ratio) {
    const { gl } = this;
    gl.viewport(0, 0, width * ratio, height * ratio);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    if (!this.codes) return;
    const { scaleX, scaleY, left, top } = view.box(width, height);
    gl.uniform2f(this.at.scale, (2 * scaleX) / width, (-2 * scaleY) / height);
    gl.uniform2f(this.at.offset, (2 * left) / width - 1, 1 - (2 * top) / height);
    gl.uniform3fv(this.at.colours, this.colours);
    LOOKS.forEach(({ alpha, grown }, flag) => {
      if (!this.used.has(flag)) return;
      gl.uniform1f(this.at.shown, flag);
      gl.uniform1f(this.at.alpha, alpha);
      gl.uniform1f(this.at.size, (diameter(this.points.count, view.zoom) + grown) * ratio + 1);
      gl.drawArrays(gl.POINTS, 0, this.points.count);
    });
  }
}

/** Sets pixels itself: many times faster than drawing 100,000 shapes, and than WebGL without a GPU. */
class CanvasPlot {
  kind = "canvas";

  constructor(canvas) {
    this.context = canvas.getContext("2d");
  }

  setPoints(points) {
    this.points = points;
  }

  setLooks(codes, flags) {
    this.codes = codes;
    this.byFlag = LOOKS.map((_, flag) => Uint32Array.from(flags.keys()).filter((index) => flags[index] === flag));
  }

  setColours(colours) {
    this.colours = colours.map(([red, green, blue]) => (blue << 16) | (green << 8) | red);
  }

  draw(view, width, height, ratio) {
    // With a margin, in which points lie that reach into the picture.
    const margin = Math.ceil(10 * ratio), across = Math.round(width * ratio) + 2 * margin;
    const down = Math.round(height * ratio) + 2 * margin;
    if (this.image?.width !== across || this.image.height !== down) {
      this.image = new ImageData(across, down);
      this.pixels = new Uint32Array(this.image.data.buffer);
    }
    this.pixels.fill(0);
    if (this.codes) {
      const { scaleX, scaleY, left, top } = view.box(width, height);
      const kx = (scaleX * ratio) / SIDE, ky = (scaleY * ratio) / SIDE;
      const place = { x: left * ratio + margin, y: top * ratio + margin, kx, ky };
      const usual = diameter(this.points.count, view.zoom);
      LOOKS.forEach(({ alpha, grown }, flag) => {
        this.#stamp(flag, discOf((usual + grown) * ratio, alpha, across), place);
      });
    }
    this.context.putImageData(this.image, -margin, -margin);
  }

  #stamp(flag, { reach, offsets, alphas }, { x, y, kx, ky }) {
    const { pixels, codes, colours } = this, { places } = this.points, { width, height } = this.image;
    for (const index of this.byFlag[flag]) {
      const px = Math.floor(places[2 * index] * kx + x), py = Math.floor(places[2 * index + 1] * ky + y);
      if (px < reach || py < reach || px >= width - reach || py >= height - reach) continue;
      const colour = colours[codes[index]], base = py * width + px;
      for (let at = 0; at < offsets.length; at += 1) {
        const pixel = base + offsets[at];
        if (alphas[at] >= pixels[pixel] >>> 24) pixels[pixel] = (alphas[at] << 24) | colour;
      }
    }
  }
}

/** The pixels of a disc, as offsets from its middle in a picture of some width, each with its alpha from 0 to 255. */
function discOf(size, alpha, width) {
  const reach = Math.ceil(size / 2), offsets = [], alphas = [];
  for (let dy = -reach; dy <= reach; dy += 1) {
    for (let dx = -reach; dx <= reach; dx += 1) {
      const covered = Math.max(0, Math.min(1, size / 2 + 0.5 - Math.hypot(dx, dy)));
      if (!covered) continue;
      offsets.push(dy * width + dx);
      alphas.push(Math.round(255 * covered * alpha));
    }
  }
  return { reach, offsets, alphas };
}
