// One plane on a canvas: grey image, lesion overlay, crosshair, what the pointer does.

const DRAG_PER_LEVEL = 6; // window levels per pixel dragged
const WHEEL_STEP = 24; // wheel travel per slice
const NARROW_PX = 200; // there the caption needs the first line
const WIDE_PX = 380; // from here on the caption has room for more
const MARGIN_PX = 8; // above and below the head

class Pane {
  constructor(bench, plane, { overlay = true, title = null, other = false, source } = {}) {
    Object.assign(this, { bench, plane, overlay, other, source });
    this.root = element("figure", "pane");
    this.root.dataset.plane = plane;
    this.canvas = element("canvas");
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "img");
    this.caption = element("figcaption");
    this.name = title;
    this.ring = element("div", "ring");
    this.ring.hidden = true;
    this.root.append(this.canvas, this.caption, this.ring);
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
    c.addEventListener("lostpointercapture", (e) => this.#cut(e));
    c.addEventListener("pointerleave", () => this.hover(null));
    c.addEventListener("contextmenu", (e) => e.preventDefault());
    c.addEventListener("keydown", (e) => this.bench.keys.press(e, this.plane));
    c.addEventListener("dblclick", () => this.bench.tools?.active || this.bench.promote(this.plane));
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
    if (this.held && event.pointerId !== this.pointer) return; // a second finger, or another button: what is going on goes on
    this.pointer = event.pointerId;
    this.canvas.focus({ preventScroll: true });
    this.canvas.setPointerCapture(event.pointerId);
    this.held = event.button === 1 || event.ctrlKey ? "pan" : event.button || event.shiftKey ? "window" : "cross";
    if (this.held === "cross" && this.bench.tools?.press(this, this.voxelAt(event))) this.held = "tool";
    if (this.held === "cross" && this.bench.looks?.ruler.press(this, event)) this.held = "ruler";
    if (this.held === "cross") this.bench.moveTo(this.voxelAt(event));
  }

