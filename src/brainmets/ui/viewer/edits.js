// What the reader draws: changes of lesion ids, voxel by voxel, that can be undone; and the lesions
// measured anew from them at once. The service measures again when they are saved.

class Edits {
  constructor(bench) {
    this.bench = bench;
    this.past = [];
    this.future = [];
    this.stroke = null;
    this.restored = false; // whether what was drawn before this page was opened is on the screen
    this.version = 0; // rises with every change
    this.unmeasured = new Set(); // ids of lesions that the service has not measured as they are
  }

  // Whether the ids on the screen are the reader's.
  get any() {
    return this.restored || this.past.length > 0;
  }

  get scan() {
    return this.bench.scan;
  }

  // Ids beyond 255 come from the service as bytes that repeat: found again in the browser.
  begin() {
    const { bench, scan } = this;
    if (scan.wrapped && bench.lesions.length > 255) bench.replace(bench.candidates.find(bench.point), bench.point);
    scan.wrapped = false;
  }

  nextId() {
    return this.bench.lesions.reduce((most, { id }) => Math.max(most, id), this.lastId ?? 0) + 1;
  }

  // One change of one voxel, part of the stroke that is going on.
  put(at, id) {
    const { labels } = this.scan;
    if (labels[at] === id) return;
    this.stroke ??= new Map();
    if (!this.stroke.has(at)) this.stroke.set(at, labels[at]);
    labels[at] = id;
  }

  // The stroke as one step that can be undone.
  commit() {
    const { stroke, scan: { labels } } = this;
    this.stroke = null;
    if (!stroke?.size) return false;
    const at = Uint32Array.from(stroke.keys()), before = Uint16Array.from(stroke.values());
    const after = Uint16Array.from(at, (one) => labels[one]);
    this.past.push({ at, before, after });
    this.future = [];
    this.bench.steps.add(this);
    this.#apply({ at, before, after }, "after");
    return true;
  }

  undo() {
    this.#step(this.past, this.future, "before");
  }

  redo() {
    this.#step(this.future, this.past, "after");
  }

  #step(from, to, which) {
    if (!from.length) return;
    const edit = from.pop();
    to.push(edit);
    this.#apply(edit, which);
  }

  #apply(edit, which) {
    const { labels } = this.scan;
    const began = performance.now();
    edit.at.forEach((at, n) => (labels[at] = edit[which][n]));
    const touched = new Set([...edit.before, ...edit.after]);
    touched.delete(0);
    this.boxes ??= boxesOf(this.scan);
    for (const at of edit.at) for (const id of touched) widen(this.boxes, id, at, this.scan.shape);
    this.version++;
    touched.forEach((id) => this.unmeasured.add(id));
    this.lastId = Math.max(this.lastId ?? 0, ...touched);
    const lesions = this.bench.lesions.filter(({ id }) => !touched.has(id)).concat(measureLesions(this.bench, touched, this.boxes));
    this.bench.edited(lesions.sort((one, other) => one.id - other.id));
    this.bench.root.dataset.editMs = (performance.now() - began).toFixed(1);
  }

  // As they were saved or left: `ids` in place of what was found.
  restore(ids, lesions) {
    this.scan.labels.set(ids);
    this.scan.wrapped = false;
    this.restored = true;
    this.version++;
    this.boxes = boxesOf(this.scan);
    this.unmeasured = new Set(lesions ? [] : this.boxes.keys());
    const measured = lesions ?? measureLesions(this.bench, this.unmeasured, this.boxes);
    this.bench.edited(measured, { restored: true });
  }

  forget() {
    this.past = [];
    this.future = [];
    this.stroke = null;
    this.restored = false;
    this.version++;
    this.unmeasured.clear();
    this.boxes = null;
  }

  // The ids as the service takes them.
  async packed() {
    const { labels } = this.scan;
    const bytes = new Uint8Array(labels.buffer, labels.byteOffset, labels.byteLength); // little-endian everywhere
    const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"));
    const packed = new Uint8Array(await new Response(stream).arrayBuffer());
    let text = "";
    for (let at = 0; at < packed.length; at += 0x8000) text += String.fromCharCode(...packed.subarray(at, at + 0x8000));
    return btoa(text);
  }
}

// The reader's steps of every kind in one order: what was done last is undone first.
class Steps {
  // `settle` ends what is going on; true where that was all there was to undo.
  constructor(settle, changed) {
    this.settle = settle;
    this.changed = changed;
    this.clear();
  }

  clear() {
    this.done = [];
    this.undone = [];
  }

