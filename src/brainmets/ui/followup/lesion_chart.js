// Change over time of the chosen lesion: longest diameter and volume, over the days where they are known.

const CHART = { width: 420, height: 190, left: 44, right: 52, top: 22, bottom: 30 };
const SVG = "http://www.w3.org/2000/svg";

function svgElement(name, attributes, text = "") {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  return made;
}

class LesionChart {
  constructor({ days, lesions }) {
    this.days = days;
    this.lesions = lesions;
    this.root = element("figure", "lesion-chart");
    this.root.hidden = true;
  }

  show(id) {
    const lesion = this.lesions.find((one) => one.id === id);
    this.root.hidden = !lesion;
    if (!lesion) return;
    const seen = lesion.sightings.map((one, n) => ({ ...one, n })).filter(({ state }) => SEEN.has(state));
    const svg = svgElement("svg", { viewBox: `0 0 ${CHART.width} ${CHART.height}`, role: "img" });
    svg.setAttribute("aria-label", `Lesion ${id}: ${seen.map((one) => `${dayName(this.days[one.n], one.n)} ${millimetres(one.diameter_mm)} mm`).join(", ")}`);
    this.#frame(svg, seen);
    const colour = `rgb(${hueOf(id).join(" ")})`;
    this.#line(svg, seen, (one) => one.diameter_mm, { stroke: colour, title: (one) => `${millimetres(one.diameter_mm)} mm` });
    this.#line(svg, seen, (one) => one.volume_mm3 / 1000, { stroke: "currentColor", "stroke-dasharray": "4 4", title: (one) => `${millilitresOf(one)} ml` });
    this.root.replaceChildren(element("figcaption", "", `Lesion ${id}: longest diameter (line), volume (dashes)`), svg);
  }

  #x(n) {
    const known = this.days.every((day) => day !== null) && this.days.length > 1;
    const [first, last] = known ? [this.days[0], this.days.at(-1)] : [0, Math.max(1, this.days.length - 1)];
    const share = ((known ? this.days[n] : n) - first) / (last - first || 1);
    return CHART.left + share * (CHART.width - CHART.left - CHART.right);
  }

  #y(value, most) {
    return CHART.height - CHART.bottom - (value / (most || 1)) * (CHART.height - CHART.top - CHART.bottom);
  }

  #frame(svg, seen) {
    const floor = CHART.height - CHART.bottom;
    svg.append(svgElement("line", { x1: CHART.left, x2: CHART.width - CHART.right, y1: floor, y2: floor, class: "axis" }));
    this.days.forEach((day, n) => svg.append(svgElement("text", { x: this.#x(n), y: floor + 16, "text-anchor": "middle" }, dayName(day, n))));
    const most = [Math.max(...seen.map((one) => one.diameter_mm)), Math.max(...seen.map((one) => one.volume_mm3 / 1000))];
    svg.append(
      svgElement("text", { x: CHART.left - 6, y: CHART.top + 4, "text-anchor": "end" }, `${millimetres(most[0])} mm`),
      svgElement("text", { x: CHART.width - CHART.right + 6, y: CHART.top + 4 }, `${most[1].toFixed(2)} ml`));
  }

  #line(svg, seen, valueOf, { title, ...style }) {
    const most = Math.max(...seen.map(valueOf));
    const points = seen.map((one) => [this.#x(one.n), this.#y(valueOf(one), most)]);
    svg.append(svgElement("polyline", { points: points.map((point) => point.join(",")).join(" "), fill: "none", "stroke-width": 2, ...style }));
    seen.forEach((one, at) => {
      const dot = svgElement("circle", { cx: points[at][0], cy: points[at][1], r: 4, fill: style.stroke });
      dot.append(svgElement("title", {}, `${dayName(this.days[one.n], one.n)}: ${title(one)}`));
      svg.append(dot);
    });
  }
}

// Scans along the days between them; without days, evenly.
function timeline({ days, responses }) {
  const known = days.length > 1 && days.every((day) => day !== null);
  const root = element("ol", "timeline");
  const span = known ? days.at(-1) - days[0] || 1 : Math.max(1, days.length - 1);
  days.forEach((day, n) => {
    const mark = element("li", "", `${dayName(day, n)} · ${responses[n]?.category ?? "baseline"}`);
    mark.style.setProperty("--at", (known ? day - days[0] : n) / span);
    root.append(mark);
  });
  root.setAttribute("aria-label", known ? "Scans by day" : "Scans in their order; no days are known");
  return root;
}
