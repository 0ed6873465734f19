"use strict";
// Tables are sorted by a click on a heading, curves are drawn to the width of the screen and tell their values.
const SVG = "http://www.w3.org/2000/svg";
const COLOURS = ["#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#444444", "#b8a000"];
const DASHES = ["", "7 3", "2 2"];

function element(parent, name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}

function short(value) {
  return value >= 10000 ? `${Math.round(value / 1000)}k` : String(Number(value.toPrecision(3)));
}

function stroke(index) {
  return { stroke: COLOURS[index % COLOURS.length],
    "stroke-dasharray": DASHES[Math.floor(index / COLOURS.length) % DASHES.length] };
}

function drawCurves(plot) {
  const series = JSON.parse(plot.dataset.series).map((one, index) => ({ ...one, index })).filter((s) => s.points.length);
  const width = Math.max(plot.clientWidth, 220), height = 230;
  const [left, right, top, bottom] = [44, 10, 10, 24];
  const all = series.flatMap((one) => one.points);
  const [xs, ys] = [all.map((point) => point[0]), all.map((point) => point[1])];
  const [x0, x1] = [Math.min(...xs), Math.max(...xs)];
  const [low, high] = [Math.min(...ys), Math.max(...ys)];
  const margin = (high - low || 1) * 0.06, y0 = low - margin, y1 = high + margin;
  const x = (step) => left + (x1 > x0 ? (step - x0) / (x1 - x0) : 0.5) * (width - left - right);
  const y = (value) => top + (1 - (value - y0) / (y1 - y0)) * (height - top - bottom);
  const svg = document.createElementNS(SVG, "svg");
  for (const [key, value] of Object.entries({ width, height, role: "img" })) svg.setAttribute(key, value);
  for (let tick = 0; tick <= 4; tick += 1) {
    const value = y0 + (tick / 4) * (y1 - y0);
    element(svg, "line", { x1: left, x2: width - right, y1: y(value), y2: y(value), stroke: "#e3e7ee" });
    element(svg, "text", { x: left - 6, y: y(value) + 4, "text-anchor": "end", class: "tick" }, short(value));
  }
  element(svg, "text", { x: left, y: height - 6, class: "tick" }, `step ${short(x0)}`);
  element(svg, "text", { x: width - right, y: height - 6, "text-anchor": "end", class: "tick" }, short(x1));
  for (const one of series) {
    const path = one.points.map(([step, value]) => `${x(step)},${y(value)}`).join(" ");
    element(svg, "polyline", { points: path, fill: "none", "stroke-width": 2, ...stroke(one.index) });
    if (one.points.length === 1) {
      element(svg, "circle", { cx: x(one.points[0][0]), cy: y(one.points[0][1]), r: 3, fill: stroke(one.index).stroke });
    }
  }
  const cursor = element(svg, "line", { y1: top, y2: height - bottom, stroke: "#667085", visibility: "hidden" });
  plot.replaceChildren(svg);
  const told = plot.nextElementSibling;
  const hint = told.dataset.hint || (told.dataset.hint = told.textContent);
  svg.addEventListener("pointermove", (event) => {
    const at = event.clientX - svg.getBoundingClientRect().left;
    const steps = [...new Set(xs)];
    const step = steps.reduce((best, one) => (Math.abs(x(one) - at) < Math.abs(x(best) - at) ? one : best));
    for (const [key, value] of Object.entries({ x1: x(step), x2: x(step), visibility: "visible" })) {
      cursor.setAttribute(key, value);
    }
    const values = series.map((one) => [one.name, one.points.find((point) => point[0] === step)]);
    told.textContent = `step ${step.toLocaleString("en")}: ` +
      values.filter(([, point]) => point).map(([name, point]) => `${name} ${short(point[1])}`).join(", ");
  });
  svg.addEventListener("pointerleave", () => {
    cursor.setAttribute("visibility", "hidden");
    told.textContent = hint;
  });
}

function sortable(table) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    heading.tabIndex = 0;
    heading.setAttribute("aria-sort", "none");
    const sort = () => {
      const down = heading.getAttribute("aria-sort") !== "descending";
      headings.forEach((other) => other.setAttribute("aria-sort", "none"));
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => {
        const number = parseFloat(row.cells[column].textContent.replace(",", ""));
        return column === 0 ? row.cells[0].textContent : Number.isNaN(number) ? -Infinity : number;
      };
      const rows = [...table.tBodies[0].rows];
      rows.sort((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0));
      if (down) rows.reverse();
      table.tBodies[0].append(...rows);
    };
    heading.addEventListener("click", sort);
    heading.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(); });
  });
}

document.querySelectorAll("table.results").forEach(sortable);
document.querySelectorAll("[data-swatch]").forEach((box) => {
  const { stroke: colour } = stroke(Number(box.dataset.swatch));
  box.style.background = colour;
});
const plots = [...document.querySelectorAll("[data-series]")];
const drawAll = () => plots.forEach(drawCurves);
drawAll();
window.addEventListener("resize", drawAll);
