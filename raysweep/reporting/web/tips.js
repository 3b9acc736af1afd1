// The tooltip of a chart: it describes the point that the pointer or the arrow keys select.
"use strict";

const NEAR = 28; // px within which a pointer finds a point

function makeTip(holder) {
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.setAttribute("role", "status");
  holder.append(tip);
  if (holder.dataset.told) return tip; // the holder listens already
  holder.dataset.told = "true";
  const known = (tell) => (event) => { if (holder.chart) tell(event); };
  holder.addEventListener("pointermove", known((event) => point(holder, event)));
  holder.addEventListener("pointerdown", known((event) => point(holder, event)));
  holder.addEventListener("pointerleave", known(() => showTip(holder, null)));
  holder.addEventListener("blur", known(() => showTip(holder, null)));
  holder.addEventListener("keydown", known((event) => walk(holder, event)));
  return tip;
}
function point(holder, event) {
  const { chart } = holder, box = holder.getBoundingClientRect();
  const scale = chart.width / box.width;
  const [x, y] = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  let nearest = null, least = NEAR ** 2;
  const isNear = (px, py) => { // of equally near points the one drawn on top
    const distance = (px - x) ** 2 + (py - y) ** 2;
    if (distance > least) return false;
    least = distance;
    return true;
  };
  for (const cloud of chart.clouds) {
    let found = -1;
    for (let i = 0; i < cloud.px.length; i++) if (isNear(cloud.px[i], cloud.py[i])) found = i;
    if (found >= 0) nearest = cloud.pointAt(found);
  }
  for (const one of chart.points) if (isNear(chart.x(one.x), chart.y(one.y))) nearest = one;
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
