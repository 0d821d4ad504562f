// The head in space: a glass skull with its lesions inside, or cut open at the cursor.

const FINEST = 160; // texture voxels along an axis: sharp enough, and quick without a graphics card
const FRAME_MS = 45; // while it is turned, detail gives way to this
const COARSEST = 0.2;
const REST_MS = 180;
const FIELD = 0.56; // half of what the shorter edge of the view shows; the head is 1 long
const CLICK_PX = 4; // a press that moved less is a click

class Render {
  constructor(bench) {
    this.bench = bench;
    this.plane = "render";
    this.yaw = 0.6;
    this.pitch = 0.25;
    this.zoom = 1;
    this.quality = 0.5;
    this.solid = false;
    this.root = element("figure", "pane render");
    this.root.dataset.plane = "render";
    this.canvas = element("canvas");
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", "3-D view: arrow keys turn it, plus and minus zoom");
    this.letters = element("div", "gizmo");
    this.letters.setAttribute("aria-hidden", "true");
    for (const letter of "RLAPSI") this.letters.append(element("span", "", letter));
    this.mode = button("Cut open", () => this.toggleCut(), { title: "Cut the head open at the cursor (c)", className: "corner" });
    this.root.append(this.canvas, element("figcaption", "", "3-D"), this.letters, this.mode);
    this.gl = this.canvas.getContext("webgl2", { antialias: false, alpha: false, preserveDrawingBuffer: true });
    if (!this.gl) throw new Error("no WebGL2");
    this.#prepare();
    this.#listen();
  }

