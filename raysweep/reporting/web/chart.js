// Charts in SVG. A chart consists of axes and layers. Colours are CSS, so a change to dark mode or to paper
// needs no redrawing. Only where there are thousands of dots, these are a picture (dots.js) between two SVGs.
"use strict";

const EDGE = { right: 16, bottom: 46 }; // px around the axes; left and top depend on the labels there
const LINE = 16; // px between labels above each other
const NARROW = 320; // px; marks are smaller in a chart that is less wide
const CIRCLE = "M-3.2 0a3.2 3.2 0 1 0 6.4 0a3.2 3.2 0 1 0 -6.4 0Z";

// An SVG element. A look is a colour for light mode and one for dark mode; without a look it is drawn in ink.
function svg(name, attributes, look) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (look) tint(made, look);
  return made;
}
function tint(element, look) {
  look.style ??= `--light: ${look.light}; --dark: ${look.dark}`;
  element.classList.add("tint");
  element.setAttribute("style", look.style);
}

// An axis: { scale: "log" or "linear", domain, title, ticks }. `ticks` are [[value, label], ...], or a function
// from the length in px to them.
function placer(axis, from, to) {
  const at = axis.scale === "log" ? Math.log : Number;
  const [low, high] = axis.domain.map(at);
  const each = (to - from) / (high - low || 1);
  return (value) => from + (at(value) - low) * each;
}

// Draw `spec` ({ x, y, layers, moving, label }) into `holder`, replacing the chart before it. `moving` are the
// layers that `moveChart` replaces alone. Layers of dots come first.
function drawChart(holder, spec) {
  const width = Math.max(220, holder.clientWidth), height = Math.max(120, holder.clientHeight);
  const edge = { ...EDGE, left: spec.y.names ? Math.min(width / 2, Math.max(...spec.y.ticks.map(([, name]) => widthOf(name))) + 6) : 56, top: spec.y.title ? 26 : 8 };
  const chart = {
    spec, width, height, edge, clouds: [],
    x: placer(spec.x, edge.left, width - edge.right),
    y: placer(spec.y, height - edge.bottom, edge.top),
  };
  const [under, over] = ["under", "over"].map((kind) =>
    svg("svg", { viewBox: `0 0 ${width} ${height}`, class: kind, "aria-hidden": "true", focusable: "false" }));
  under.append(axes(chart));
  const canvas = cloudsOf(chart, spec.layers.filter((layer) => layer.type === "dots"), under);
  const above = spec.layers.filter((layer) => layer.type !== "dots");
  over.append(...above.map((layer) => LAYERS[layer.type](layer, chart)));
  chart.moving = over.appendChild(svg("g", { class: "moving" }));
  chart.ring = over.appendChild(svg("circle", { r: 9, class: "ring", visibility: "hidden" }));
  chart.points = above.flatMap((layer) => layer.points ?? []).filter((point) => point.lines);
  chart.stops = above.filter((layer) => layer.type === "marks").flatMap((layer) => layer.points);
  if (!chart.stops.length) chart.stops = chart.clouds.flatMap((cloud) => cloud.rows.map((_, i) => cloud.pointAt(i)));
  chart.stops.sort((a, b) => a.x - b.x || a.y - b.y);
  chart.tip = holder.querySelector(".tip") ?? makeTip(holder);
  chart.tip.hidden = true;
  for (const old of holder.querySelectorAll(":scope > :is(svg, canvas)")) old.remove();
  holder.prepend(...[under, canvas, over].filter(Boolean));
  holder.setAttribute("aria-label", `Chart. ${spec.label}` + (chart.stops.length ? " Use the arrow keys to read its points." : ""));
  holder.chart = chart;
  chart.paint?.();
  moveChart(holder, spec.moving ?? []);
}
function moveChart({ chart }, layers) {
  chart.moving.replaceChildren(...layers.map((layer) => LAYERS[layer.type](layer, chart)));
}

// Draw small charts side by side, each { title, ...spec }, or a single one. Elements of before are used again.
function drawCharts(holder, spec) {
  const small = spec.panels ?? [];
  holder.classList.toggle("panels", small.length > 0);
  if (!small.length) {
    if (holder.querySelector(".panel")) holder.replaceChildren();
    holder.tabIndex = 0;
    return drawChart(holder, spec);
  }
  const panels = [...holder.querySelectorAll(":scope > .panel")];
  if (panels.length !== small.length || holder.children.length !== small.length) {
    panels.splice(0, Infinity, ...small.map(makePanel));
    holder.replaceChildren(...panels);
  }
  holder.removeAttribute("tabindex");
  holder.setAttribute("aria-label", spec.label);
  holder.chart = null;
  small.forEach((one, i) => {
    panels[i].firstChild.textContent = one.title;
    drawChart(panels[i].lastChild, one);
  });
}
function makePanel() {
  const panel = document.createElement("div"), title = document.createElement("h3"), chart = document.createElement("div");
  panel.className = "panel";
  chart.className = "chart small";
  chart.tabIndex = 0;
  chart.setAttribute("role", "group");
  panel.append(title, chart);
  return panel;
}

