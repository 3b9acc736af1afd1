// What each chart shows. A chart `needs` some of the user's choices, and is drawn again only if one of them
// changes. `of` makes its axes, layers and legend from them (`view`), or null where there is nothing to show.
// `moving` makes the layers that change with the memory alone. `view.rows` are the benchmark's scenarios,
// `view.shown` those that pass the filters, and `view.frontier` the frontier among the shown ones.
"use strict";

const MOST_LINES = 24; // with more engines than this, only those on the frontier and `full` are drawn
const MOST_TOGETHER = 10; // with more engines than this, each model has a chart of its own
const SQUARE = "M-4.2 -4.2H4.2V4.2H-4.2Z", CIRCLE_LARGE = "M-4.8 0a4.8 4.8 0 1 0 9.6 0a4.8 4.8 0 1 0 -9.6 0Z";
const SHOWN = ["benchmark", "shown"], MADE = [...SHOWN, "batch", "colour"];

// ---- points ----
const tell = (row) => describeScenario(row, page.view);
const pointOf = (row, x, view, more = {}) =>
  ({ x, y: row.accuracy, row, look: view.lookOf(row), lines: () => tell(row), ...more });
const marked = (row, view) => ({ path: view.looks.policy.get(row.policy).path, fill: view.looks.weights.get(row.weights).fill });
const dotsOf = (rows, x, view, more = {}) =>
  ({ type: "dots", rows, x, y: (row) => row.accuracy, lookOf: view.lookOf, lines: tell, ...more });
// A point of the frontier is drawn at the accuracy that is expected of it, with its interval where that is known.
function chosenAt(row, view) {
  const { mean, ...bounds } = view.expected(row);
  return { y: mean, ...bounds };
}

// ---- legends: only of what is drawn ----
const LIGHTS = { raw: "measured", smoothed: "estimate", corrected: "on new questions" };
const light = (kind, of) => ({ light: kind, name: of ? `${of}: ${LIGHTS[kind]}` : LIGHTS[kind] });
const namesIn = (choice, rows, view) => {
  const drawn = new Set(rows.map((row) => row[choice]));
  return [...view.looks[choice].keys()].filter((name) => drawn.has(name));
};
const coloursIn = (choice, rows, view) => namesIn(choice, rows, view).map((name) => ({ name: choice === "group" ? `G = ${name}` : name, look: view.looks[choice].get(name) }));
const policiesIn = (rows, view, more = () => ({})) => namesIn("policy", rows, view).map((name) => ({ name, path: view.looks.policy.get(name).path, ...more(name) }));
const fillsIn = (rows, view) => (view.looks.weights.size < 2 ? []
  : namesIn("weights", rows, view).map((name) => ({ name, path: CIRCLE_LARGE, fill: view.looks.weights.get(name).fill })));
const marksIn = (rows, view) => [...policiesIn(rows, view), ...fillsIn(rows, view)];

