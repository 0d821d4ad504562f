// A lesion grown from one point: what is as bright, and as probable, as its surroundings are not.

const REACH_MM = 20; // no lesion is grown farther from the click
const SHELL_MM = 12; // beyond it lies what the lesion is compared with
const SEED_MM = 1.6; // the click's own neighbourhood, whose brightest voxel is the seed
const LEVELS = 64; // steps of likeness, 0…63
const PROBABILITY_SHARE = 0.35; // of a voxel's likeness, where the network has seen anything
const LEAST_PROBABILITY = 0.02;
const FEWEST_VOXELS = 4;
const BALL_MM = 1.5;
const BORDER_SHARE = 0.9; // of the most that a level's border stands out: still the border
const LOWEST = 0.25, HIGHEST = 0.85; // of the levels, for the border that is proposed first
const END_MM = 1.5; // before the end of the reach
const RIM_MM = 8; // a bright rim is looked for so far from the click
const RIM_RANK = 0.97; // its brightness among what lies so near
const RIM_SHARE = 0.6; // of the way from the surroundings to it

class Growth {
  // `voxel` is where the reader clicked; null likeness where there is nothing to grow.
  constructor(scan, voxel) {
    this.scan = scan;
    this.seed = voxel;
    const { shape, spacing, labels } = scan;
    this.from = voxel.map((v, axis) => Math.max(0, v - Math.ceil(REACH_MM / spacing[axis])));
    this.to = voxel.map((v, axis) => Math.min(shape[axis] - 1, v + Math.ceil(REACH_MM / spacing[axis])));
    if (scan.meta.kind === "slices") this.from[2] = this.to[2] = voxel[2];
    this.size = this.from.map((low, axis) => this.to[axis] - low + 1);
    const number = this.size[0] * this.size[1] * this.size[2];
    this.at = new Uint32Array(number); // each box voxel's place in the scan
    this.away = new Float32Array(number); // from the click, in mm
    this.free = new Uint8Array(number);
    for (let z = 0, n = 0; z < this.size[2]; z++) {
      for (let y = 0; y < this.size[1]; y++) {
        for (let x = 0; x < this.size[0]; x++, n++) {
          const one = [this.from[0] + x, this.from[1] + y, this.from[2] + z];
          this.at[n] = scan.index(one);
          this.away[n] = Math.hypot(...one.map((v, axis) => (v - voxel[axis]) * spacing[axis]));
          this.free[n] = this.away[n] <= REACH_MM && !labels[this.at[n]] ? 1 : 0;
        }
      }
    }
    this.#neighbours();
    const first = this.#brightest(voxel);
    this.#growFrom(first, scan.image[this.at[first]]);
    this.#tryRim(voxel);
    this.#trySurface(voxel, first);
  }

