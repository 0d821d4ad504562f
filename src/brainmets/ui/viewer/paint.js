// Colouring a slice: grey levels, the lesions over them, the probability map, two models' dispute.

const COLOURS = {
  unread: [255, 176, 46], selected: [64, 224, 208], metastasis: [255, 112, 84],
  uncertain: [250, 226, 96], other: [206, 130, 255], not_a_lesion: [160, 160, 168],
  preview: [255, 255, 255], mine: [255, 176, 46], theirs: [224, 120, 255], both: [110, 200, 120],
};

// Paint `slice` on a canvas, a pixel a voxel. `other` paints what the second model says.
function paintSlice(canvas, slice, bench, { overlay = true, other = false, window = bench.look.window } = {}) {
  const { look, readings, scan } = bench;
  canvas.width = slice.columns;
  canvas.height = slice.rows;
  const context = canvas.getContext("2d");
  const image = context.createImageData(slice.columns, slice.rows);
  const [low, high] = window;
  const gain = 255 / Math.max(1, high - low);
  const out = image.data;
  for (let at = 0, o = 0; at < slice.gray.length; at++, o += 4) {
    const gray = Math.max(0, Math.min(255, (slice.gray[at] - low) * gain));
    let colour = null, mix = 0;
    if (look.differ && slice.others) {
      colour = dispute(slice.ids[at], slice.others[at], other);
      mix = Math.max(0.5, look.opacity);
    } else if (overlay && look.map && slice.chance[at]) {
      const chance = scan.chance[slice.chance[at]];
      colour = heat(chance);
      mix = Math.max(0.35, look.opacity) * Math.min(1, chance * 1.6);
    } else if (overlay && slice.ids[at]) {
      const id = slice.ids[at];
      colour = other ? COLOURS.theirs : bench.colourOf(id);
      mix = look.opacity * (readings.out(id) ? 0.5 : 1);
    }
    out[o] = colour ? gray + (colour[0] - gray) * mix : gray;
    out[o + 1] = colour ? gray + (colour[1] - gray) * mix : gray;
    out[o + 2] = colour ? gray + (colour[2] - gray) * mix : gray;
    out[o + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

// Where two models agree and where only one of them marks; the same colours in both panes.
function dispute(mine, theirs, other) {
  if (mine && theirs) return COLOURS.both;
  if (mine) return other ? COLOURS.theirs : COLOURS.mine;
  if (theirs) return other ? COLOURS.mine : COLOURS.theirs;
  return null;
}

// Dark blue through teal to yellow: rises evenly in lightness, legible to colour-blind eyes.
function heat(chance) {
  return chance < 0.5
    ? [40 + 20 * chance, 60 + 200 * chance, 140 + 60 * chance]
    : [50 + 410 * (chance - 0.5), 160 + 140 * (chance - 0.5), 170 - 260 * (chance - 0.5)];
}