// ---- lines of engines ----
// The rows of the engines that are drawn as lines: all, or those on the frontier and the baseline.
function lined(rows, view) {
  if (new Set(rows.map((row) => row.id)).size <= MOST_LINES) return rows;
  const best = new Set(view.frontier.map((row) => row.id));
  return rows.filter((row) => best.has(row.id) || row.policy === "full");
}
// A line per engine along x, in one chart or in one for each model.
function engineCharts(rows, xOf, view, { label, x, y }) {
  const isMany = new Set(rows.map((row) => row.id)).size > MOST_TOGETHER;
  const isSplit = isMany && new Set(rows.map((row) => row.model)).size > 1;
  // A colour that is the same for all lines of a chart would tell nothing.
  const dimension = isSplit && view.dimension === "model" ? "weights" : view.dimension;
  const lookOf = (row) => view.looks[dimension].get(row[dimension]);
  const legend = [light("raw"), ...coloursIn(dimension, rows, view),
    ...policiesIn(rows, view, (name) => ({ dash: view.looks.policy.get(name).dash })), ...(dimension === "weights" ? [] : fillsIn(rows, view))];
  const layersOf = (own) => [
    dotsOf(own.filter(isHollow), xOf, view, { lookOf }),
    ...[...Map.groupBy(own, (row) => row.id).values()].flatMap((line) => {
      const points = line.sort((a, b) => xOf(a) - xOf(b)).map((row) => pointOf(row, xOf(row), view, { look: lookOf(row), ...marked(row, view) }));
      const { dash } = view.looks.policy.get(line[0].policy);
      return [{ type: "line", points, look: points[0].look, dash }, { type: "marks", points: points.filter(({ row }) => !isHollow(row)) }];
    }),
  ];
  if (!isSplit) return { label, legend, x, y, layers: layersOf(rows) };
  return { label, legend, panels: byModel(rows, view, (own, model) => ({ label: `${model}. ${label}`, x, y, layers: layersOf(own) })) };
}
function byModel(rows, view, chartOf) {
  const own = Map.groupBy(rows, (row) => row.model);
  return [...view.looks.model.keys()].filter((model) => own.has(model)).map((model) => ({ title: model, ...chartOf(own.get(model), model) }));
}
// The precision that a chart of many engines shows, or all of them.
function ofPrecision(rows, name, view) {
  const shown = [...view.looks.weights.keys()].filter((weights) => view.isShown("weights", weights));
  const asked = view.precisions[name];
  if (asked === "all" || asked === null) return rows;
  const chosen = shown.includes(asked) ? asked : shown[0];
  return rows.filter((row) => row.weights === chosen);
}

