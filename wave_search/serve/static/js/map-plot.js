/** Draws points: with WebGL, and where there is none, with the two-dimensional canvas. */

/** How a point is shown. */
export const DIM = 0, PLAIN = 1, STRONG = 2;
const LOOKS = [
  { alpha: 0.16, grown: 0 },
  { alpha: 0.82, grown: 0 },
  { alpha: 1, grown: 3 },
];
const MOST_COLOURS = 16;
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
  const gl = canvas.getContext("webgl", { antialias: false, alpha: true, premultipliedAlpha: true });
  return gl ? new WebGlPlot(canvas, gl, lost) : new CanvasPlot(canvas);
}

/** The diameter of a point in pixels of the page. */
function diameter(count, zoom) {
  return Math.max(2.6, Math.min(11, (1000 / Math.sqrt(count + 1)) * zoom ** 0.4));
}

class WebGlPlot {
  kind = "WebGL";

  constructor(canvas, gl, lost) {
    this.gl = gl;
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

class CanvasPlot {
  kind = "canvas";

  constructor(canvas) {
    this.context = canvas.getContext("2d");
  }

  setPoints(points) {
    this.points = points;
  }

  setLooks(codes, flags) {
    this.flags = flags;
    this.codes = codes;
    const key = (index) => flags[index] * MOST_COLOURS + codes[index];
    // By look, so that the colour changes a few times only, and dim points are below the others.
    this.order = Uint32Array.from(codes.keys()).sort((one, other) => key(one) - key(other));
  }

  setColours(colours) {
    this.colours = colours.map((rgb) => `rgb(${rgb.join(" ")})`);
  }

  draw(view, width, height, ratio) {
    const { context, points } = this, { scaleX, scaleY, left, top } = view.box(width, height);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    if (!this.codes) return;
    const usual = diameter(points.count, view.zoom);
    let size = 0, code = -1, flag = -1;
    for (const index of this.order) {
      const x = points.x(index) * scaleX + left, y = points.y(index) * scaleY + top;
      if (x < -9 || y < -9 || x > width + 9 || y > height + 9) continue;
      if (code !== this.codes[index] || flag !== this.flags[index]) {
        code = this.codes[index];
        flag = this.flags[index];
        context.fillStyle = this.colours[code];
        context.globalAlpha = LOOKS[flag].alpha;
        size = usual + LOOKS[flag].grown;
      }
      context.fillRect(x - size / 2, y - size / 2, size, size);
    }
  }
}
