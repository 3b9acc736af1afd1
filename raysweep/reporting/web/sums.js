// What the page computes from its data: memory at a batch size, frontiers, and the recommendation.
// These functions are twins of frontier.py and recommend.py, and the tests compare the two.
"use strict";

async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).json();
}

// Each scenario as an object; `local` is its place among those of its benchmark.
function scenarioRows(data) {
  const columns = Object.entries(data.scenarios), seen = data.benchmarks.map(() => 0);
  return data.scenarios.engine.map((engine, index) => {
    const row = { index, ...data.engines[engine] };
    for (const [name, values] of columns) row[name] = values[index];
    row.local = seen[row.benchmark]++;
    row.group = String(row.group_size);
    return row;
  });
}

const memoryOf = (row, batch) => row.weights_bytes / batch + row.kv_bytes;
const deviceMemoryOf = (row, batch) => memoryOf(row, batch) * batch;

// The rows that have an estimate, best first; of equal ones the first. An estimate is the accuracy by which
// configurations are chosen (analysis/shrinkage.py). Rows without one were stopped early or measured on fewer
// questions than others, and are not compared with them.
function ranked(rows) {
  return rows.filter((row) => row.estimate !== null).sort((one, other) => other.estimate - one.estimate || one.index - other.index);
}

// Of ranked rows those for which no other has as good an estimate at as little cost, least cost first. Of equal
// rows the first is kept. One pass suffices: a row stays if it costs less than all that are better.
function pareto(best, costOf) {
  const kept = [];
  let least = Infinity;
  for (const row of best) {
    const cost = costOf(row);
    if (!(cost < least)) continue;
    if (kept.length && kept.at(-1).estimate === row.estimate) kept.pop();
    kept.push(row);
    least = cost;
  }
  return kept.reverse();
}

// The number of questions that fit at once beside the weights, 0 if none does.
const largestBatch = (row, memory) => Math.floor(Math.max(0, memory - row.weights_bytes) / row.kv_bytes);

// The recommendation, as recommend.py gives it. `rows` are all rows of the benchmark, and `advice` is its part
// of the data. Where nothing fits, `best` is null and `smallest` is the configuration of least memory.
function recommendation(rows, advice, memory, batch) {
  const fits = (row) => deviceMemoryOf(row, batch) <= memory;
  const steps = advice.steps[batch].map(stepOf);
  const within = steps.filter((step) => fits(rows[step.local])).length;
  if (within === 0) {
    const able = advice.comparable.map((local) => rows[local]);
    const smallest = able.reduce((a, b) => (deviceMemoryOf(b, batch) < deviceMemoryOf(a, batch) ? b : a));
    return { best: null, smallest };
  }
  const [before, step, after] = [steps[within - 2], steps[within - 1], steps[within]];
  const best = rows[step.local], close = Uint8Array.from(atob(step.indistinguishable), (letter) => letter.charCodeAt(0));
  const alternatives = [];
  let considered = 0;
  advice.comparable.forEach((local, i) => {
    if (!fits(rows[local])) return;
    considered += 1;
    if ((close[i >> 3] >> (7 - (i & 7))) & 1) alternatives.push(rows[local]);
  });
  let stopped = 0, beyond = 0, beyondStopped = 0;
  for (const row of rows) {
    const isStopped = row.stopped_at !== null, isWithin = fits(row);
    if (isWithin) stopped += isStopped;
    else { beyond += 1; beyondStopped += isStopped; }
  }
  return {
    best, measured: best.accuracy, memory: deviceMemoryOf(best, batch),
    accuracy: step.expected, low: step.low, high: step.high,
    considered, stopped, beyondUnknown: beyond > 0 && beyond === beyondStopped, compared: step.compared,
    alternatives: alternatives.sort((a, b) => b.estimate - a.estimate || deviceMemoryOf(a, batch) - deviceMemoryOf(b, batch)),
    less: before ? { row: rows[before.local], ...before.gain } : null,
    more: after ? { row: rows[after.local], ...step.gain } : null,
  };
}
// `gain` is how much more accurate the next step is expected to be, with its interval.
function stepOf([local, expected, low, high, ahead, aheadLow, aheadHigh, compared, indistinguishable]) {
  return { local, expected, low, high, gain: { ahead, low: aheadLow, high: aheadHigh }, compared, indistinguishable };
}