// ---- the charts ----
const CHARTS = {
  memory: {
    needs: MADE,
    of(view) {
      if (!view.shown.length) return null;
      const memory = (row) => memoryOf(row, view.batch);
      const points = view.frontier.map((row) => pointOf(row, memory(row), view, { ...marked(row, view), ...chosenAt(row, view) }));
      const all = !view.isOfAll ? view.ofAll.map(([local, mean]) => ({ x: memory(view.rows[local]), y: mean })) : [];
      return {
        label: `Accuracy over memory on ${view.benchmark}: ${plural(points.length, "configuration")} on the frontier.`,
        legend: [light("raw", "dots"), light(view.isOfAll ? "corrected" : "smoothed", "line"), ...coloursIn(view.dimension, view.shown, view), ...marksIn(view.frontier, view)],
        x: bytesAxis(`Memory per question: weights${view.batch === 1 ? "" : ` / ${view.batch}`} + KV cache`, view.rows.map(memory)),
        y: shareAxis("Accuracy", view.shown.map((row) => row.accuracy_hi)),
        layers: [
          dotsOf(view.shown, memory, view),
          ...(all.length ? [{ type: "line", points: all, step: true, kind: "faint" }] : []),
          { type: "line", points, step: true },
          { type: "marks", points },
        ],
      };
    },
    moving: (view) => [
      { type: "pick", points: view.answer.best ? [{ x: memoryOf(view.answer.best, view.batch), y: view.answer.accuracy }] : [] },
      { type: "rule", value: view.memory / view.batch, word: `your memory, ${humanBytes(view.memory)}` + (view.batch === 1 ? "" : ` / ${view.batch}`) },
    ],
  },
  tokens: {
    needs: MADE,
    of(view) {
      const rows = lined(view.shown.filter((row) => row.group_size === 1), view);
      if (!rows.length) return null;
      return engineCharts(rows, (row) => row.token_budget, view, {
        label: `Accuracy of one sample over the token budget on ${view.benchmark}.`,
        x: choiceAxis("Token budget", rows.map((row) => row.token_budget)),
        y: shareAxis("Accuracy", rows.map((row) => row.accuracy)),
      });
    },
  },
  groups: {
    needs: [...MADE, "budget"],
    of(view) {
      const rows = lined(view.shown.filter((row) => row.token_budget === view.budget), view);
      if (new Set(rows.map((row) => row.group_size)).size < 2) return null;
      return engineCharts(rows, (row) => row.group_size, view, {
        label: `Accuracy over the number of votes at ${plural(view.budget, "token")} on ${view.benchmark}.`,
        x: choiceAxis("Samples that vote, G", rows.map((row) => row.group_size)),
        y: shareAxis("Accuracy", rows.map((row) => row.accuracy)),
      });
    },
  },
  votes: {
    needs: [...SHOWN, "batch"],
    of(view) {
      const memory = (row) => memoryOf(row, view.batch), sides = [["one sample", "serial", (row) => row.group_size === 1], ["votes", "parallel", (row) => row.group_size > 1]];
      const lines = sides.map(([name, side, isIn]) => {
        const look = view.colours[side];
        const points = pareto(view.ranked.filter(isIn), memory).map((row) => pointOf(row, memory(row), view, { look, y: row.estimate, ...marked(row, view) }));
        return { name, look, points };
      });
      if (lines.some(({ points }) => !points.length)) return null;
      const all = lines.flatMap(({ points }) => points);
      return {
        label: `The best with votes and the best without, over memory, on ${view.benchmark}.`,
        legend: [light("smoothed"), ...lines.map(({ name, look }) => ({ name, look })), ...marksIn(all.map(({ row }) => row), view)],
        x: bytesAxis("Memory per question", all.map((point) => point.x)),
        y: shareAxis("Accuracy (estimate)", all.map((point) => point.y)),
        layers: lines.flatMap(({ look, points }) => [{ type: "line", points, look, step: true }, { type: "marks", points }]),
      };
    },
  },
  batches: {
    needs: [...SHOWN, "colour", "memory"],
    of(view) {
      const count = (row) => largestBatch(row, view.memory), fits = view.shown.filter((row) => count(row) > 0);
      if (!fits.length) return null;
      const best = pareto(view.ranked.filter((row) => count(row) > 0), (row) => -count(row)); // a memory that holds many questions holds fewer as well
      const lines = (row) => [`${plural(count(row), "question")} at once in ${humanBytes(view.memory)}`, ...tell(row)];
      const points = best.map((row) => pointOf(row, count(row), view, { y: row.estimate, ...marked(row, view), lines: () => lines(row) }));
      return {
        label: `Accuracy over the number of questions that ${humanBytes(view.memory)} hold at once, on ${view.benchmark}.`,
        legend: [light("raw", "dots"), light("smoothed", "line"), ...coloursIn(view.dimension, fits, view), ...marksIn(best, view)],
        x: countAxis(`Questions at once in ${humanBytes(view.memory)}`, fits.map(count)),
        y: shareAxis("Accuracy (line: estimate)", fits.map((row) => row.accuracy_hi)),
        layers: [dotsOf(fits, count, view, { lines }), { type: "line", points, step: true, kind: "back" }, { type: "marks", points }],
      };
    },
  },
  kv: {
    needs: [...SHOWN, "kv_weights"],
    of(view) {
      const rows = ofPrecision(view.shown.filter((row) => row.group_size === 1), "kv", view);
      if (new Set(rows.map((row) => row.policy)).size < 2) return null;
      const label = `Accuracy of one sample over the bytes of its KV cache on ${view.benchmark}.`, bytes = (row) => row.kv_bytes;
      const lookOf = (row) => view.looks.policy.get(row.policy);
      const drawn = []; // the best of each engine within each size of its cache
      const chartOf = (own) => {
        const lines = [...Map.groupBy(own, (row) => row.id).values()].map((line) =>
          pareto(ranked(line), bytes).map((row) => pointOf(row, bytes(row), view, { y: row.estimate, look: lookOf(row), ...marked(row, view) })));
        drawn.push(...lines.flat());
        return {
          label, x: bytesAxis("KV cache of one sample", own.map(bytes)),
          layers: [dotsOf(own.filter(isHollow), bytes, view, { lookOf }), ...lines.filter((points) => points.length).flatMap((points) => [
            { type: "line", points, look: points[0].look, dash: points[0].look.dash }, { type: "marks", points },
          ])],
        };
      };
      const isSplit = new Set(rows.map((row) => row.model)).size > 1; // colours are policies, and tell no models apart
      const made = isSplit ? { label, panels: byModel(rows, view, chartOf) } : chartOf(rows);
      const stopped = rows.filter(isHollow).map((row) => row.accuracy), y = shareAxis("Accuracy (estimate)", [...drawn.map((point) => point.y), ...stopped]);
      for (const chart of made.panels ?? [made]) chart.y = y;
      const legend = policiesIn(rows, view, (name) => ({ look: view.looks.policy.get(name), dash: view.looks.policy.get(name).dash }));
      return { ...made, legend: [light("smoothed"), ...legend, ...fillsIn(rows, view)] };
    },
  },
  eviction: {
    needs: [...SHOWN, "judged", "eviction_weights"],
    of(view) {
      const rows = ofPrecision(view.judged("eviction").filter((row) => view.isShown("model", row.model) && view.isShown("weights", row.weights)), "eviction", view);
      if (!rows.length) return null;
      const x = (own) => bytesAxis("Memory per question", own.map((row) => row.memory_bytes));
      const y = shareAxis("Evicting is better by", rows.flatMap((row) => [row.difference_lo, row.difference_hi]));
      const label = `Evicting tokens against storing them in fewer bits, by model, on ${view.benchmark}.`;
      const layers = (own) => [{ type: "level", value: 0 }, { type: "marks", points: own.map((row) => evictionPoint(row, view)) }];
      return {
        label, legend: [light("corrected"), ...coloursIn("weights", rows, view), ...verdictsIn(rows)],
        panels: byModel(rows, view, (own, model) => ({ label: `${model}. ${label}`, x: x(own), y, layers: layers(own) })),
      };
    },
  },
  threshold: {
    needs: ["benchmark", "judged"],
    of(view) {
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
        legend: [light("corrected")],
        x: bytesAxis("Effective size (bytes of the weights)", [...points.map((point) => point.x), ...(rule[0]?.range ?? [])]),
        y: shareAxis("Weights are better by", points.flatMap((point) => [point.lo, point.hi])),
        layers: [...rule, { type: "level", value: 0 }, { type: "line", points, kind: "faint" }, { type: "marks", points }],
      };
    },
  },
  // What the frontier is made of: one small chart per choice.
  size: made("effective size", (row) => row.weights_bytes, (values) => bytesAxis("", values, 0.08)),
  budget: made("token budget", (row) => row.token_budget, (values) => choiceAxis("", values, 0.08)),
  group: made("group size", (row) => row.group_size, (values) => choiceAxis("", values, 0.08)),
  policy: {
    needs: MADE,
    of(view) {
      const names = namesIn("policy", view.frontier, view);
      return made("KV policy", (row) => names.indexOf(row.policy), () => nameAxis(names)).of(view);
    },
  },
};

