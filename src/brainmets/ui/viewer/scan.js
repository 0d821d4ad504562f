// A scan's display copies in the browser's memory: x runs right, y front, z up; x fastest.

const TOP_LEVEL = 4095;
const PREVIEW = 65535; // stands in a slice for what is being grown, until it is accepted

// How each plane is on the screen: across, down and through as [axis, direction].
// Direction -1 runs from the axis's end: up the screen for y and z.
const PLANES = {
  axial: { across: [0, -1], down: [1, -1], through: 2, name: "Axial", ends: ["R", "L", "A", "P"] },
  coronal: { across: [0, -1], down: [2, -1], through: 1, name: "Coronal", ends: ["R", "L", "S", "I"] },
  sagittal: { across: [1, -1], down: [2, -1], through: 0, name: "Sagittal", ends: ["A", "P", "S", "I"] },
};

async function gunzipBase64(text) {
  const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

class Scan {
  constructor(meta, image, probability, labels) {
    Object.assign(this, { meta, image, probability, labels });
    this.preview = null; // places of a lesion that is being grown: shown, but in no mask yet
    this.sources = [{ image, levels: meta.levels, window: [...meta.window], first: meta.window }];
    this.source = 0; // which of the images of the examination is shown
    this.shape = meta.shape;
    this.spacing = meta.spacing_mm;
    this.inverse = invertAffine(meta.affine);
    this.chance = Float64Array.of(0, ...meta.probability_levels); // by byte: the level it reaches
  }

  // The lowest byte that says "at least this probability"; 256 where none can.
  byteOf(probability) {
    const found = this.chance.findIndex((level, byte) => byte && level >= probability - 1e-9);
    return found < 0 ? 256 : found;
  }

  static async load(service, job, meta, other) {
    const parts = ["image.u16", "probability.u8", "labels.u8"].map((part) => `${job}/view/${part}`);
    if (other) parts.push(`${other}/view/labels.u8`);
    const [image, probability, ...labels] = await Promise.all(parts.map((path) => service.bytes(path)));
    const ids = labels.map((part) => Uint16Array.from(new Uint8Array(part)));
    const scan = new Scan(meta, new Uint16Array(image), new Uint8Array(probability), ids[0]);
    scan.others = ids[1] ?? null;
    scan.wrapped = true; // the service's ids are bytes: beyond 255 they begin again at 1
    return scan;
  }

  index([x, y, z]) {
    return x + this.shape[0] * (y + this.shape[1] * z);
  }

  toVoxel(mm) {
    return this.inverse.map((row) => row[0] * mm[0] + row[1] * mm[1] + row[2] * mm[2] + row[3]);
  }

  toMillimetres(voxel) {
    return this.meta.affine
      .slice(0, 3)
      .map((row) => row[0] * voxel[0] + row[1] * voxel[1] + row[2] * voxel[2] + row[3]);
  }

  inside(voxel) {
    return voxel.map((v, axis) => Math.max(0, Math.min(this.shape[axis] - 1, Math.round(v))));
  }

  // The input's own slice number of a display position along an axis, from 1.
  nativeNumber(axis, position) {
    const { native_axes, native_flips, native_shape, step } = this.meta;
    const at = position * step;
    return native_flips[axis] ? native_shape[native_axes[axis]] - at : at + 1;
  }

  get levels() {
    return this.sources[this.source].levels;
  }

  value(voxel) {
    const [low, high] = this.levels;
    return low + (this.sources[this.source].image[this.index(voxel)] / TOP_LEVEL) * (high - low);
  }

  // Grey level at which the head begins, and the box of voxels that holds the head.
  get surface() {
    this.begins ??= Math.max(TOP_LEVEL * 0.03, this.meta.window[1] * 0.2);
    return this.begins;
  }

  get box() {
    this.held ??= headBox(this);
    return this.held;
  }

  // The voxel of a lesion nearest to `voxel`: the middle of a bent lesion lies outside it. With an
  // axis, one in the same slice across it where there is any.
  nearestOf(id, voxel, across = -1) {
    const mark = this.wrapped ? ((id - 1) % 255) + 1 : id;
    const here = this.inside(voxel);
    if (this.labels[this.index(here)] === mark) return here;
    const [nx, ny] = this.shape;
    let best = here, least = Infinity;
    for (let at = this.labels.indexOf(mark); at >= 0; at = this.labels.indexOf(mark, at + 1)) {
      const one = [at % nx, Math.floor(at / nx) % ny, Math.floor(at / (nx * ny))];
      const far = this.spacing.map((mm, axis) => (one[axis] - voxel[axis]) * (axis === across ? 1e3 : mm));
      const away = far.reduce((sum, mm) => sum + mm ** 2, 0);
      if (away < least) [best, least] = [one, away];
    }
    return best;
  }

  // One slice as three arrays in screen order. `mirrored` is the neurological display; with `slab`
  // the brightest, likeliest and nearest lesion within so many slices to each side.
  slice(plane, position, mirrored, slab = 0, source = this.source) {
    const { image } = this.sources[source];
    const { across, down, through } = PLANES[plane];
    const columns = this.shape[across[0]];
    const rows = this.shape[down[0]];
    const stride = [1, this.shape[0], this.shape[0] * this.shape[1]];
    const direction = mirrored && across[0] === 0 ? -across[1] : across[1];
    const gray = new Uint16Array(columns * rows);
    const chance = new Uint8Array(columns * rows);
    const ids = new Uint16Array(columns * rows);
    const others = this.others && new Uint16Array(columns * rows);
    for (let row = 0, at = 0; row < rows; row++) {
      const v = down[1] < 0 ? rows - 1 - row : row;
      const base = position * stride[through] + v * stride[down[0]];
      for (let column = 0; column < columns; column++, at++) {
        const u = direction < 0 ? columns - 1 - column : column;
        const from = base + u * stride[across[0]];
        gray[at] = image[from];
        chance[at] = this.probability[from];
        ids[at] = this.preview?.has(from) ? PREVIEW : this.labels[from];
        if (others) others[at] = this.others[from];
      }
    }
    const shown = { columns, rows, gray, chance, ids, others };
    for (let off = 1; off <= slab; off++) {
      for (const at of [position - off, position + off]) {
        if (at >= 0 && at < this.shape[through]) brighten(shown, this.slice(plane, at, mirrored, 0, source));
      }
    }
    return shown;
  }
}

function brighten(shown, slice) {
  for (let at = 0; at < shown.gray.length; at++) {
    if (slice.gray[at] > shown.gray[at]) shown.gray[at] = slice.gray[at];
    if (slice.chance[at] > shown.chance[at]) shown.chance[at] = slice.chance[at];
    if (!shown.ids[at]) shown.ids[at] = slice.ids[at];
    if (shown.others && !shown.others[at]) shown.others[at] = slice.others[at];
  }
}

const EDGE_SHARE = 0.01; // of a slice across an axis: less is noise next to the head
const BOX_STRIDE = 3; // every third voxel along each axis is enough to locate the head

function headBox({ image, shape, surface, meta }) {
  const counts = shape.map((n) => new Uint32Array(n));
  const [nx, ny, nz] = shape;
  for (let z = 0; z < nz; z += BOX_STRIDE) {
    for (let y = 0; y < ny; y += BOX_STRIDE) {
      for (let x = 0; x < nx; x += BOX_STRIDE) {
        if (image[x + nx * (y + ny * z)] < surface) continue;
        counts[0][x]++;
        counts[1][y]++;
        counts[2][z]++;
      }
    }
  }
  return counts.map((along, axis) => {
    const least = EDGE_SHARE * (nx * ny * Math.max(nz, BOX_STRIDE)) / shape[axis] / BOX_STRIDE ** 2;
    if (axis === 2 && meta.kind === "slices") return [0, shape[axis] - 1]; // each is a picture of its own
    const first = along.findIndex((count) => count > least);
    const last = along.findLastIndex((count) => count > least);
    return first < 0 ? [0, shape[axis] - 1] : [Math.max(0, first - BOX_STRIDE), Math.min(shape[axis] - 1, last + BOX_STRIDE)];
  });
}

function invertAffine(m) {
  const [[a, b, c, x], [d, e, f, y], [g, h, i, z]] = m;
  const A = e * i - f * h, B = f * g - d * i, C = d * h - e * g;
  const det = a * A + b * B + c * C;
  const rows = [
    [A / det, (c * h - b * i) / det, (b * f - c * e) / det],
    [B / det, (a * i - c * g) / det, (c * d - a * f) / det],
    [C / det, (b * g - a * h) / det, (a * e - b * d) / det],
  ];
  return rows.map((r) => [...r, -(r[0] * x + r[1] * y + r[2] * z)]);
}
