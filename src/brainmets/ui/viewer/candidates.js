// Lesions at any operating point, found in the browser: what the slider shows while it moves.
//
// The stored bytes count the levels that a probability reaches, so a comparison with a level is
// the service's own comparison. Diameters come from the service, which has the last word.

const MOST_CANDIDATES = 2_000_000; // voxels; beyond them a threshold marks no lesions but the head
const MOST_LESIONS = 65_000; // ids are 16 bits wide
const MIDLINE_MM = 3; // as the service's own

class Candidates {
  constructor(scan, { midline_x_mm: midline }) {
    this.scan = scan;
    this.midline = midline;
    const { probability } = scan;
    const counts = new Uint32Array(257);
    for (let at = 0; at < probability.length; at++) counts[probability[at]]++;
    this.floor = 256; // the lowest byte that still leaves few enough voxels
    for (let held = 0; this.floor > 1 && held + counts[this.floor - 1] <= MOST_CANDIDATES;) held += counts[--this.floor];
    let number = 0;
    for (let byte = this.floor; byte < 256; byte++) number += counts[byte];
    this.where = new Uint32Array(number); // all that could ever be marked, in memory order
    for (let at = 0, n = 0; n < number; at++) if (probability[at] >= this.floor) this.where[n++] = at;
    this.chosen = new Uint32Array(number);
    this.parent = new Uint32Array(number);
    this.group = new Uint32Array(number);
    this.slot = new Int32Array(probability.length).fill(-1);
    this.spare = [new Uint16Array(probability.length), new Uint16Array(probability.length)];
    this.steps = earlierNeighbours(scan);
    this.jumps = Int32Array.from(this.steps, ([, , jump]) => jump);
  }

  // Components at or above `threshold` whose best voxel reaches `peak`, largest first;
  // null where the threshold separates nothing.
  find({ threshold, peak, min_volume_mm3: least = 0 }) {
    const { scan, where, chosen } = this;
    const low = scan.byteOf(threshold), top = scan.byteOf(peak);
    if (low < this.floor) return null;
    const { probability } = scan;
    let number = 0;
    for (let n = 0; n < where.length; n++) if (probability[where[n]] >= low) chosen[number++] = where[n];
    this.#join(number);
    const voxel = scan.spacing.reduce((a, b) => a * b, 1);
    const groups = this.#measure(number);
    const kept = groups.voxels
      .map((_, group) => group)
      .filter((group) => groups.top[group] >= top && groups.voxels[group] * voxel >= least)
      .map((group) => this.#lesion(group, groups, voxel))
      .sort(byVolumeAndPlace)
      .slice(0, MOST_LESIONS);
    const ids = new Uint16Array(groups.voxels.length);
    kept.forEach((one, n) => (ids[one.group] = n + 1));
    this.spare.reverse(); // what is on the screen stays as it is
    const [labels] = this.spare;
    for (let n = 0; n < where.length; n++) labels[where[n]] = 0;
    for (let n = 0; n < number; n++) labels[chosen[n]] = ids[this.group[n]];
    return { labels, lesions: kept.map((one, n) => ({ ...one, id: n + 1 })) };
  }

  // Union by the neighbours seen before; afterwards `parent` is each voxel's first companion.
  #join(number) {
    const { parent, slot, chosen, steps, jumps } = this;
    const [nx, ny] = this.scan.shape;
    for (let n = 0; n < number; n++) {
      const at = chosen[n];
      parent[n] = n;
      slot[at] = n;
      const x = at % nx, y = Math.floor(at / nx) % ny;
      const inside = x > 0 && y > 0 && x < nx - 1 && y < ny - 1;
      for (let k = 0; k < jumps.length; k++) {
        if (!inside) {
          const u = x + steps[k][0], v = y + steps[k][1];
          if (u < 0 || v < 0 || u >= nx || v >= ny) continue;
        }
        const other = slot[at + jumps[k]]; // before the first voxel there is none: undefined
        if (other >= 0) this.#unite(n, other);
      }
    }
    for (let n = 0; n < number; n++) {
      slot[chosen[n]] = -1;
      parent[n] = parent[parent[n]]; // an earlier voxel, which points at its root already
    }
  }

  #unite(n, other) {
    const a = this.#root(n), b = this.#root(other);
    if (a < b) this.parent[b] = a;
    else this.parent[a] = b;
  }

  #root(n) {
    const { parent } = this;
    while (parent[n] !== n) {
      parent[n] = parent[parent[n]];
      n = parent[n];
    }
    return n;
  }

  // Number, best byte and sums of places of each component; a root comes before all it holds.
  #measure(number) {
    const { group, chosen, parent } = this;
    const { probability, shape: [nx, ny] } = this.scan;
    const groups = { voxels: [], top: [], x: [], y: [], z: [] };
    for (let n = 0; n < number; n++) {
      if (parent[n] === n) {
        group[n] = groups.voxels.length;
        for (const name in groups) groups[name].push(0);
      }
      const mine = (group[n] = group[parent[n]]);
      const at = chosen[n];
      groups.voxels[mine]++;
      if (probability[at] > groups.top[mine]) groups.top[mine] = probability[at];
      groups.x[mine] += at % nx;
      groups.y[mine] += Math.floor(at / nx) % ny;
      groups.z[mine] += Math.floor(at / (nx * ny));
    }
    return groups;
  }

  #lesion(group, groups, voxel) {
    const [voxels, top, x, y, z] = ["voxels", "top", "x", "y", "z"].map((name) => groups[name][group]);
    const { scan } = this;
    const centroid = scan.toMillimetres([x / voxels, y / voxels, z / voxels]);
    const off = centroid[0] - this.midline;
    const side = scan.meta.kind === "slices" ? "unknown"
      : Math.abs(off) <= MIDLINE_MM ? "midline" : off > 0 ? "right" : "left";
    return {
      group, voxels, side,
      volume_mm3: voxels * voxel,
      centroid_ras_mm: centroid,
      peak_probability: scan.chance[top],
      preview: true,
    };
  }
}

// As the service orders them, so that a lesion has one number in both.
function byVolumeAndPlace(a, b) {
  if (a.voxels !== b.voxels) return b.voxels - a.voxels;
  for (let axis = 0; axis < 3; axis++) {
    const apart = Math.round(a.centroid_ras_mm[axis] * 1000) - Math.round(b.centroid_ras_mm[axis] * 1000);
    if (apart) return apart;
  }
  return a.group - b.group;
}

// The neighbours that come earlier in memory: 13 in space, 4 within one slice.
function earlierNeighbours({ shape: [nx, ny], meta }) {
  const steps = [];
  for (let dz = meta.kind === "slices" ? 0 : -1; dz <= 0; dz++) {
    for (let dy = -1; dy <= 1; dy++) {
      for (let dx = -1; dx <= 1; dx++) {
        if (dz < 0 || dy < 0 || (dy === 0 && dx < 0)) steps.push([dx, dy, dx + nx * (dy + ny * dz)]);
      }
    }
  }
  return steps;
}
