// A lesion's two diameters as lines in the slice they are measured in, as `inference.diameters`.

// The display axis across acquired slices and the display position of a lesion's slice.
function sliceOf({ meta }, { slice_index: index }) {
  if (!Number.isInteger(index)) return null;
  const { native_axes, native_flips, native_shape, slice_axis, step } = meta;
  const axis = native_axes.indexOf(slice_axis);
  const at = native_flips[axis] ? native_shape[slice_axis] - 1 - index : index;
  return { axis, position: Math.floor(at / step) };
}

// Both lines from end to end in display voxels, with their lengths in mm; null where the slice
// shows nothing of the lesion.
function diameterLines(scan, lesion) {
  const slice = sliceOf(scan, lesion);
  const voxels = slice ? voxelsIn(scan, slice, lesion.id) : [];
  return voxels.length ? linesThrough(scan, slice, voxels) : null;
}

function linesThrough(scan, slice, voxels) {
  const [a, b] = [0, 1, 2].filter((axis) => axis !== slice.axis);
  const steps = [scan.spacing[a], scan.spacing[b]];
  const points = voxels.map((voxel) => [voxel[a] * steps[0], voxel[b] * steps[1]]);
  const [from, to] = farthest(points);
  const apart = [to[0] - from[0], to[1] - from[1]];
  const distance = Math.hypot(...apart);
  const along = distance ? [apart[0] / distance, apart[1] / distance] : steps[0] >= steps[1] ? [1, 0] : [0, 1];
  const across = [-along[1], along[0]];
  const chord = longestChord(points, along, across);
  const own = (direction) => Math.hypot(direction[0] * steps[0], direction[1] * steps[1]);
  const line = (start, end, direction) => {
    const half = own(direction) / 2;
    const ends = [[start, -half], [end, half]].map(([point, more]) => {
      const voxel = [0, 0, 0];
      voxel[slice.axis] = slice.position;
      voxel[a] = (point[0] + more * direction[0]) / steps[0];
      voxel[b] = (point[1] + more * direction[1]) / steps[1];
      return voxel;
    });
    return { ends, mm: Math.hypot(end[0] - start[0], end[1] - start[1]) + 2 * half };
  };
  return { ...slice, longest: line(from, to, along), perpendicular: line(...chord, across) };
}

function voxelsIn(scan, { axis, position }, id) {
  const mark = scan.wrapped ? wrap(id) : id;
  const [a, b] = [0, 1, 2].filter((one) => one !== axis);
  const found = [];
  const voxel = [0, 0, 0];
  voxel[axis] = position;
  for (voxel[a] = 0; voxel[a] < scan.shape[a]; voxel[a]++) {
    for (voxel[b] = 0; voxel[b] < scan.shape[b]; voxel[b]++) {
      if (scan.labels[scan.index(voxel)] === mark) found.push([...voxel]);
    }
  }
  return found;
}

// The two points that are farthest apart: both are corners of the outline.
function farthest(points) {
  const corners = [...chain(points, 1), ...chain(points, -1)];
  let best = [corners[0], corners[0]], most = 0;
  for (const one of corners) {
    for (const other of corners) {
      const away = (one[0] - other[0]) ** 2 + (one[1] - other[1]) ** 2;
      if (away > most + 1e-9) [best, most] = [[one, other], away];
    }
  }
  return best;
}

// The longest line at right angles to `along` inside the points' convex outline, as its two ends.
function longestChord(points, along, across) {
  const turned = points.map(([x, y]) => [x * along[0] + y * along[1], x * across[0] + y * across[1]]);
  const upper = chain(turned, 1), lower = chain(turned, -1);
  let best = null, most = -1;
  for (const [at] of [...upper, ...lower]) {
    const low = heightAt(lower, at), high = heightAt(upper, at);
    if (high - low > most) [best, most] = [[at, low, high], high - low];
  }
  const [at, low, high] = best;
  return [low, high].map((height) => [at * along[0] + height * across[0], at * along[1] + height * across[1]]);
}

// Upper (`sign` 1) or lower (-1) convex chain of points, from left to right (Andrew 1979).
function chain(points, sign) {
  const round = (v) => Math.round(v * 1e9) / 1e9;
  const sorted = points.map(([x, y]) => [round(x), y]).sort((p, q) => p[0] - q[0] || sign * (p[1] - q[1]));
  const kept = [];
  for (const point of sorted) {
    if (kept.length && point[0] === kept.at(-1)[0]) kept.pop();
    while (kept.length > 1) {
      const [p, q] = kept.slice(-2);
      if (sign * ((q[0] - p[0]) * (point[1] - p[1]) - (q[1] - p[1]) * (point[0] - p[0])) < 0) break;
      kept.pop();
    }
    kept.push(point);
  }
  return kept;
}

function heightAt(points, x) {
  const next = points.findIndex(([at]) => at >= x - 1e-9);
  const [right, left] = [points[Math.max(0, next)], points[Math.max(0, next - 1)]];
  const share = right[0] === left[0] ? 1 : (x - left[0]) / (right[0] - left[0]);
  return left[1] + share * (right[1] - left[1]);
}
