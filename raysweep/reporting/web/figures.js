// What each chart shows: functions from the user's choices (`view`) to a chart's axes and layers, or to null
// where there is nothing to show. `view.rows` are the benchmark's scenarios, `view.shown` those that pass the
// filters, `view.frontier` the frontier among the shown ones, and `view.lookOf` gives a row's colours.
"use strict";

const MOST_LINES = 24; // with more engines than this, only those on the frontier are drawn
const LEAST_FACTOR = 1.25; // an axis is logarithmic if each value exceeds the one before by this factor

// ---- axes ----
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
  const ticks = (length) => {
    const place = placer({ ...axis, scale }, 0, length), room = length > 300 ? 42 : 16; // px
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
function nameAxis(names) {
  const short = (name) => (name.length > 17 ? `${name.slice(0, 16)}…` : name);
  return { scale: "linear", names: true, domain: [-0.5, names.length - 0.5], ticks: names.map((name, i) => [i, short(name)]) };
}
const extent = (values) => values.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [Infinity, -Infinity]);

// ---- the tooltip of a scenario ----
function describeScenario(row, view) {
  const shared = view.batch === 1 ? "" : ` / ${view.batch}`;
  const stays = view.stays(row);
  return [
    inWords(row),
    ...expectedInWords(view.expected(row)),
    `measured ${percent(row.accuracy)}, 95% interval ${interval(row.accuracy_lo, row.accuracy_hi)}; estimate ${percent(row.estimate)}`,
    `memory ${humanBytes(memoryOf(row, view.batch))}: weights ${humanBytes(row.weights_bytes)}${shared}, ` +
      `KV ${humanBytes(row.kv_bytes)} (peak ${humanBytes(row.kv_peak_bytes)})`,
    `pass@1 ${percent(row.pass_at_1)}, pass@${row.group_size} ${percent(row.pass_at_g)}`,
    `unanswered ${percent(row.unanswered)}, cut off ${percent(row.cut_off)}, errors ${percent(row.errors)}`,
    `${number(Math.round(row.mean_trace_tokens))} thinking tokens on average`,
    `${plural(row.n_questions, "question")}, ${plural(row.n_samples, "sample")} per question` + (row.complete || row.stopped_at !== null ? "" : " (incomplete)"),
    ...(row.stopped_at === null ? [] : [stoppedInWords(row.stopped_at)]),
    ...(stays === undefined ? [] : [`on the frontier in ${percent(stays)} of the bootstrap draws`]),
  ];
}
const expectedInWords = ({ mean, lo, hi }) =>
  (lo !== undefined ? [`expected ${percent(mean)} on new questions, 95% interval ${interval(lo, hi)}`] : []);
const pointOf = (row, x, view, more = {}) =>
  ({ x, y: row.accuracy, look: view.lookOf(row), hollow: row.stopped_at !== null, lines: () => describeScenario(row, view), ...more });
const marked = (row, view) => ({ path: view.looks.policy.get(row.policy).path, fill: view.looks.weights.get(row.weights).fill });
// A point of the frontier is drawn at the accuracy that is expected of it, with its interval where that is known.
function chosenAt(row, view) {
  const { mean, ...bounds } = view.expected(row);
  return { y: mean, ...bounds };
}

// A line per engine along x. Its points have tooltips.
function engineLines(rows, xOf, view, lookOf = view.lookOf) {
  return [...Map.groupBy(rows, (row) => row.id).values()].flatMap((own) => {
    const points = own.sort((a, b) => xOf(a) - xOf(b))
      .map((row) => pointOf(row, xOf(row), view, { look: lookOf(row) }));
    const look = lookOf(own[0]), dash = view.looks.policy.get(own[0].policy).dash;
    return [{ type: "line", points, look, dash }, { type: "dots", points }];
  });
}

// The rows of the engines that are drawn as lines.
function lined(rows, view) {
  if (new Set(rows.map((row) => row.id)).size <= MOST_LINES) return rows;
  const best = new Set(view.frontier.map((row) => row.id));
  return rows.filter((row) => best.has(row.id));
}

