// A closed surface around a point: the radius in each direction at which the image falls off most,
// neighbouring directions alike. It finds a ring with a dark middle and gaps in its rim.

const RAYS = 162;
const NEIGHBOURS = 6; // of each ray
const RAY_STEP_MM = 0.5;
const EDGE_STEPS = 3; // before and after a border, whose means are compared
const ROUNDS = 12;
const STIFFNESS = 0.12; // against a radius that is unlike its neighbours'
const LEAST_ROUND = 0.65; // 1 is a sphere: below it no one thing is enclosed
const CONE = 0.9; // cosine: rays so near a voxel's direction say how far the surface is there
const BRIGHTEST_RANK = 0.97; // brighter than this among what is near counts as this bright

const DIRECTIONS = Array.from({ length: RAYS }, (_, k) => {
  const z = 1 - (2 * k + 1) / RAYS, around = k * Math.PI * (3 - Math.sqrt(5)), out = Math.sqrt(1 - z * z);
  return [out * Math.cos(around), out * Math.sin(around), z];
});
const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];

// Radii in mm by ray, or null where nothing around the point is brighter than `usual`.
function closedSurface(scan, centre, { usual, brightest, reach_mm }) {
  const steps = Math.round(reach_mm / RAY_STEP_MM);
  const falls = DIRECTIONS.map((direction) => fallsAlong(scan, centre, direction, { usual, brightest, steps }));
  const mean = Float64Array.from({ length: steps + 1 }, (_, r) => falls.reduce((sum, one) => sum + Math.max(0, one[r]), 0) / RAYS);
  let best = null;
  for (let r = 1; r <= steps; r++) { // from every sphere whose border stands out more than its neighbours'
    if (!mean[r] || mean[r] < mean[r - 1] || mean[r] < (mean[r + 1] ?? 0)) continue;
    const radii = settled(falls, r, mean[r]);
    const round = 1 - spread(radii) / average(radii);
    const score = round < LEAST_ROUND ? 0 : (round * radii.reduce((sum, one, k) => sum + falls[k][one], 0)) / RAYS;
    if (!best || score > best.score) best = { score, radii };
  }
  return best && best.score > 0 ? best.radii.map((r) => r * RAY_STEP_MM) : null;
}

// How much darker it is beyond each step than before it.
function fallsAlong(scan, centre, direction, { usual, brightest, steps }) {
  const seen = Float64Array.from({ length: steps + EDGE_STEPS + 1 }, (_, n) => {
    const place = centre.map((v, axis) => v + (direction[axis] * n * RAY_STEP_MM) / scan.spacing[axis]);
    return Math.max(usual, Math.min(brightest, between8(scan, place)));
  });
  const falls = new Float64Array(steps + 1);
  for (let r = 1; r <= steps; r++) {
    const before = seen.subarray(Math.max(0, r - EDGE_STEPS), r), after = seen.subarray(r + 1, r + EDGE_STEPS + 1);
    falls[r] = average(before) - average(after);
  }
  return falls;
}

const average = (values) => values.reduce((sum, one) => sum + one, 0) / values.length;

function spread(values) {
  const mean = average(values);
  return Math.sqrt(average(values.map((one) => (one - mean) ** 2)));
}

// The image between its eight voxels around a place.
function between8({ image, shape }, place) {
  const low = place.map(Math.floor), share = place.map((v, axis) => v - low[axis]);
  let sum = 0;
  for (let corner = 0; corner < 8; corner++) {
    let weight = 1, at = 0;
    for (let axis = 2; axis >= 0; axis--) {
      const up = (corner >> axis) & 1;
      weight *= up ? share[axis] : 1 - share[axis];
      at = at * shape[axis] + Math.max(0, Math.min(shape[axis] - 1, low[axis] + up));
    }
    sum += weight * image[at];
  }
  return sum;
}

// Each ray's best radius, given its neighbours'; over and over.
function settled(falls, start, scale) {
  let radii = new Array(RAYS).fill(start);
  for (let round = 0; round < ROUNDS; round++) {
    radii = radii.map((_, k) => {
      const usual = average(nearRays()[k].map((other) => radii[other]));
      let best = start, most = -Infinity;
      for (let r = 1; r < falls[k].length; r++) {
        const value = falls[k][r] / scale - (STIFFNESS * (r - usual) ** 2) / Math.max(1, usual / 4);
        if (value > most) [best, most] = [r, value];
      }
      return best;
    });
  }
  return radii;
}

let rayNeighbours = null;
function nearRays() {
  rayNeighbours ??= DIRECTIONS.map((one, k) => DIRECTIONS.map((other, n) => [n === k ? -2 : dot(one, other), n])
    .sort(([a], [b]) => b - a).slice(0, NEIGHBOURS).map(([, n]) => n));
  return rayNeighbours;
}

// The surface's distance from its centre in the direction of `off`, which is `length` long.
function radiusTowards(radii, off, length) {
  if (!length) return radii[0];
  let sum = 0, weights = 0;
  for (let k = 0; k < RAYS; k++) {
    const near = dot(off, DIRECTIONS[k]) / length - CONE;
    if (near <= 0) continue;
    sum += radii[k] * near ** 3;
    weights += near ** 3;
  }
  return sum / weights;
}
