// One plane on a canvas: grey image, lesion overlay, crosshair, what the pointer does.

const DRAG_PER_LEVEL = 6; // window levels per pixel dragged
const WHEEL_STEP = 24; // wheel travel per slice

class Pane {
  constructor(bench, plane, { overlay = true, title = null, other = false } = {}) {
    Object.assign(this, { bench, plane, overlay, other });
    this.root = element("figure", "pane");
    this.root.dataset.plane = plane;
    this.canvas = element("canvas");
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "img");
    this.caption = element("figcaption");
    this.name = title;
    this.root.append(this.canvas, this.caption);
    this.picture = document.createElement("canvas");
    this.travel = 0;
    this.#listen();
  }

  #listen() {
    const c = this.canvas;
    c.addEventListener("wheel", (e) => this.#wheel(e), { passive: false });
    c.addEventListener("pointerdown", (e) => this.#press(e));
    c.addEventListener("pointermove", (e) => this.#move(e));
    c.addEventListener("pointerup", (e) => this.#release(e));
    c.addEventListener("contextmenu", (e) => e.preventDefault());
    c.addEventListener("keydown", (e) => this.bench.key(e, this.plane));
    c.addEventListener("dblclick", () => this.bench.promote(this.plane));
  }

  #wheel(event) {
    event.preventDefault();
    if (event.ctrlKey) {
      this.bench.zoomBy(event.deltaY < 0 ? 1.15 : 1 / 1.15);
      return;
    }
    this.travel += event.deltaY;
    const steps = Math.trunc(this.travel / WHEEL_STEP);
    if (steps) {
      this.travel -= steps * WHEEL_STEP;
      this.bench.scroll(this.plane, -Math.sign(steps));
      this.travel = 0;
    }
  }

  #press(event) {
    this.canvas.focus({ preventScroll: true });
    this.canvas.setPointerCapture(event.pointerId);
    this.held = event.button === 0 && !event.shiftKey ? "cross" : "window";
    if (this.held === "cross") this.bench.moveTo(this.voxelAt(event));
  }

  #move(event) {
    if (this.held === "cross") this.bench.moveTo(this.voxelAt(event));
    if (this.held === "window") this.bench.windowBy(event.movementX, event.movementY, DRAG_PER_LEVEL);
  }

  #release(event) {
    if (this.held === "cross") this.bench.picked(this.voxelAt(event));
    this.held = null;
  }

  get title() {
    return this.name ?? PLANES[this.plane].name;
  }

  get through() {
    return PLANES[this.plane].through;
  }

  #direction() {
    const [axis, direction] = PLANES[this.plane].across;
    return this.bench.look.mirrored && axis === 0 ? -direction : direction;
  }

  voxelAt(event) {
    const box = this.canvas.getBoundingClientRect();
    const { across, down } = PLANES[this.plane];
    const scan = this.bench.scan;
    const { left, top, x, y } = this.frame;
    const voxel = [...this.bench.at];
    const u = Math.floor((event.clientX - box.left - left) / x);
    const v = Math.floor((event.clientY - box.top - top) / y);
    voxel[across[0]] = this.#direction() < 0 ? scan.shape[across[0]] - 1 - u : u;
    voxel[down[0]] = scan.shape[down[0]] - 1 - v;
    return scan.inside(voxel);
  }

  draw() {
    const { bench, canvas } = this;
    const box = canvas.getBoundingClientRect();
    if (!box.width || !bench.scan) return;
    const dense = window.devicePixelRatio || 1;
    canvas.width = Math.round(box.width * dense);
    canvas.height = Math.round(box.height * dense);
    const { across, down } = PLANES[this.plane];
    const scan = bench.scan;
    const position = bench.at[this.through];
    const slice = scan.slice(this.plane, position, bench.look.mirrored);
    this.frame = this.#fit(slice, box, scan.spacing[across[0]], scan.spacing[down[0]]);
    const context = canvas.getContext("2d");
    context.setTransform(dense, 0, 0, dense, 0, 0);
    context.fillStyle = "#000";
    context.fillRect(0, 0, box.width, box.height);
    if (this.other) [slice.ids, slice.others] = [slice.others, slice.ids];
    this.#paint(slice);
    const { left, top, x, y } = this.frame;
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    context.drawImage(this.picture, left, top, slice.columns * x, slice.rows * y);
    if (this.overlay && bench.look.outline) this.#outline(context, slice);
    if (bench.look.cross) this.#cross(context, box);
    this.#letters(context, box);
    const number = scan.nativeNumber(this.through, position);
    const last = scan.meta.native_shape[scan.meta.native_axes[this.through]];
    const name = scan.meta.slice_names[number - 1];
    this.caption.textContent = [this.title, name, last > 1 && `${number}/${last}`].filter(Boolean).join(" · ");
    canvas.setAttribute("aria-label", this.caption.textContent);
  }

  #fit(slice, box, across_mm, down_mm) {
    const fit = Math.min(box.width / (slice.columns * across_mm), box.height / (slice.rows * down_mm));
    const scale = fit * this.bench.look.zoom;
    const x = across_mm * scale;
    const y = down_mm * scale;
    let left = (box.width - slice.columns * x) / 2;
    let top = (box.height - slice.rows * y) / 2;
    if (this.bench.look.zoom > 1) {
      const [u, v] = this.screenVoxel(this.bench.centre, slice);
      left = Math.min(0, Math.max(box.width - slice.columns * x, box.width / 2 - (u + 0.5) * x));
      top = Math.min(0, Math.max(box.height - slice.rows * y, box.height / 2 - (v + 0.5) * y));
      if (slice.columns * x < box.width) left = (box.width - slice.columns * x) / 2;
      if (slice.rows * y < box.height) top = (box.height - slice.rows * y) / 2;
    }
    return { left, top, x, y };
  }

  screenVoxel(voxel, slice) {
    const { across, down } = PLANES[this.plane];
    const u = voxel[across[0]];
    return [this.#direction() < 0 ? slice.columns - 1 - u : u, slice.rows - 1 - voxel[down[0]]];
  }

  #paint(slice) {
    const { look, rejected } = this.bench;
    this.picture.width = slice.columns;
    this.picture.height = slice.rows;
    const context = this.picture.getContext("2d");
    const image = context.createImageData(slice.columns, slice.rows);
    const [low, high] = look.window;
    const gain = 255 / Math.max(1, high - low);
    const out = image.data;
    for (let at = 0, o = 0; at < slice.gray.length; at++, o += 4) {
      const gray = Math.max(0, Math.min(255, (slice.gray[at] - low) * gain));
      let r = gray, g = gray, b = gray;
      if (look.differ && slice.others) {
        const colour = this.#verdict(slice.ids[at], slice.others[at]);
        if (colour) [r, g, b] = [r, g, b].map((c, n) => c + (colour[n] - c) * Math.max(0.5, look.opacity));
      } else if (this.overlay && look.map && slice.chance[at] > 12) {
        [r, g, b] = heat(gray, slice.chance[at] / 255, look.opacity);
      } else if (this.overlay && slice.ids[at] && look.opacity > 0) {
        const id = slice.ids[at];
        const colour = this.#colour(id);
        const mix = look.opacity * (rejected.has(id) ? 0.5 : 1);
        r += (colour[0] - r) * mix;
        g += (colour[1] - g) * mix;
        b += (colour[2] - b) * mix;
      }
      out[o] = r;
      out[o + 1] = g;
      out[o + 2] = b;
      out[o + 3] = 255;
    }
    context.putImageData(image, 0, 0);
  }

  #colour(id) {
    const { colours, rejected, selected } = this.bench;
    if (this.other) return colours.other;
    return rejected.has(id) ? colours.rejected : id === selected ? colours.selected : colours.lesion;
  }

  // Where two models agree and where only one of them marks; the same colours in both panes.
  #verdict(mine, theirs) {
    const { colours } = this.bench;
    if (mine && theirs) return colours.both;
    if (mine) return this.other ? colours.other : colours.lesion;
    if (theirs) return this.other ? colours.lesion : colours.other;
    return null;
  }

  // Along voxel borders, so that the line lies exactly where the mask ends at any zoom.
  #outline(context, { columns, rows, ids }) {
    const { left, top, x, y } = this.frame;
    const { rejected, selected } = this.bench;
    const paths = new Map();
    const path = (id) => {
      if (!paths.has(id)) paths.set(id, new Path2D());
      return paths.get(id);
    };
    for (let row = 0, at = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++, at++) {
        const id = ids[at];
        if (!id) continue;
        const l = left + column * x, t = top + row * y;
        const line = path(id);
        if (column === 0 || ids[at - 1] !== id) { line.moveTo(l, t); line.lineTo(l, t + y); }
        if (column === columns - 1 || ids[at + 1] !== id) { line.moveTo(l + x, t); line.lineTo(l + x, t + y); }
        if (row === 0 || ids[at - columns] !== id) { line.moveTo(l, t); line.lineTo(l + x, t); }
        if (row === rows - 1 || ids[at + columns] !== id) { line.moveTo(l, t + y); line.lineTo(l + x, t + y); }
      }
    }
    for (const [id, line] of paths) {
      const colour = this.#colour(id);
      context.setLineDash(rejected.has(id) ? [3, 3] : []);
      context.lineWidth = id === selected ? 2.25 : 1.5;
      context.strokeStyle = `rgb(${colour.join(" ")})`;
      context.stroke(line);
    }
    context.setLineDash([]);
  }

  #cross(context, box) {
    const { left, top, x, y } = this.frame;
    const { columns, rows } = { columns: this.picture.width, rows: this.picture.height };
    const [u, v] = this.screenVoxel(this.bench.at, { columns, rows });
    const cx = left + (u + 0.5) * x, cy = top + (v + 0.5) * y;
    const gap = 14;
    context.strokeStyle = "rgb(255 255 255 / 0.38)";
    context.lineWidth = 1;
    context.beginPath();
    for (const [x1, y1, x2, y2] of [
      [0, cy, cx - gap, cy], [cx + gap, cy, box.width, cy],
      [cx, 0, cx, cy - gap], [cx, cy + gap, cx, box.height],
    ]) {
      context.moveTo(x1, y1);
      context.lineTo(x2, y2);
    }
    context.stroke();
  }

  #letters(context, box) {
    if (this.bench.scan.meta.kind === "slices") return;
    let [l, r, t, b] = PLANES[this.plane].ends;
    if (this.#direction() > 0) [l, r] = [r, l];
    context.font = "600 12px ui-sans-serif, system-ui, sans-serif";
    context.fillStyle = "rgb(255 255 255 / 0.72)";
    context.textBaseline = "middle";
    context.textAlign = "left";
    context.fillText(l, 8, box.height / 2);
    context.textAlign = "right";
    context.fillText(r, box.width - 8, box.height / 2);
    context.textAlign = "center";
    context.fillText(t, box.width / 2, 12);
    context.fillText(b, box.width / 2, box.height - 12);
  }
}

// Dark blue through teal to yellow: rises evenly in lightness, legible to colour-blind eyes.
function heat(gray, chance, opacity) {
  const colour = chance < 0.5
    ? [40 + 20 * chance, 60 + 200 * chance, 140 + 60 * chance]
    : [50 + 410 * (chance - 0.5), 160 + 140 * (chance - 0.5), 170 - 260 * (chance - 0.5)];
  const mix = opacity * Math.min(1, chance * 1.6);
  return colour.map((c) => gray + (c - gray) * mix);
}