  #move(event) {
    this.hover(event);
    if (event.pointerId !== this.pointer) return;
    if (this.held === "ruler") this.bench.looks?.ruler.drag(this, event);
    if (this.held === "tool") this.bench.tools.drag(this, this.voxelAt(event));
    if (this.held === "cross") this.bench.moveTo(this.voxelAt(event));
    if (this.held === "pan") this.#pan(event.movementX, event.movementY);
    if (this.held === "window") this.bench.windowBy(event.movementX, event.movementY, DRAG_PER_LEVEL);
  }

  // The browser takes the pointer away: what was drawn until then stays.
  #cut({ pointerId }) {
    if (pointerId !== this.pointer || !this.held) return;
    if (this.held === "tool") this.bench.tools.settle();
    this.held = null;
    this.hover(null);
  }

  #release(event) {
    if (event.pointerId !== this.pointer) return;
    if (this.held === "tool") this.bench.tools.release(this, this.voxelAt(event));
    if (this.held === "ruler") this.bench.looks?.ruler.release(this, event);
    if (this.held === "cross") this.bench.picked(this.voxelAt(event), PLANES[this.plane]);
    this.held = null;
  }

  // How far brush and eraser reach, as a ring at the pointer.
  hover(event) {
    const { tools } = this.bench;
    const shown = event && this.frame && tools && !tools.drawing.hidden;
    this.ring.hidden = !shown;
    if (!shown) return;
    const box = this.canvas.getBoundingClientRect();
    const { across: [u] } = PLANES[this.plane];
    const wide = (2 * tools.radius * this.frame.x) / this.bench.scan.spacing[u];
    Object.assign(this.ring.style, {
      width: `${wide}px`, height: `${wide}px`,
      left: `${event.clientX - box.left - wide / 2}px`, top: `${event.clientY - box.top - wide / 2}px`,
    });
  }

  #pan(across, down) {
    const { bench, frame } = this;
    const { across: [u], down: [v] } = PLANES[this.plane];
    bench.centre[u] -= (this.direction * across) / frame.x;
    bench.centre[v] += down / frame.y;
    bench.redraw();
  }

  get title() {
    return [this.name ?? PLANES[this.plane].name, this.bench.sequences?.nameOf(this.source)].filter(Boolean).join(" · ");
  }

  // Of the image that this pane shows: each has levels of its own.
  get window() {
    const { look, scan } = this.bench;
    return [undefined, scan.source].includes(this.source) ? look.window : scan.sources[this.source].window;
  }

  get through() {
    return PLANES[this.plane].through;
  }

  get direction() {
    const [axis, direction] = PLANES[this.plane].across;
    return this.bench.look.mirrored && axis === 0 ? -direction : direction;
  }

  voxelAt(event) {
    const { scan } = this.bench;
    return scan.inside(this.#voxelOf(this.#under(event).map(Math.floor)));
  }

  // The place under the pointer in voxels, not rounded.
  placeAt(event) {
    return this.#voxelOf(this.#under(event).map((v) => v - 0.5));
  }

  // Columns and rows of the picture from its corner to the pointer.
  #under(event) {
    const box = this.canvas.getBoundingClientRect();
    const { left, top, x, y } = this.frame;
    return [(event.clientX - box.left - left) / x, (event.clientY - box.top - top) / y];
  }

  #voxelOf([column, row]) {
    const { across, down } = PLANES[this.plane];
    const { scan, at } = this.bench;
    const voxel = [...at];
    voxel[across[0]] = this.direction < 0 ? scan.shape[across[0]] - 1 - column : column;
    voxel[down[0]] = scan.shape[down[0]] - 1 - row;
    return voxel;
  }

  moved() {
    this.draw();
  }

  coloured() {
    this.bench.redraw();
  }

  labelled() {
    this.bench.redraw();
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
    const slab = this.#slab();
    const slice = scan.slice(this.plane, position, bench.look.mirrored, slab, this.source);
    this.frame = this.#fit(slice, box, scan.spacing[across[0]], scan.spacing[down[0]]);
    const context = canvas.getContext("2d");
    context.setTransform(dense, 0, 0, dense, 0, 0);
    context.fillStyle = "#000";
    context.fillRect(0, 0, box.width, box.height);
    if (this.other) [slice.ids, slice.others] = [slice.others, slice.ids];
    paintSlice(this.picture, slice, bench, this);
    const { left, top, x, y } = this.frame;
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    context.drawImage(this.picture, left, top, slice.columns * x, slice.rows * y);
    if (slice.others && !bench.data?.other) this.#outline(context, { ...slice, ids: slice.others }, true);
    if (this.overlay && bench.look.outline) this.#outline(context, slice);
    if (bench.look.cross) this.#cross(context, box);
    this.#diameters(context);
    bench.looks?.ruler.draw(context, this, this.#placer());
    this.#letters(context, box);
    const number = scan.nativeNumber(this.through, position);
    const last = scan.meta.native_shape[scan.meta.native_axes[this.through]];
    const name = scan.meta.slice_names[number - 1];
    const slices = last > 1 && `${number}/${last}`;
    this.caption.textContent = [this.title, name, slices, box.width > WIDE_PX && this.#thickness(slab)].filter(Boolean).join(" · ");
    canvas.setAttribute("aria-label", this.caption.textContent);
  }

  // The head fills the view at zoom 1; enlarged, the view is about the bench's centre.
  #fit(slice, box, across_mm, down_mm) {
    const { scan, look, centre } = this.bench;
    const { across: [u], down: [v] } = PLANES[this.plane];
    const long = (axis) => scan.box[axis][1] - scan.box[axis][0] + 1;
    const fit = Math.min(box.width / (long(u) * across_mm), (box.height - 2 * MARGIN_PX) / (long(v) * down_mm));
    const x = across_mm * fit * look.zoom, y = down_mm * fit * look.zoom;
    const middle = look.zoom > 1 ? centre : scan.box.map(([low, high]) => (low + high) / 2);
    const [column, row] = this.screenVoxel(middle, slice);
    return { left: box.width / 2 - (column + 0.5) * x, top: box.height / 2 - (row + 0.5) * y, x, y };
  }

  screenVoxel(voxel, slice) {
    const { across, down } = PLANES[this.plane];
    const u = voxel[across[0]];
    return [this.direction < 0 ? slice.columns - 1 - u : u, slice.rows - 1 - voxel[down[0]]];
  }

  // Along voxel borders, so that the line lies exactly where the mask ends at any zoom.
  // Those of an earlier scan are dashed and white.
  #outline(context, { columns, rows, ids }, past = false) {
    const { left, top, x, y } = this.frame;
    const { bench } = this;
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
      if (past) {
        context.setLineDash([4, 3]);
        context.lineWidth = 1.2;
        context.strokeStyle = "rgb(255 255 255 / 0.9)";
        context.stroke(line);
        continue;
      }
      const chosen = id === bench.selected && !this.other;
      const colour = this.other ? COLOURS.theirs : chosen ? COLOURS.selected : bench.colourOf(id);
      context.setLineDash(!this.other && (id === PREVIEW || bench.readings.out(id)) ? [3, 3] : []);
      context.lineWidth = chosen ? 2.5 : 1.5;
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
    this.canvas.dataset.cross = `${cx},${cy}`;
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

  // Where a voxel of this slice is on the screen.
  #placer() {
    const { left, top, x, y } = this.frame;
    const size = { columns: this.picture.width, rows: this.picture.height };
    return (voxel) => {
      const [u, v] = this.screenVoxel(voxel, size);
      return [left + (u + 0.5) * x, top + (v + 0.5) * y];
    };
  }

  // How many slices to each side are projected; none while outlines are drawn.
  #slab() {
    const { look, scan, tools } = this.bench;
    return look.slab && !tools?.active ? Math.round(look.slab / 2 / scan.spacing[this.through]) : 0;
  }

  // Between two slices as they were acquired, or what a slab projects.
  #thickness(slab) {
    const { scan } = this.bench;
    const { meta, spacing } = scan;
    if (meta.kind === "slices") return "";
    const mm = spacing[this.through];
    if (slab) return `brightest of ${NUMBER.format((2 * slab + 1) * mm)} mm`;
    const acquired = meta.native_axes[this.through] === meta.slice_axis;
    return acquired ? `${NUMBER.format(mm / meta.step)} mm apart` : "";
  }

  #diameters(context) {
    const { bench, canvas } = this;
    const lines = bench.look.lines && !this.other ? bench.diameters : null;
    delete canvas.dataset.diameters;
    if (lines?.axis !== this.through || lines.position !== bench.at[this.through]) return;
    const place = this.#placer();
    canvas.dataset.diameters = [lines.longest, lines.perpendicular].map(({ mm }) => NUMBER.format(mm)).join(" × ");
    for (const [width, colour] of [[3, "rgb(0 0 0 / 0.55)"], [1.2, "#fff"]]) {
      context.lineWidth = width;
      context.strokeStyle = colour;
      context.beginPath();
      for (const { ends: [from, to] } of [lines.longest, lines.perpendicular]) {
        context.moveTo(...place(from));
        context.lineTo(...place(to));
      }
      context.stroke();
    }
  }

  #letters(context, box) {
    if (this.bench.scan.meta.kind === "slices") return;
    let [l, r, t, b] = PLANES[this.plane].ends;
    if (this.direction > 0) [l, r] = [r, l];
    context.font = "600 12px ui-sans-serif, system-ui, sans-serif";
    context.textBaseline = "middle";
    const { width, height } = box;
    for (const [letter, align, x, y] of [
      [l, "left", 8, height / 2], [r, "right", width - 8, height / 2],
      [t, "center", width / 2, width < NARROW_PX ? 28 : 12], [b, "center", width / 2, height - 12],
    ]) {
      context.textAlign = align;
      context.lineWidth = 3;
      context.strokeStyle = "rgb(0 0 0 / 0.7)"; // legible on a bright scalp too
      context.strokeText(letter, x, y);
      context.fillStyle = "rgb(255 255 255 / 0.9)";
      context.fillText(letter, x, y);
    }
  }
}
