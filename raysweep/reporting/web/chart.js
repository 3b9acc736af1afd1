// Charts in SVG. A chart consists of axes and layers. Colours are CSS, so a change to dark mode or to paper
// needs no redrawing. A tooltip describes the point that the pointer or the arrow keys select.
"use strict";

const EDGE = { right: 16, bottom: 46 }; // px around the axes; left and top depend on the labels there
const NEAR = 28; // px within which a pointer finds a point
const CIRCLE = "M-3.2 0a3.2 3.2 0 1 0 6.4 0a3.2 3.2 0 1 0 -6.4 0Z";

// An SVG element. A look is a colour for light mode and one for dark mode; without a look it is drawn in ink.
function svg(name, attributes, look) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (look) tint(made, look);
  return made;
}
function tint(element, look) {
  element.classList.add("tint");
  element.style.setProperty("--light", look.light);
  element.style.setProperty("--dark", look.dark);
}

// An axis: { scale: "log" or "linear", domain, title, ticks }. `ticks` are [[value, label], ...], or a function
// from the length in px to them.
function placer(axis, from, to) {
  const at = axis.scale === "log" ? Math.log : Number;
  const [low, high] = axis.domain.map(at);
  return (value) => from + ((at(value) - low) / (high - low || 1)) * (to - from);
}

// Draw `spec` ({ x, y, layers, label }) into `holder`, replacing the chart before it.
function drawChart(holder, spec) {
  const width = Math.max(260, holder.clientWidth), height = Math.max(120, holder.clientHeight);
  const edge = { ...EDGE, left: spec.y.names ? 116 : 56, top: spec.y.title ? 26 : 8 };
  const chart = {
    spec, width, height, edge,
    x: placer(spec.x, edge.left, width - edge.right),
    y: placer(spec.y, height - edge.bottom, edge.top),
  };
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true", focusable: "false" });
  root.append(axes(chart), ...spec.layers.map((layer) => LAYERS[layer.type](layer, chart)));
  chart.ring = root.appendChild(svg("circle", { r: 9, class: "ring", visibility: "hidden" }));
  chart.points = spec.layers.flatMap((layer) => layer.points ?? []).filter((point) => point.lines);
  chart.stops = spec.layers.filter((layer) => layer.type === "marks").flatMap((layer) => layer.points);
  if (!chart.stops.length) chart.stops = [...chart.points];
  chart.stops.sort((a, b) => a.x - b.x || a.y - b.y);
  chart.tip = holder.querySelector(".tip") ?? makeTip(holder);
  chart.tip.hidden = true;
  holder.querySelector("svg")?.remove();
  holder.prepend(root);
  holder.setAttribute("aria-label", `Chart. ${spec.label}` + (chart.stops.length ? " Use the arrow keys to read its points." : ""));
  holder.chart = chart;
}
function makeTip(holder) {
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.setAttribute("role", "status");
  holder.append(tip);
  holder.addEventListener("pointermove", (event) => point(holder, event));
  holder.addEventListener("pointerdown", (event) => point(holder, event));
  holder.addEventListener("pointerleave", () => showTip(holder, null));
  holder.addEventListener("blur", () => showTip(holder, null));
  holder.addEventListener("keydown", (event) => walk(holder, event));
  return tip;
}

function axes({ spec, width, height, edge, x, y }) {
  const group = svg("g", { class: "axes" });
  const text = (content, attributes) => {
    const made = svg("text", attributes);
    made.textContent = content;
    group.append(made);
  };
  const [bottom, right] = [height - edge.bottom, width - edge.right];
  for (const [value, label] of ticksOf(spec.y, bottom - edge.top)) {
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
function ticksOf({ ticks, domain: [low, high] }, length) {
  const slack = 1e-9 * (high - low);
  const all = typeof ticks === "function" ? ticks(length) : ticks;
  return all.filter(([value]) => value >= low - slack && value <= high + slack);
}

// ---- layers: each draws its points in the given order ----
const at = (chart, point) => `${chart.x(point.x).toFixed(1)} ${chart.y(point.y).toFixed(1)}`;
const LAYERS = {
  // Many points, in one path per look. A stroke of length 0 draws only its round cap. Hollow ones lie below.
  dots({ points }, chart) {
    const group = svg("g", { class: "dots" });
    const draw = (chosen, kind) => {
      const paths = new Map();
      for (const point of chosen) paths.set(point.look, (paths.get(point.look) ?? "") + `M${at(chart, point)}h0`);
      for (const [look, d] of paths) group.append(svg("path", { d, class: kind }, look));
      return [...paths.values()].join("");
    };
    const holes = draw(points.filter((point) => point.hollow), "rim");
    if (holes) group.append(svg("path", { d: holes, class: "hole" }));
    draw(points.filter((point) => !point.hollow), "dot");
    return group;
  },
  line({ points, look, dash = "none", step = false, kind = "" }, chart) {
    const along = points.map((point, i) => {
      if (i === 0) return `M${at(chart, point)}`;
      return step ? `H${chart.x(point.x).toFixed(1)}V${chart.y(point.y).toFixed(1)}` : `L${at(chart, point)}`;
    });
    return svg("path", { class: `line ${kind}`, d: along.join(""), "stroke-dasharray": dash }, look);
  },
  marks({ points }, chart) {
    const group = svg("g", { class: "marks" });
    for (const point of points) {
      const [x, y] = [chart.x(point.x), chart.y(point.y)];
      if (point.hi !== undefined)
        group.append(svg("path", { class: "error", d: `M${x} ${chart.y(point.lo)}V${chart.y(point.hi)}` }));
      const place = { class: `mark ${point.fill ?? "full"}`, transform: `translate(${x} ${y})` };
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

// ---- tooltips ----
function point(holder, event) {
  const { chart } = holder, box = holder.getBoundingClientRect();
  const scale = chart.width / box.width;
  const [x, y] = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  let nearest = null, least = NEAR ** 2;
  for (const candidate of chart.points) {
    const distance = (chart.x(candidate.x) - x) ** 2 + (chart.y(candidate.y) - y) ** 2;
    if (distance <= least) { nearest = candidate; least = distance; } // of equally near points the one drawn on top
  }
  showTip(holder, nearest);
}
function walk(holder, event) {
  const { chart } = holder, step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
  if (event.key === "Escape") return showTip(holder, null);
  if (!step || !chart.stops.length) return;
  event.preventDefault();
  const here = chart.stops.indexOf(chart.selected), count = chart.stops.length;
  showTip(holder, chart.stops[here < 0 ? (step > 0 ? 0 : count - 1) : (here + step + count) % count]);
}
function showTip(holder, selected) {
  const { chart } = holder;
  if (!chart || chart.selected === selected) return;
  chart.selected = selected;
  chart.tip.hidden = !selected;
  chart.ring.setAttribute("visibility", selected ? "visible" : "hidden");
  if (!selected) return;
  const [x, y] = [chart.x(selected.x), chart.y(selected.y)];
  chart.ring.setAttribute("cx", x);
  chart.ring.setAttribute("cy", y);
  chart.tip.replaceChildren(...selected.lines().map((line, i) => {
    const made = document.createElement(i === 0 ? "strong" : "span");
    made.textContent = line;
    return made;
  }));
  const { offsetWidth, offsetHeight } = chart.tip;
  const left = x + 14 + offsetWidth <= chart.width ? x + 14 : Math.max(0, x - 14 - offsetWidth);
  chart.tip.style.left = `${Math.max(0, Math.min(left, chart.width - offsetWidth))}px`;
  chart.tip.style.top = `${Math.max(0, Math.min(y + 14, chart.height - offsetHeight))}px`;
}
