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

// All dots of a look are copies of one small picture.
function paint(canvas, { clouds, width, height }) {
  const scale = Math.max(devicePixelRatio, paper.matches ? PAPER : 1), side = 2 * DOT + 2;
  [canvas.width, canvas.height] = [width * scale, height * scale];
  const context = canvas.getContext("2d"), stamps = new Map();
  for (const hollow of [true, false])
    for (const { rows, px, py, lookOf } of clouds)
      rows.forEach((row, i) => {
        if (isHollow(row) !== hollow) return;
        const look = lookOf(row);
        const key = hollow ? look.light + look.dark : look;
        if (!stamps.has(key)) stamps.set(key, stamp(look, hollow, side, scale));
        context.drawImage(stamps.get(key), Math.round((px[i] - side / 2) * scale), Math.round((py[i] - side / 2) * scale));
      });
}
function stamp(look, hollow, side, scale) {
  const made = document.createElement("canvas");
  made.width = made.height = Math.ceil(side * scale);
  const context = made.getContext("2d"), colour = dark.matches ? look.dark : look.light;
  context.scale(scale, scale);
  context.globalAlpha = hollow ? 0.55 : 0.35;
  context.beginPath();
  context.arc(side / 2, side / 2, hollow ? DOT - 0.6 : DOT, 0, 2 * Math.PI);
  [context.fillStyle, context.strokeStyle, context.lineWidth] = [colour, colour, 1.3];
  if (hollow) context.stroke();
  else context.fill();
  return made;
}
for (const media of [dark, paper])
  media.addEventListener("change", () => {
    for (const holder of document.querySelectorAll(".chart:has(> canvas)")) holder.chart.paint();
  });
