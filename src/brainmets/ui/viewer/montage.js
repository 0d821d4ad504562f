// Without WebGL2: the neighbourhood of each lesion, side by side, instead of the head in space.

const MOST_TILES = 16;
const TILE_MM = 64; // an edge: room around a large metastasis

class Montage {
  constructor(bench) {
    this.bench = bench;
    this.plane = "render";
    this.root = element("figure", "pane montage");
    this.root.dataset.plane = "render";
    this.tiles = element("div", "tiles");
    this.caption = element("figcaption");
    this.root.append(this.tiles, this.caption);
    this.root.addEventListener("dblclick", () => bench.promote("render"));
    this.labelled();
  }

  labelled() {
    const { lesions } = this.bench;
    const shown = lesions.slice(0, MOST_TILES);
    const more = lesions.length - shown.length;
    this.caption.textContent = `Each lesion${more > 0 ? `, ${more} more below` : ""} · this browser has no WebGL2 for the 3-D view`;
    this.tiles.style.setProperty("--columns", Math.max(1, Math.ceil(Math.sqrt(shown.length))));
    this.tiles.replaceChildren(...shown.map((lesion) => this.#tile(lesion)));
    this.draw();
  }

  #tile(lesion) {
    const tile = button("", () => this.bench.goTo(lesion), { title: `Go to lesion ${lesion.id}`, className: "tile" });
    tile.dataset.id = lesion.id;
    tile.append(element("canvas"), element("span", "", String(lesion.id)));
    return tile;
  }

  coloured() {
    this.draw();
  }

  moved() {
    for (const tile of this.tiles.children) {
      tile.setAttribute("aria-current", String(Number(tile.dataset.id) === this.bench.selected));
    }
  }

  draw() {
    const { bench } = this;
    const whole = document.createElement("canvas");
    for (const tile of this.tiles.children) {
      const lesion = bench.lesions.find((one) => one.id === Number(tile.dataset.id));
      if (!lesion) continue;
      const voxel = bench.scan.toVoxel(lesion.centroid_ras_mm);
      const slice = bench.scan.slice("axial", bench.scan.inside(voxel)[2], bench.look.mirrored);
      paintSlice(whole, slice, bench);
      const [x, y] = bench.scan.spacing;
      const u = bench.look.mirrored ? voxel[0] : slice.columns - 1 - voxel[0], v = slice.rows - 1 - voxel[1];
      const wide = TILE_MM / x, high = TILE_MM / y;
      const canvas = tile.firstChild;
      Object.assign(canvas, { width: 160, height: 160 });
      const context = canvas.getContext("2d");
      context.imageSmoothingQuality = "high";
      context.drawImage(whole, u + 0.5 - wide / 2, v + 0.5 - high / 2, wide, high, 0, 0, 160, 160);
    }
    this.moved();
  }

  toggleCut() {}

  close() {}
}