  add(owner) {
    this.done.push(owner);
    this.undone = [];
  }

  drop(owner) {
    this.done = this.done.filter((one) => one !== owner);
    this.undone = this.undone.filter((one) => one !== owner);
  }

  undo() {
    this.#step(this.done, this.undone, "undo");
  }

  redo() {
    this.#step(this.undone, this.done, "redo");
  }

  #step(from, to, act) {
    if (this.settle() || !from.length) return;
    const owner = from.pop();
    to.push(owner);
    owner[act]();
    this.changed();
  }
}

// A box around each lesion's voxels: an edit looks at no others.
function boxesOf({ labels, shape }) {
  const boxes = new Map();
  for (let at = 0; at < labels.length; at++) if (labels[at]) widen(boxes, labels[at], at, shape);
  return boxes;
}

function widen(boxes, id, at, [nx, ny]) {
  const voxel = [at % nx, Math.floor(at / nx) % ny, Math.floor(at / (nx * ny))];
  const box = boxes.get(id);
  if (!box) boxes.set(id, { low: voxel, high: [...voxel] });
  else {
    for (let axis = 0; axis < 3; axis++) {
      if (voxel[axis] < box.low[axis]) box.low[axis] = voxel[axis];
      if (voxel[axis] > box.high[axis]) box.high[axis] = voxel[axis];
    }
  }
}

// The lesions with these ids, measured on the display grid as the service does on the input's.
// A lesion keeps its place's name until the service has named it again.
function measureLesions({ scan, data, lesions: former }, ids, boxes) {
  const { spacing, chance, meta } = scan;
  const across = meta.native_axes.indexOf(meta.slice_axis);
  const places = new Map(former.map((one) => [one.id, one.place]));
  const lesions = [];
  for (const id of ids) {
    const one = tally(scan, id, boxes.get(id), across);
    if (!one.voxels) continue;
    const middle = one.sum.map((sum) => sum / one.voxels);
    const centroid = scan.toMillimetres(middle);
    const off = centroid[0] - data.midline_x_mm;
    lesions.push({
      id, voxels: one.voxels,
      volume_mm3: one.voxels * spacing[0] * spacing[1] * spacing[2],
      centroid_ras_mm: centroid,
      side: meta.kind === "slices" ? "unknown" : Math.abs(off) <= MIDLINE_MM ? "midline" : off > 0 ? "right" : "left",
      peak_probability: chance[one.top], mean_probability: one.chances / one.voxels,
      ...bestSlice(scan, one.slices, across, middle[across]),
      place: places.get(id) ?? "",
    });
  }
  return lesions;
}

function tally({ labels, probability, chance, shape: [nx, ny] }, id, { low, high }, across) {
  const one = { voxels: 0, sum: [0, 0, 0], top: 0, chances: 0, slices: new Map() };
  for (let z = low[2]; z <= high[2]; z++) {
    for (let y = low[1]; y <= high[1]; y++) {
      for (let x = low[0], at = x + nx * (y + ny * z); x <= high[0]; x++, at++) {
        if (labels[at] !== id) continue;
        const voxel = [x, y, z];
        one.voxels++;
        for (let axis = 0; axis < 3; axis++) one.sum[axis] += voxel[axis];
        one.top = Math.max(one.top, probability[at]);
        one.chances += chance[probability[at]];
        if (!one.slices.has(voxel[across])) one.slices.set(voxel[across], []);
        one.slices.get(voxel[across]).push(voxel);
      }
    }
  }
  return one;
}

// The slice with the longest diameter; of equal ones that with the longer perpendicular, then that
// nearest the lesion's middle.
function bestSlice(scan, slices, across, middle) {
  const { native_flips, native_shape, slice_axis, step } = scan.meta;
  let best = null;
  for (const [position, voxels] of slices) {
    const index = native_flips[across] ? native_shape[slice_axis] - 1 - position * step : position * step;
    const lines = linesThrough(scan, { axis: across, position }, voxels);
    const key = [lines.longest.mm, lines.perpendicular.mm, -Math.abs(position - middle), index];
    if (!best || later(key, best.key)) best = { key, lines, index };
  }
  return {
    slice_index: best.index,
    diameter_in_plane_mm: best.lines.longest.mm,
    perpendicular_mm: best.lines.perpendicular.mm,
  };
}

function later(one, other) {
  for (let n = 0; n < one.length; n++) {
    if (Math.abs(one[n] - other[n]) > 1e-6) return one[n] > other[n];
  }
  return false;
}