  #prepare() {
    const { gl } = this;
    this.program = new Program(gl, VERTEX, FRAGMENT);
    const corners = gl.createBuffer();
    gl.bindBuffer(gl.ARRAY_BUFFER, corners);
    gl.bufferData(gl.ARRAY_BUFFER, new Float32Array([-1, -1, 3, -1, -1, 3]), gl.STATIC_DRAW);
    gl.enableVertexAttribArray(0);
    gl.vertexAttribPointer(0, 2, gl.FLOAT, false, 0, 0);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    const { scan } = this.bench;
    this.from = scan.box.map(([low]) => low);
    this.span = scan.box.map(([low, high]) => high - low + 1);
    this.step = this.span.map((n, axis) =>
      Math.max(1, Math.ceil(n / FINEST), Math.round(1 / Math.max(scan.spacing[axis], 0.5))));
    this.size = this.span.map((n, axis) => Math.ceil(n / this.step[axis]));
    const extent = this.span.map((n, axis) => n * scan.spacing[axis]);
    const longest = Math.max(...extent);
    this.half = extent.map((mm) => mm / longest / 2);
    this.voxel = this.half.map((h, axis) => (2 * h) / this.size[axis]);
    this.#texture(0, "head", shrunk(scan, this), gl.LINEAR);
    this.#surfaces();
  }

  #texture(unit, name, bytes, filter) {
    const { gl } = this;
    this.textures ??= [];
    this.textures[unit] ??= gl.createTexture();
    gl.activeTexture(gl.TEXTURE0 + unit);
    gl.bindTexture(gl.TEXTURE_3D, this.textures[unit]);
    for (const [key, value] of [
      [gl.TEXTURE_MIN_FILTER, filter], [gl.TEXTURE_MAG_FILTER, filter],
      [gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE], [gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE], [gl.TEXTURE_WRAP_R, gl.CLAMP_TO_EDGE],
    ]) gl.texParameteri(gl.TEXTURE_3D, key, value);
    const [x, y, z] = this.size;
    gl.texImage3D(gl.TEXTURE_3D, 0, gl.R8, x, y, z, 0, gl.RED, gl.UNSIGNED_BYTE, bytes);
    gl.uniform1i(this.program.at(name), unit);
  }

  // New labels: the surfaces are made anew, once the slider rests.
  labelled() {
    clearTimeout(this.making);
    this.making = setTimeout(() => this.#surfaces(), REST_MS);
  }

  moved() {
    if (this.solid) this.draw();
  }

  #surfaces() {
    if (this.lost || !this.bench.scan) return;
    const { gl } = this;
    const { ids, filled } = lesionVolumes(this.bench.scan, this);
    this.#texture(1, "lesions", filled, gl.LINEAR);
    this.#texture(2, "ids", ids, gl.NEAREST);
    this.coloured();
  }

  // New colours only: a selection or a reading.
  coloured() {
    const { gl, bench } = this;
    const colours = new Uint8Array(256 * 4);
    for (let id = 1; id < 256; id++) {
      const colour = id === bench.selected ? COLOURS.selected : bench.colourOf(id);
      colours.set([...colour, bench.readings.out(id) ? 60 : 255], id * 4);
    }
    this.textures[3] ??= gl.createTexture();
    gl.activeTexture(gl.TEXTURE3);
    gl.bindTexture(gl.TEXTURE_2D, this.textures[3]);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, 256, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, colours);
    gl.uniform1i(this.program.at("palette"), 3);
    this.draw();
  }

  #listen() {
    const c = this.canvas;
    c.addEventListener("pointerdown", (event) => {
      c.focus({ preventScroll: true });
      c.setPointerCapture(event.pointerId);
      this.held = { x: event.clientX, y: event.clientY, moved: 0 };
    });
    c.addEventListener("pointermove", (event) => {
      if (!this.held) return;
      this.held.moved += Math.abs(event.movementX) + Math.abs(event.movementY);
      this.turn(event.movementX * 0.01, event.movementY * 0.01);
    });
    c.addEventListener("pointerup", (event) => {
      if (this.held?.moved < CLICK_PX) this.#pick(event);
      this.held = null;
      this.#soon();
    });
    c.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoomBy(event.deltaY < 0 ? 1.1 : 1 / 1.1);
    }, { passive: false });
    c.addEventListener("dblclick", () => this.bench.promote("render"));
    c.addEventListener("keydown", (event) => this.#key(event));
    c.addEventListener("webglcontextlost", (event) => {
      event.preventDefault();
      this.lost = true;
    });
    c.addEventListener("webglcontextrestored", () => {
      this.textures = [];
      this.#prepare();
      this.lost = false;
      this.draw();
    });
  }

  #key(event) {
    const turns = { ArrowLeft: [-0.15, 0], ArrowRight: [0.15, 0], ArrowUp: [0, -0.15], ArrowDown: [0, 0.15] };
    if (turns[event.key]) this.turn(...turns[event.key], true);
    else if (event.key === "+" || event.key === "=") this.zoomBy(1.15);
    else if (event.key === "-") this.zoomBy(1 / 1.15);
    else {
      this.bench.keys.press(event, "render");
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  turn(yaw, pitch, settle = false) {
    this.yaw -= yaw;
    this.pitch = Math.max(-1.5, Math.min(1.5, this.pitch + pitch));
    this.#soon(!settle);
  }

  zoomBy(factor) {
    this.zoom = Math.max(0.6, Math.min(8, this.zoom * factor));
    this.#soon(true);
  }

  toggleCut() {
    this.solid = !this.solid;
    this.mode.setAttribute("aria-pressed", String(this.solid));
    this.#soon();
  }

  // The camera's axes in the head's: to the right, up, and toward the viewer.
  get camera() {
    const { yaw, pitch } = this;
    const toward = [Math.sin(yaw) * Math.cos(pitch), Math.cos(yaw) * Math.cos(pitch), Math.sin(pitch)];
    const right = [-Math.cos(yaw), Math.sin(yaw), 0];
    const up = [
      toward[1] * right[2] - toward[2] * right[1],
      toward[2] * right[0] - toward[0] * right[2],
      toward[0] * right[1] - toward[1] * right[0],
    ];
    return { right, up, toward };
  }

  // What happens elsewhere shows here once it rests: a frame may take a second without a graphics card.
  draw() {
    clearTimeout(this.resting);
    this.resting = setTimeout(() => this.#soon(), REST_MS);
  }

  #soon(moving = Boolean(this.held)) {
    clearTimeout(this.resting);
    if (this.waiting) cancelAnimationFrame(this.waiting);
    clearTimeout(this.settling);
    this.waiting = requestAnimationFrame(() => {
      this.waiting = null;
      if (!this.lost) this.#frame(moving);
    });
  }

  #frame(moving) {
    const { gl, program } = this;
    const box = this.canvas.getBoundingClientRect();
    if (!box.width || !this.bench.scan) return;
    const dense = moving ? this.quality : Math.min(1, window.devicePixelRatio || 1);
    const width = Math.max(2, Math.round(box.width * dense)), height = Math.max(2, Math.round(box.height * dense));
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    gl.viewport(0, 0, width, height);
    const { right, up, toward } = this.camera;
    const shorter = Math.min(width, height);
    gl.uniformMatrix3fv(program.at("camera"), false, [...right, ...up, ...toward]);
    gl.uniform3fv(program.at("half_size"), this.half);
    gl.uniform3fv(program.at("voxel"), this.voxel);
    gl.uniform2f(program.at("aspect"), (FIELD * width) / shorter, (FIELD * height) / shorter);
    const [low, high] = this.bench.look.window.map((level) => level / TOP_LEVEL);
    gl.uniform2f(program.at("window"), low, Math.max(high, low + 0.01));
    gl.uniform1f(program.at("zoom"), this.zoom);
    gl.uniform1f(program.at("surface"), this.bench.scan.surface / TOP_LEVEL);
    gl.uniform1f(program.at("solid"), this.solid ? 1 : 0);
    gl.uniform3fv(program.at("cut"), this.#inBox(this.bench.at));
    gl.uniform3fv(program.at("cut_side"), toward.map((v) => (v < 0 ? -1 : 1)));
    gl.uniform1i(program.at("steps"), moving ? 140 : 300);
    const began = performance.now();
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    this.#gizmo(box, right, up, toward);
    this.root.dataset.turned = `${this.yaw.toFixed(2)},${this.pitch.toFixed(2)}`;
    if (!moving) return;
    gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4)); // waits for the picture
    const took = performance.now() - began;
    this.quality = Math.max(COARSEST, Math.min(1, this.quality * Math.sqrt(FRAME_MS / Math.max(took, 4))));
    this.settling = setTimeout(() => this.#soon(false), REST_MS);
  }

  #inBox(voxel) {
    return voxel.map((v, axis) => ((v - this.from[axis] + 0.5) / this.span[axis] - 0.5) * 2 * this.half[axis]);
  }

  // Small letters that turn with the head, so that its sides are never in doubt.
  #gizmo(box, right, up, toward) {
    const ends = [[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]];
    const along = (axis, end) => axis[0] * end[0] + axis[1] * end[1] + axis[2] * end[2];
    ends.forEach((end, n) => {
      const style = this.letters.children[n].style;
      style.transform = `translate(${22 * along(right, end)}px, ${-22 * along(up, end)}px)`;
      style.opacity = 0.35 + 0.6 * Math.max(0, along(toward, end)) + 0.05;
    });
  }

  // What lies under the pointer: the first lesion on the ray, found in the labels themselves.
  #pick(event) {
    const { scan } = this.bench;
    const box = this.canvas.getBoundingClientRect();
    const { right, up, toward } = this.camera;
    const shorter = Math.min(box.width, box.height);
    const across = ((event.clientX - box.left) / box.width * 2 - 1) * FIELD * (box.width / shorter) / this.zoom;
    const above = (1 - (event.clientY - box.top) / box.height * 2) * FIELD * (box.height / shorter) / this.zoom;
    for (let t = 1.2; t > -1.2; t -= 0.003) {
      const voxel = this.span.map((n, axis) => this.from[axis] + Math.floor(
        ((right[axis] * across + up[axis] * above + toward[axis] * t) / (2 * this.half[axis]) + 0.5) * n));
      if (voxel.some((v, axis) => v < 0 || v >= scan.shape[axis])) continue;
      const id = scan.labels[scan.index(voxel)];
      if (!id) continue;
      this.bench.moveTo(voxel);
      this.bench.picked(voxel, PLANES.axial);
      return;
    }
  }

  close() {
    clearTimeout(this.settling);
    clearTimeout(this.making);
    clearTimeout(this.resting);
    if (this.waiting) cancelAnimationFrame(this.waiting);
    this.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }
}