const VERDICTS = {
  evicting: { path: CIRCLE_LARGE, fill: "full", name: "evicting is better" },
  quantized: { path: SQUARE, fill: "full", name: "fewer bits are better" },
  neither: { path: CIRCLE_LARGE, fill: "open", name: "these data do not decide it" },
};
const verdictsIn = (rows) => Object.keys(VERDICTS).filter((name) => rows.some((row) => row.favours === name)).map((name) => VERDICTS[name]);
function evictionPoint(row, view) {
  const { path, fill, name } = VERDICTS[row.favours], look = view.looks.weights.get(row.weights);
  return {
    x: row.memory_bytes, y: row.difference, lo: row.difference_lo, hi: row.difference_hi, look, bars: look, path, fill,
    lines: () => [
      `${row.model} ${row.weights} within ${humanBytes(row.memory_bytes)}`,
      `evicting ${percent(row.evicting_accuracy)}: ${row.evicting_engine_id}`,
      `fewer bits ${percent(row.quantized_accuracy)}: ${row.quantized_engine_id}`,
      `difference ${percentagePoints(row.difference)} points, ${between(row.difference_lo, row.difference_hi)}`,
      name,
    ],
  };
}
function made(what, valueOf, axisOf) {
  const of = (view) => {
    if (!view.frontier.length) return null;
    const memory = (row) => memoryOf(row, view.batch);
    const points = view.frontier.map((row) => pointOf(row, memory(row), view, { y: valueOf(row), ...marked(row, view) }));
    return {
      label: `The ${what} of the frontier's configurations over memory, on ${view.benchmark}.`,
      x: bytesAxis("Memory per question", points.map((point) => point.x)),
      y: axisOf(points.map((point) => point.y)),
      layers: [{ type: "line", points, step: true, kind: "faint" }, { type: "marks", points }],
    };
  };
  return { needs: MADE, of };
}
