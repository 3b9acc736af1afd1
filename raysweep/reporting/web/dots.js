// Dots: one for each row of a layer { type: "dots", rows, x, y, lookOf, lines }. Some are SVG, thousands are a
// picture, since a browser takes long to draw so many shapes.
"use strict";

const MANY_DOTS = 2000; // of a chart; more are a picture
const DOT = 2.5; // px from a dot's centre to its rim
const PAPER = 3; // pixels of a picture per px on paper
const dark = matchMedia("screen and (prefers-color-scheme: dark)");
const paper = matchMedia("print");

// Place the dots of layers in a chart: `chart.clouds` says where, and the dots are appended to `under` or
// returned as a canvas, which `chart.paint` paints.
function cloudsOf(chart, layers, under) {
  chart.clouds = layers.map((layer) => cloudOf(layer, chart));
  const count = layers.reduce((sum, { rows }) => sum + rows.length, 0);
  if (count <= MANY_DOTS) {
    under.append(...chart.clouds.map(shapes));
    return null;
  }
  const canvas = document.createElement("canvas");
  chart.paint = () => paint(canvas, chart);
  return canvas;
}
function cloudOf({ rows, x, y, lookOf, lines }, chart) {
  const px = new Float32Array(rows.length), py = new Float32Array(rows.length), made = new Map();
  rows.forEach((row, i) => {
    px[i] = chart.x(x(row));
    py[i] = chart.y(y(row));
  });
  const pointAt = (i) => {
    if (!made.has(i)) made.set(i, { x: x(rows[i]), y: y(rows[i]), lines: () => lines(rows[i]) });
    return made.get(i);
  };
  return { rows, px, py, lookOf, pointAt };
}
const isHollow = (row) => row.stopped_at !== null;

// One path per look. A stroke of length 0 draws only its round cap. Hollow ones lie below.
function shapes({ rows, px, py, lookOf }) {
  const group = svg("g", { class: "dots" });
  const draw = (isWanted, kind) => {
    const paths = new Map();
    rows.forEach((row, i) => {
      if (!isWanted(row)) return;
      const look = lookOf(row);
      paths.set(look, (paths.get(look) ?? "") + `M${px[i].toFixed(1)} ${py[i].toFixed(1)}h0`);
    });
    for (const [look, d] of paths) group.append(svg("path", { d, class: kind }, look));
    return [...paths.values()].join("");
  };
  const holes = draw(isHollow, "rim");
  if (holes) group.append(svg("path", { d: holes, class: "hole" }));
  draw((row) => !isHollow(row), "dot");
  return group;
}

// Blend the dots into an array of pixels, hollow ones below. That is many times faster than a canvas's own shapes.
function paint(canvas, { clouds, width, height }) {
  const scale = Math.max(devicePixelRatio, paper.matches ? PAPER : 1);
  [canvas.width, canvas.height] = [Math.round(width * scale), Math.round(height * scale)];
  const image = new ImageData(canvas.width, canvas.height), colours = new Map();
  const colourOf = (look) => {
    if (!colours.has(look)) colours.set(look, channels(dark.matches ? look.dark : look.light));
    return colours.get(look);
  };
  for (const hollow of [true, false]) {
    const stamp = stampOf(hollow, scale), middle = (stamp.side - 1) / 2;
    for (const { rows, px, py, lookOf } of clouds)
      for (let i = 0; i < rows.length; i++)
        if (isHollow(rows[i]) === hollow)
          blend(image, Math.round(px[i] * scale - middle), Math.round(py[i] * scale - middle), stamp, colourOf(lookOf(rows[i])));
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}
const channels = (colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));

// How much of its colour a dot gives to each pixel, from 0 to 1.
function stampOf(hollow, scale) {
  const radius = DOT * scale, side = 2 * Math.ceil(radius) + 1, parts = new Float32Array(side * side);
  const covered = (distance, within) => Math.min(1, Math.max(0, within + 0.5 - distance));
  parts.forEach((_, i) => {
    const distance = Math.hypot((i % side) - (side - 1) / 2, Math.floor(i / side) - (side - 1) / 2);
    parts[i] = hollow ? 0.55 * (covered(distance, radius) - covered(distance, radius - 1.3 * scale)) : 0.35 * covered(distance, radius);
  });
  return { side, parts };
}
function blend({ data, width, height }, left, top, { side, parts }, [red, green, blue]) {
  if (left < 0 || top < 0 || left + side > width || top + side > height) return;
  for (let i = 0, y = 0; y < side; y++) {
    let at = 4 * ((top + y) * width + left);
    for (let x = 0; x < side; x++, i++, at += 4) {
      const part = parts[i];
      if (!part) continue;
      const under = (data[at + 3] / 255) * (1 - part), whole = part + under;
      data[at] = (red * part + data[at] * under) / whole;
      data[at + 1] = (green * part + data[at + 1] * under) / whole;
      data[at + 2] = (blue * part + data[at + 2] * under) / whole;
      data[at + 3] = 255 * whole;
    }
  }
}
for (const media of [dark, paper])
  media.addEventListener("change", () => {
    for (const holder of document.querySelectorAll(".chart:has(> canvas)")) holder.chart.paint();
  });
