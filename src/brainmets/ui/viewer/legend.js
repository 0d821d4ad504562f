// What the colours over the image mean: the probability map, or where two models differ.

const STEPS = 24; // of the strip of colours

class Legend {
  constructor(bench) {
    this.bench = bench;
    this.root = element("div", "legend");
    if (bench.data.other) this.#dispute(bench.data);
    else this.#probability();
    this.fill();
  }

  #probability() {
    const strip = element("div", "strip");
    const colours = Array.from({ length: STEPS + 1 }, (_, n) => `rgb(${heat(n / STEPS).map(Math.round).join(" ")})`);
    strip.style.background = `linear-gradient(to right, ${colours.join(", ")})`;
    strip.setAttribute("role", "img");
    strip.setAttribute("aria-label", "Colours of the lesion probability, from 0 % dark blue to 100 % yellow");
    this.root.append(
      element("span", "name", "Lesion probability"), element("span", "", "0 %"), strip, element("span", "", "100 %"));
    this.shows = "map";
  }

  #dispute({ model, other }) {
    const rows = [["both", "both models"], ["mine", `only ${model}`], ["theirs", `only ${other.model}`]];
    for (const [colour, text] of rows) {
      const row = element("span", "", text);
      const dot = element("i", "dot");
      dot.style.background = `rgb(${COLOURS[colour].join(" ")})`;
      row.prepend(dot);
      this.root.append(row);
    }
    this.shows = "differ";
  }

  fill() {
    this.root.hidden = !this.bench.look[this.shows];
  }
}
