// The axes of charts: of bytes, of counts, of a choice's values, of shares and of names.
"use strict";

const LEAST_FACTOR = 1.25; // an axis is logarithmic if each value exceeds the one before by this factor

const MANTISSAS = [[1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9], [1, 1.5, 2, 3, 5, 7], [1, 2, 5], [1, 3], [1]];

// Round numbers as ticks: the densest set whose labels do not touch.
function roundTicks([low, high], length, label) {
  const distance = (58 * Math.log10(high / low)) / Math.max(length, 100); // px between labels
  const fits = MANTISSAS.find((set) =>
    [...set, 10].every((next, i) => i === 0 || Math.log10(next / set[i - 1]) >= distance)) ?? [1];
  const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  const skip = Math.max(1, Math.ceil(distance)); // of powers of ten
  const powers = Array.from({ length: last - first + 1 }, (_, i) => first + i).filter((power) => power % skip === 0);
  return powers.flatMap((power) => fits.map((mantissa) => [mantissa * 10 ** power, label(mantissa * 10 ** power)]));
}
function logAxis(title, values, label, margin = 0.04) {
  const [low, high] = extent(values), wider = Math.max(high / low, 1.05) ** margin;
  const domain = [low / wider, high * wider];
  return { scale: "log", title, domain, ticks: (length) => roundTicks(domain, length, label) };
}
function countAxis(title, counts) {
  const axis = logAxis(title, counts, number), { ticks } = axis;
  return { ...axis, ticks: (length) => ticks(length).filter(([value]) => Number.isInteger(value)) };
}
const bytesAxis = (title, values, margin) => logAxis(title, values, humanBytes, margin);

// A choice's values as ticks, where there is room. The axis is logarithmic if they grow by factors, else linear.
function choiceAxis(title, values, margin = 0.04) {
  const distinct = [...new Set(values)].sort((a, b) => a - b);
  const isLog = distinct.every((value, i) => i === 0 || value / distinct[i - 1] > LEAST_FACTOR);
  const axis = logAxis(title, distinct, number, margin), scale = isLog ? "log" : "linear";
  if (!isLog) {
    const [low, high] = extent(distinct), wider = margin * (high - low);
    axis.domain = [low - wider, high + wider];
  }
  const ticks = (length, room = widthOf(number(distinct.at(-1)))) => { // px between labels: of their width, or given
    const place = placer({ ...axis, scale }, 0, length);
    let last = -Infinity;
    return distinct.filter((value) => {
      const fits = place(value) - last >= room;
      if (fits) last = place(value);
      return fits;
    }).map((value) => [value, number(value)]);
  };
  return { ...axis, scale, ticks };
}
function shareAxis(title, values, from = 0) {
  const [low, high] = extent([...values, from]);
  const step = [0.01, 0.02, 0.05, 0.1, 0.2].find((size) => (high - low) / size <= 7) ?? 0.25;
  const domain = [Math.floor(low / step + 1e-9) * step, Math.ceil(high / step - 1e-9) * step];
  const count = Math.round((domain[1] - domain[0]) / step) + 1;
  const ticks = Array.from({ length: count }, (_, i) => domain[0] + i * step);
  return { scale: "linear", title, domain, ticks: ticks.map((value) => [value, `${Math.round(100 * value)}%`.replace("-", "−")]) };
}
const nameAxis = (names) =>
  ({ scale: "linear", names: true, domain: [-0.5, names.length - 0.5], ticks: names.map((name, i) => [i, name]) });
const widthOf = (label) => 7 * label.length + 4; // px that a label takes with the space beside it
function extent(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}
