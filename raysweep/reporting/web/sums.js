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

// The rows for which no other is as accurate at as little cost, least cost first. Of equal rows the first is kept.
function pareto(rows, costOf) {
  const sorted = rows.map((row) => [costOf(row), row])
    .sort(([a, one], [b, other]) => a - b || other.accuracy - one.accuracy || one.index - other.index);
  let best = -Infinity;
  return sorted.filter(([, row]) => row.accuracy > best && ((best = row.accuracy), true)).map(([, row]) => row);
}

// The number of questions that fit at once beside the weights, 0 if none does.
const largestBatch = (row, memory) => Math.floor(Math.max(0, memory - row.weights_bytes) / row.kv_bytes);

// The recommendation, as recommend.py gives it. `rows` are all rows of the benchmark, and `advice` is its part
// of the data. Where nothing fits, `best` is null and `smallest` is the configuration of least memory.
function recommendation(rows, advice, memory, batch) {
  const able = advice.comparable.map((local) => rows[local]);
  const fits = (row) => deviceMemoryOf(row, batch) <= memory;
  const { steps, optimism } = advice.at_batch[batch];
  const within = steps.filter(([local]) => fits(rows[local])).length;
  if (within === 0) {
    const smallest = able.reduce((a, b) => (deviceMemoryOf(b, batch) < deviceMemoryOf(a, batch) ? b : a));
    return { best: null, smallest };
  }
  const best = rows[steps[within - 1][0]];
  const bias = optimism.findLast(([from]) => from <= memory)[1];
  const unbiased = (value) => Math.min(1, Math.max(0, value - bias));
  const close = Uint8Array.from(atob(advice.indistinguishable[best.local]), (letter) => letter.charCodeAt(0));
  return {
    best, optimism: bias, measured: best.accuracy, memory: deviceMemoryOf(best, batch),
    accuracy: unbiased(best.accuracy), low: unbiased(best.accuracy_lo), high: unbiased(best.accuracy_hi),
    considered: able.filter(fits).length,
    alternatives: able.filter((row, i) => (close[i >> 3] >> (7 - (i & 7))) & 1 && fits(row))
      .sort((a, b) => b.accuracy - a.accuracy || deviceMemoryOf(a, batch) - deviceMemoryOf(b, batch)),
    less: within > 1 ? neighbour(rows, steps[within - 2], best) : null,
    more: within < steps.length ? neighbour(rows, [steps[within][0], ...steps[within - 1].slice(1)], best) : null,
  };
}
// `ahead` is how much more accurate the larger of the two is, with its interval.
function neighbour(rows, [local, low, high], best) {
  return { row: rows[local], ahead: Math.abs(rows[local].accuracy - best.accuracy), low, high };
}