// The head's box as bytes on a coarser grid, each the mean of its block's corners.
function shrunk(scan, { size: [nx, ny, nz], step: [sx, sy, sz], from: [fx, fy, fz] }) {
  const bytes = new Uint8Array(nx * ny * nz);
  const [mx, my, mz] = scan.shape;
  for (let z = 0, at = 0; z < nz; z++) {
    for (let y = 0; y < ny; y++) {
      for (let x = 0; x < nx; x++, at++) {
        const x0 = fx + x * sx, y0 = fy + y * sy, z0 = fz + z * sz;
        const x1 = Math.min(x0 + sx - 1, mx - 1), y1 = Math.min(y0 + sy - 1, my - 1), z1 = Math.min(z0 + sz - 1, mz - 1);
        const one = scan.image[x0 + mx * (y0 + my * z0)], other = scan.image[x1 + mx * (y1 + my * z1)];
        bytes[at] = (one + other) >> 5; // 0…4095 twice, to 0…255
      }
    }
  }
  return bytes;
}

// Lesion ids and a smoothed indicator on the coarser grid; a lesion of one voxel stays visible.
function lesionVolumes(scan, { size: [nx, ny, nz], step: [sx, sy, sz], from: [fx, fy, fz] }) {
  const ids = new Uint8Array(nx * ny * nz);
  const filled = new Uint8Array(ids.length);
  const [mx, my] = scan.shape;
  const { labels } = scan;
  const marked = [];
  for (let at = 0; at < labels.length; at++) {
    if (!labels[at]) continue;
    const x = Math.floor(((at % mx) - fx) / sx), y = Math.floor(((Math.floor(at / mx) % my) - fy) / sy);
    const z = Math.floor((Math.floor(at / (mx * my)) - fz) / sz);
    if (x < 0 || y < 0 || z < 0 || x >= nx || y >= ny || z >= nz) continue;
    const to = x + nx * (y + ny * z);
    if (!ids[to]) marked.push(to);
    ids[to] = ((labels[at] - 1) % 255) + 1;
  }
  const steps = [1, -1, nx, -nx, nx * ny, -nx * ny];
  for (const at of marked) {
    let around = 0;
    for (const step of steps) if (ids[at + step]) around++;
    filled[at] = 150 + (105 * around) / 6;
    for (const step of steps) if (ids[at + step] === 0) filled[at + step] = Math.min(105, filled[at + step] + 26);
  }
  return { ids, filled };
}