  #place(voxel) {
    const [x, y, z] = voxel.map((v, axis) => v - this.from[axis]);
    return x + this.size[0] * (y + this.size[1] * z);
  }

  // Steps to the six faces' neighbours; a border of voxels that are not free keeps them inside.
  #neighbours() {
    const [nx, ny, nz] = this.size;
    const flat = nz === 1;
    this.steps = flat ? [1, -1, nx, -nx] : [1, -1, nx, -nx, nx * ny, -nx * ny];
    for (let n = 0; n < this.free.length; n++) {
      const x = n % nx, y = Math.floor(n / nx) % ny, z = Math.floor(n / (nx * ny));
      const edge = x === 0 || y === 0 || x === nx - 1 || y === ny - 1 || (!flat && (z === 0 || z === nz - 1));
      if (edge) this.free[n] = 0;
    }
    const around = [];
    for (let n = 0; n < this.at.length; n++) if (this.free[n] && this.away[n] > SHELL_MM) around.push(this.scan.image[this.at[n]]);
    this.usual = rank(around, 0.5);
  }

  // The free voxel next to the click that stands out most: a hand misses a small lesion by a voxel.
  #brightest(voxel) {
    const { scan: { image, spacing }, at, away, free, usual } = this;
    const reach = Math.max(SEED_MM, Math.max(...spacing) * 1.01);
    const apart = (n) => Math.abs(image[at[n]] - usual);
    let best = this.#place(voxel);
    const brighter = image[at[best]] >= usual;
    for (let n = 0; n < at.length; n++) {
      if (free[n] && away[n] <= reach && image[at[n]] >= usual === brighter && apart(n) > apart(best)) best = n;
    }
    return best;
  }

  #growFrom(first, bright) {
    this.#compare(first, bright);
    this.#reach(first);
    this.level = this.#best();
  }

  // A click into the dark middle of a bright rim means the whole of it.
  #tryRim(voxel) {
    const { scan: { image }, at, away, free, usual } = this;
    const near = [];
    for (let n = 0; n < at.length; n++) if (free[n] && away[n] <= RIM_MM) near.push(image[at[n]]);
    const bright = rank(near, RIM_RANK);
    const limit = usual + RIM_SHARE * (bright - usual);
    const clicked = this.#place(voxel);
    if (bright <= usual || image[at[clicked]] >= limit) return;
    let first = -1;
    for (let n = 0; n < at.length; n++) {
      if (free[n] && image[at[n]] >= limit && away[n] <= RIM_MM && (first < 0 || away[n] < away[first])) first = n;
    }
    const { likeness, joined, level } = this;
    if (first >= 0) {
      this.#growFrom(first, bright);
      for (const least = LOWEST * LEVELS; this.level > least; this.level -= 2) { // until the rim is closed
        if (this.voxels().includes(at[clicked])) return;
      }
    }
    Object.assign(this, { likeness, joined, level }); // no rim around the click
  }

  // Where what was grown stands out from nothing: a closed surface around the click, if that does;
  // where nothing does, a small ball to begin with.
  #trySurface(voxel, first) {
    const { scan, at, away, free, usual, size } = this;
    if (this.#contrast(this.voxels()) > 0 || size[2] === 1) return;
    const near = [];
    for (let n = 0; n < at.length; n++) if (free[n] && away[n] <= RIM_MM) near.push(scan.image[at[n]]);
    const radii = closedSurface(scan, voxel, { usual, brightest: rank(near, BRIGHTEST_RANK), reach_mm: REACH_MM });
    const { joined, level } = this;
    if (radii) {
      this.#enclose(voxel, (off, length) => radiusTowards(radii, off, length));
      if (this.#contrast(this.voxels()) > 0) return;
    }
    Object.assign(this, { joined, level });
    if (this.voxels().length < FEWEST_VOXELS) this.#enclose(this.#voxel(first), () => BALL_MM);
  }

  // Levels by how far a voxel is from `centre`, as a share of the surface's distance there.
  #enclose(centre, radius) {
    const { scan: { spacing }, free, joined: { length: number } } = this;
    this.level = LEVELS / 2;
    this.joined = new Uint8Array(number);
    for (let n = 0; n < number; n++) {
      if (!free[n]) continue;
      const off = this.#voxel(n).map((v, axis) => (v - centre[axis]) * spacing[axis]);
      const length = Math.hypot(...off);
      const inside = radius(off, length) / Math.max(length, 0.01);
      this.joined[n] = 1 + Math.max(0, Math.min(LEVELS - 1, Math.floor(this.level * inside)));
    }
  }

  #voxel(n) {
    const [nx, ny] = this.size;
    return [n % nx, Math.floor(n / nx) % ny, Math.floor(n / (nx * ny))].map((v, axis) => v + this.from[axis]);
  }

  // How much brighter the voxels of a border are than their neighbours beyond it, summed up.
  #contrast(found) {
    const { scan: { image, shape: [nx, ny] }, usual } = this;
    const inside = new Set(found);
    const brightness = (at) => Math.max(usual, image[at]);
    let sum = 0;
    for (const at of found) {
      for (const step of [1, -1, nx, -nx, nx * ny, -nx * ny]) {
        if (!inside.has(at + step)) sum += brightness(at) - brightness(at + step);
      }
    }
    return sum;
  }

  // How much each voxel is like `bright` rather than like the surroundings, 0…LEVELS-1.
  #compare(first, bright) {
    const { scan: { image, probability, chance }, at, free, usual } = this;
    const seen = chance[probability[at[first]]];
    const span = Math.abs(bright - usual) < 1 ? 1 : bright - usual;
    const share = seen >= LEAST_PROBABILITY ? PROBABILITY_SHARE : 0;
    this.likeness = new Uint8Array(at.length);
    for (let n = 0; n < at.length; n++) {
      if (!free[n]) continue;
      const grey = Math.max(0, Math.min(1, (image[at[n]] - usual) / span));
      const likely = share ? Math.min(1, chance[probability[at[n]]] / seen) : 0;
      this.likeness[n] = Math.round((LEVELS - 1) * ((1 - share) * grey + share * likely));
    }
  }

  // For each voxel the highest level at which it is still joined to the seed: a flood from the seed
  // that always goes on with the most alike.
  #reach(first) {
    const { likeness, free, steps } = this;
    const joined = (this.joined = new Uint8Array(likeness.length)); // level + 1; 0 is never
    if (!free[first]) return;
    const waiting = Array.from({ length: LEVELS }, () => []);
    joined[first] = LEVELS;
    waiting[LEVELS - 1].push(first);
    for (let level = LEVELS - 1; level >= 0; level--) {
      const now = waiting[level];
      while (now.length) {
        const n = now.pop();
        for (let k = 0; k < steps.length; k++) {
          const other = n + steps[k];
          if (!free[other] || joined[other]) continue;
          const reached = Math.min(level, likeness[other]);
          joined[other] = reached + 1;
          waiting[reached].push(other);
        }
      }
    }
  }

  // The level whose border stands out most from what lies beyond it: each pair of neighbours is
  // such a border at the levels between their own.
  #best() {
    const { joined, likeness, free, steps } = this;
    const pairs = new Float64Array(LEVELS + 2), contrast = new Float64Array(LEVELS + 2), voxels = new Float64Array(LEVELS + 2);
    for (let n = 0; n < joined.length; n++) {
      if (!joined[n]) continue;
      voxels[0]++;
      voxels[joined[n]]--;
      for (let k = 0; k < steps.length; k++) {
        const other = n + steps[k];
        if (!free[other] || joined[other] >= joined[n]) continue;
        const apart = likeness[n] - likeness[other];
        pairs[joined[other]]++;
        pairs[joined[n]]--;
        contrast[joined[other]] += apart;
        contrast[joined[n]] -= apart;
      }
    }
    let lowest = Math.round(LOWEST * LEVELS); // below the level at which the reach's end is met it leaks
    for (let n = 0; n < joined.length; n++) {
      if (free[n] && this.away[n] > REACH_MM - END_MM) lowest = Math.max(lowest, joined[n]);
    }
    let best = Math.max(lowest, Math.round(LEVELS / 2)), most = -1;
    const stands = new Float64Array(LEVELS); // how much a level's border stands out
    for (let level = 0, p = 0, c = 0, v = 0; level < LEVELS; level++) {
      p += pairs[level];
      c += contrast[level];
      v += voxels[level];
      if (level < lowest || level > Math.max(lowest, HIGHEST * LEVELS) || v < FEWEST_VOXELS || !p) continue;
      stands[level] = c / p;
      if (c / p > most) [best, most] = [level, c / p];
    }
    // A border voxel is lesion in part: down to where the border stands out clearly less.
    while (most > 0 && stands[best - 1] >= BORDER_SHARE * most) best--;
    return best;
  }

  // Places in the scan that belong to the lesion at `level`, holes within it filled.
  voxels(level = this.level) {
    const { joined, at, free, steps } = this;
    const outer = new Uint8Array(joined.length); // reached from beyond the reach
    const waiting = [];
    for (let n = 0; n < joined.length; n++) if (!free[n]) outer[n] = 1;
    for (let n = 0; n < joined.length; n++) {
      if (free[n] && joined[n] <= level && steps.some((step) => !free[n + step])) {
        outer[n] = 1;
        waiting.push(n);
      }
    }
    while (waiting.length) {
      const n = waiting.pop();
      for (let k = 0; k < steps.length; k++) {
        const other = n + steps[k];
        if (outer[other] || joined[other] > level) continue;
        outer[other] = 1;
        waiting.push(other);
      }
    }
    const found = [];
    for (let n = 0; n < joined.length; n++) if (!outer[n]) found.push(at[n]);
    return found;
  }
}

// The value below which `share` of them lie.
function rank(values, share) {
  const sorted = Float64Array.from(values).sort();
  return sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] : 0;
}