// What is drawn, by name: { name, look, path, fill, dash, light }.
function drawLegend(holder, entries) {
  holder.hidden = !entries.length;
  holder.replaceChildren(...entries.map(({ name, look, path, fill = "full", dash, light }) => {
    const entry = document.createElement("span");
    if (light) entry.className = `light ${light}`;
    else if (path || dash !== undefined) {
      const glyph = svg("svg", { class: dash === undefined ? "glyph dot" : "glyph", viewBox: dash === undefined ? "-7 -7 14 14" : "-16 -7 32 14", "aria-hidden": "true" }, look);
      if (dash !== undefined) glyph.append(svg("path", { d: "M-16 0H16", "stroke-dasharray": dash }));
      if (path) glyph.append(svg("path", { class: `mark ${fill}`, d: path }));
      if (path && fill === "dotted") glyph.append(svg("circle", { class: "mark full", r: 1.6 }));
      entry.append(glyph);
    } else {
      const swatch = document.createElement("i");
      swatch.className = "swatch";
      swatch.style.cssText = `--light: ${look.light}; --dark: ${look.dark}`;
      entry.append(swatch);
    }
    entry.append(name);
    return entry;
  }));
}

function axes({ spec, width, height, edge, x, y }) {
  const group = svg("g", { class: "axes" });
  const text = (content, attributes) => {
    const made = svg("text", attributes);
    made.textContent = content;
    group.append(made);
  };
  const [bottom, right] = [height - edge.bottom, width - edge.right];
  for (const [value, label] of ticksOf(spec.y, bottom - edge.top, LINE)) {
    group.append(svg("path", { class: "grid", d: `M${edge.left} ${y(value)}H${right}` }));
    text(label, { x: edge.left - 8, y: y(value), dy: ".32em", "text-anchor": "end" });
  }
  for (const [value, label] of ticksOf(spec.x, right - edge.left)) {
    group.append(svg("path", { class: "grid", d: `M${x(value)} ${edge.top}V${bottom}` }));
    text(label, { x: x(value), y: bottom + 18, "text-anchor": "middle" });
  }
  group.append(svg("path", { class: "frame", d: `M${edge.left} ${edge.top}V${bottom}H${right}` }));
  if (spec.y.title) text(spec.y.title, { x: 4, y: 13, class: "title" });
  text(spec.x.title, { x: (edge.left + right) / 2, y: height - 8, "text-anchor": "middle", class: "title" });
  return group;
}
function ticksOf({ ticks, domain: [low, high] }, length, room) {
  const slack = 1e-9 * (high - low);
  const all = typeof ticks === "function" ? ticks(length, room) : ticks;
  return all.filter(([value]) => value >= low - slack && value <= high + slack);
}

// ---- layers: each draws its points in the given order ----
const at = (chart, point) => `${chart.x(point.x).toFixed(1)} ${chart.y(point.y).toFixed(1)}`;
const LAYERS = {
  line({ points, look, dash = "none", step = false, kind = "" }, chart) {
    const along = points.map((point, i) => {
      if (i === 0) return `M${at(chart, point)}`;
      return step ? `H${chart.x(point.x).toFixed(1)}V${chart.y(point.y).toFixed(1)}` : `L${at(chart, point)}`;
    });
    return svg("path", { class: `line ${kind}`, d: along.join(""), "stroke-dasharray": dash }, look);
  },
  marks({ points }, chart) {
    const group = svg("g", { class: "marks" }), size = chart.width < NARROW ? " scale(0.75)" : "";
    for (const point of points) {
      const [x, y] = [chart.x(point.x), chart.y(point.y)];
      if (point.hi !== undefined)
        group.append(svg("path", { class: "error", d: `M${x} ${chart.y(point.lo)}V${chart.y(point.hi)}` }, point.bars));
      const place = { class: `mark ${point.fill ?? "full"}`, transform: `translate(${x} ${y})${size}` };
      group.append(svg("path", { ...place, d: point.path ?? CIRCLE }, point.look));
      if (point.fill === "dotted") group.append(svg("circle", { ...place, class: "mark full", r: 1.6 }, point.look));
    }
    return group;
  },
  // The recommended configuration.
  pick({ points }, chart) {
    const group = svg("g", { class: "pick" });
    for (const point of points) group.append(svg("circle", { cx: chart.x(point.x), cy: chart.y(point.y), r: 11 }));
    return group;
  },
  // A vertical line at a value of x with a label, and a shaded range of x behind it.
  rule({ value, word, range }, chart) {
    const group = svg("g", { class: "rule" }), bottom = chart.height - chart.edge.bottom;
    if (range) {
      const [left, right] = range.map(chart.x);
      group.append(svg("rect", { x: left, y: chart.edge.top, width: right - left, height: bottom - chart.edge.top }));
    }
    const [low, high] = chart.spec.x.domain;
    if (value < low || value > high) return group;
    const x = chart.x(value), flip = x > chart.width - 120;
    const text = svg("text", { x: x + (flip ? -6 : 6), y: bottom - 8, "text-anchor": flip ? "end" : "start" });
    text.textContent = word;
    group.append(svg("path", { d: `M${x} ${chart.edge.top}V${bottom}` }), text);
    return group;
  },
  level({ value }, chart) {
    return svg("path", { class: "level", d: `M${chart.edge.left} ${chart.y(value)}H${chart.width - chart.edge.right}` });
  },
};
