// How quantities and configurations are written: twins of system/quantities.py, configurations.py and
// recommendation_text.py.
"use strict";

const BYTE_UNITS = ["B", "kB", "MB", "GB", "TB"];

function humanBytes(count) {
  let value = Number(count.toPrecision(3)), power = 0;
  while (value >= 1000 && power < BYTE_UNITS.length - 1) { value /= 1000; power += 1; }
  return `${Number(value.toPrecision(3))} ${BYTE_UNITS[power]}`;
}
// "24 GB", "1.2MB", or a number of GB; NaN for anything else.
function parseBytes(text) {
  const found = /^\s*(\d+\.?\d*|\.\d+)(?:e(-?\d+))?\s*([kmgt]?)b?\s*$/i.exec(text);
  if (!found) return NaN;
  const power = found[3] ? ["", "k", "m", "g", "t"].indexOf(found[3].toLowerCase()) : /b\s*$/i.test(text) ? 0 : 3;
  return Number(`${found[1]}e${Number(found[2] ?? 0) + 3 * power}`);
}
const tenths = (share) => (100 * share).toFixed(1).replace(/^-(0\.0)$/, "$1");
const percent = (share) => (share === null ? "–" : `${tenths(share)}%`);
const interval = (low, high) => `${tenths(low)}–${tenths(high)}`;
// A difference of accuracies in percentage points, and its interval.
const percentagePoints = (share) => tenths(share).replace("-", "−");
const between = (low, high) => `95% interval ${percentagePoints(low)} to ${percentagePoints(high)}`;
const number = (value) => value.toLocaleString("en");
const plural = (count, noun) => `${number(count)} ${noun}${count === 1 ? "" : "s"}`;
const memories = (count) => `${number(count)} ${count === 1 ? "memory" : "memories"}`;
const inWords = (row) =>
  `${row.model} ${row.weights}, ${row.policy} KV, ${plural(row.token_budget, "token")}, ` +
  plural(row.group_size, "sample");

// "measured 68.8%, chosen from 525 that fit"
function measuredInWords(measured, considered, stopped) {
  const fit = considered + stopped;
  const from = fit === 1 ? "the only one that fits" : `chosen from ${number(fit)} that fit`;
  return `measured ${percent(measured)}, ${from}` + (stopped ? `, of which ${number(stopped)} were stopped early` : "");
}
// "2 of 524 others are statistically indistinguishable"
function indistinguishableInWords(count, compared) {
  return `${number(count)} of ${plural(compared, "other")} ${count === 1 ? "is" : "are"} statistically indistinguishable`;
}
// "1.2 points worse", or better where the difference is negative
const worseInWords = (behind) =>
  `${tenths(Math.abs(behind))} points ${behind < 0 ? "better" : "worse"}`;
// "expected to be 1.2 points better (95% interval …)", or no better where nothing is gained
function expectedToBe({ ahead, low, high }, judgement) {
  if (ahead === 0) return `${judgement === "better" ? "no gain" : "no loss"} expected`;
  return `expected to be ${percentagePoints(ahead)} points ${judgement} (${between(low, high)})`;
}
// "each of the 524 others is significantly worse"
const eachIsWorseInWords = (compared) => (compared === 1
  ? "the other configuration is significantly worse" : `each of the ${number(compared)} others is significantly worse`);
// why a configuration is compared with nothing in an adaptive run
const stoppedInWords = (samples) => (samples === 0
  ? "does not fit the memory that was asked for, so it is compared with nothing"
  : `out after ${plural(samples, "sample")} per question: compared with nothing, and too low in expectation`);

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

// Where the traces of a scenario are read: `base` is the address of the folder of their pages.
const traceAddress = (base, benchmark, row) =>
  `${base}${encodeURIComponent(benchmark)}.html#${new URLSearchParams({ engine: row.id, token_budget: row.token_budget, group_size: row.group_size })}`;