// ---- the charts ----
const CHARTS = {
  memory(view) {
    if (!view.shown.length) return null;
    const memory = (row) => memoryOf(row, view.batch);
    const dots = view.shown.map((row) => pointOf(row, memory(row), view));
    const points = view.frontier.map((row) => pointOf(row, memory(row), view, { ...marked(row, view), ...chosenAt(row, view) }));
    const all = !view.isOfAll ? view.ofAll.map(([local, mean]) => ({ x: memory(view.rows[local]), y: mean })) : [];
    return {
      label: `Accuracy over memory on ${view.benchmark}: ${plural(points.length, "configuration")} on the frontier.`,
      x: bytesAxis(`Memory per question: weights${view.batch === 1 ? "" : ` / ${view.batch}`} + KV cache`, view.rows.map(memory)),
      y: shareAxis("Accuracy", view.shown.map((row) => row.accuracy_hi)),
      layers: [
        { type: "dots", points: dots },
        ...(all.length ? [{ type: "line", points: all, step: true, kind: "faint" }] : []),
        { type: "line", points, step: true },
        { type: "marks", points },
        { type: "pick", points: view.answer.best ? [{ x: memory(view.answer.best), y: view.answer.accuracy }] : [] },
        { type: "rule", value: view.memory / view.batch, word: `your memory, ${humanBytes(view.memory)}` + (view.batch === 1 ? "" : ` / ${view.batch}`) },
      ],
    };
  },
  tokens(view) {
    const rows = lined(view.shown.filter((row) => row.group_size === 1), view);
    if (!rows.length) return null;
    return {
      label: `Accuracy of one sample over the token budget on ${view.benchmark}.`,
      x: choiceAxis("Token budget", rows.map((row) => row.token_budget)),
      y: shareAxis("Accuracy", rows.map((row) => row.accuracy)),
      layers: engineLines(rows, (row) => row.token_budget, view),
    };
  },
  groups(view) {
    const rows = lined(view.shown.filter((row) => row.token_budget === view.budget), view);
    if (new Set(rows.map((row) => row.group_size)).size < 2) return null;
    return {
      label: `Accuracy over the number of votes at ${plural(view.budget, "token")} on ${view.benchmark}.`,
      x: choiceAxis("Samples that vote, G", rows.map((row) => row.group_size)),
      y: shareAxis("Accuracy", rows.map((row) => row.accuracy)),
      layers: engineLines(rows, (row) => row.group_size, view),
    };
  },
  votes(view) {
    const memory = (row) => memoryOf(row, view.batch);
    const [serial, parallel] = [view.shown.filter((row) => row.group_size === 1), view.shown.filter((row) => row.group_size > 1)];
    if (!serial.length || !parallel.length) return null;
    const sides = [[serial, view.colours.serial], [parallel, view.colours.parallel]].map(([rows, look]) =>
      pareto(rows, memory).map((row) => pointOf(row, memory(row), view, { look, y: row.estimate, ...marked(row, view) })));
    const all = sides.flat();
    return {
      label: `The best with votes and the best without, over memory, on ${view.benchmark}.`,
      x: bytesAxis("Memory per question", all.map((point) => point.x)),
      y: shareAxis("Accuracy (estimate)", all.map((point) => point.y)),
      layers: sides.flatMap((points) => [
        { type: "line", points, look: points[0].look, step: true }, { type: "marks", points },
      ]),
    };
  },
  batches(view) {
    const fits = view.shown.filter((row) => largestBatch(row, view.memory) > 0);
    if (!fits.length) return null;
    const count = (row) => largestBatch(row, view.memory);
    const best = pareto(fits, (row) => -count(row)); // a memory that holds many questions holds fewer as well
    const lines = (row) => () => [`${plural(count(row), "question")} at once in ${humanBytes(view.memory)}`, ...describeScenario(row, view)];
    const points = best.map((row) => pointOf(row, count(row), view, { y: row.estimate, ...marked(row, view), lines: lines(row) }));
    return {
      label: `Accuracy over the number of questions that ${humanBytes(view.memory)} hold at once, on ${view.benchmark}.`,
      x: countAxis(`Questions at once in ${humanBytes(view.memory)}`, fits.map(count)),
      y: shareAxis("Accuracy (line: estimate)", fits.map((row) => row.accuracy_hi)),
      layers: [
        { type: "dots", points: fits.map((row) => pointOf(row, count(row), view, { lines: lines(row) })) },
        { type: "line", points, step: true, kind: "back" }, { type: "marks", points },
      ],
    };
  },
  kv(view) {
    const rows = lined(view.shown.filter((row) => row.group_size === 1), view);
    if (new Set(rows.map((row) => row.policy)).size < 2) return null;
    return {
      label: `Accuracy of one sample over the bytes of its KV cache on ${view.benchmark}.`,
      x: bytesAxis("KV cache of one sample", rows.map((row) => row.kv_bytes)),
      y: shareAxis("Accuracy", rows.map((row) => row.accuracy)),
      layers: engineLines(rows, (row) => row.kv_bytes, view, (row) => view.looks.policy.get(row.policy)),
    };
  },
  eviction(view) {
    const rows = view.judged("eviction").filter((row) => view.isShown("model", row.model) && view.isShown("weights", row.weights));
    if (!rows.length) return null;
    const points = rows.map((row) => ({
      x: row.memory_bytes, y: row.difference, lo: row.difference_lo, hi: row.difference_hi,
      look: view.looks.model.get(row.model), fill: row.favours === "neither" ? "open" : "full",
      path: row.favours === "quantized" ? SQUARE : CIRCLE_LARGE,
      lines: () => [
        `${row.model} ${row.weights} within ${humanBytes(row.memory_bytes)}`,
        `evicting ${percent(row.evicting_accuracy)}: ${row.evicting_engine_id}`,
        `fewer bits ${percent(row.quantized_accuracy)}: ${row.quantized_engine_id}`,
        `difference ${percentagePoints(row.difference)} points, ${between(row.difference_lo, row.difference_hi)}`,
        { neither: "these data do not decide it", evicting: "evicting is better", quantized: "fewer bits are better" }[row.favours],
      ],
    }));
    return {
      label: `Evicting tokens against storing them in fewer bits, by model, on ${view.benchmark}.`,
      x: bytesAxis("Memory per question", points.map((point) => point.x)),
      y: shareAxis("Evicting is better by", points.flatMap((point) => [point.lo, point.hi])),
      layers: [{ type: "level", value: 0 }, { type: "marks", points }],
    };
  },
  threshold(view) {
    const rows = view.advantages;
    if (!rows.length) return null;
    const { found } = view, points = rows.map((row) => ({
      x: row.weights_bytes, y: row.advantage, lo: row.advantage_lo, hi: row.advantage_hi,
      path: CIRCLE_LARGE, fill: row.advantage_lo > 0 || row.advantage_hi < 0 ? "full" : "open",
      lines: () => [
        `weights of ${humanBytes(row.weights_bytes)}`,
        `doubling the memory for weights gives ${tenths(Math.abs(row.advantage))} points ` +
          `${row.advantage < 0 ? "less" : "more"} than doubling it for tokens`,
        `${between(row.advantage_lo, row.advantage_hi)}, from ${memories(row.contests)}`,
      ],
    }));
    const rule = found?.decided
      ? [{ type: "rule", value: found.weights_bytes, word: "threshold", range: [found.weights_bytes_lo, found.weights_bytes_hi] }] : [];
    return {
      label: `How much better more weights are than more tokens, by effective size, on ${view.benchmark}.`,
      x: bytesAxis("Effective size (bytes of the weights)", [...points.map((point) => point.x), ...(rule[0]?.range ?? [])]),
      y: shareAxis("Weights are better by", points.flatMap((point) => [point.lo, point.hi])),
      layers: [...rule, { type: "level", value: 0 }, { type: "line", points, kind: "faint" }, { type: "marks", points }],
    };
  },
  // What the frontier is made of: one small chart per choice.
  size: (view) => made(view, "effective size", (row) => row.weights_bytes, (values) => bytesAxis("", values, 0.08)),
  budget: (view) => made(view, "token budget", (row) => row.token_budget, (values) => choiceAxis("", values, 0.08)),
  group: (view) => made(view, "group size", (row) => row.group_size, (values) => choiceAxis("", values, 0.08)),
  policy(view) {
    const names = [...view.looks.policy.keys()].filter((name) => view.frontier.some((row) => row.policy === name));
    return made(view, "KV policy", (row) => names.indexOf(row.policy), () => nameAxis(names));
  },
};
const SQUARE = "M-4.2 -4.2H4.2V4.2H-4.2Z", CIRCLE_LARGE = "M-4.8 0a4.8 4.8 0 1 0 9.6 0a4.8 4.8 0 1 0 -9.6 0Z";

function made(view, what, valueOf, axisOf) {
  if (!view.frontier.length) return null;
  const memory = (row) => memoryOf(row, view.batch);
  const points = view.frontier.map((row) => pointOf(row, memory(row), view, { y: valueOf(row), ...marked(row, view) }));
  return {
    label: `The ${what} of the frontier's configurations over memory, on ${view.benchmark}.`,
    x: bytesAxis("Memory per question", points.map((point) => point.x)),
    y: axisOf(points.map((point) => point.y)),
    layers: [{ type: "line", points, step: true, kind: "faint" }, { type: "marks", points }],
  };
}
