// The columns of the tables of scenarios. Those that `moves` depend on the sliders, `light` says what an accuracy is,
// and what is `alone` has no range over several scenarios.
"use strict";

const SCENARIO_COLUMNS = [
  { name: "memory_bytes", title: "Memory", moves: true, value: (row) => memoryOf(row, page.view.batch), text: (row) => humanBytes(memoryOf(row, page.view.batch)) },
  { name: "model", title: "Model", value: (row) => row.model },
  { name: "weights", title: "Weights", value: (row) => row.weights },
  { name: "kv_policy", title: "KV policy", value: (row) => row.policy },
  { name: "token_budget", title: "Tokens", value: (row) => row.token_budget, text: (row) => number(row.token_budget) },
  { name: "group_size", title: "G", value: (row) => row.group_size, text: (row) => row.group },
  { name: "accuracy", title: "Measured", light: () => "raw", value: (row) => row.accuracy, text: (row) => percent(row.accuracy) },
];
const FRONTIER_COLUMNS = [
  ...SCENARIO_COLUMNS.slice(0, -1),
  { name: "expected", title: "Expected", moves: true, light: (view) => (view.isOfAll ? "corrected" : "smoothed"), value: (row) => page.view.expected(row).mean, text: (row) => percent(page.view.expected(row).mean) },
  { name: "interval_width", title: "95% interval", moves: true, alone: true, value: (row) => intervalWidth(page.view.expected(row)), text: (row) => intervalOf(page.view.expected(row)) },
  SCENARIO_COLUMNS.at(-1),
  { name: "p_on_frontier", title: "Stays", moves: true, value: (row) => page.view.stays(row) ?? null, text: (row) => percent(page.view.stays(row) ?? null) },
];
const isKnown = ({ lo }) => lo !== undefined;
const intervalWidth = (expected) => (isKnown(expected) ? expected.hi - expected.lo : null);
const intervalOf = (expected) => (isKnown(expected) ? interval(expected.lo, expected.hi) : "–");
const share = (name, title) => ({ name, title, value: (row) => row[name], text: (row) => percent(row[name]) });
const bytes = (name, title) => ({ name, title, value: (row) => row[name], text: (row) => humanBytes(row[name]) });
const ALL_COLUMNS = [
  ...SCENARIO_COLUMNS,
  share("accuracy_lo", "95% low"), share("accuracy_hi", "95% high"), share("pass_at_1", "pass@1"), share("pass_at_g", "pass@G"),
  share("unanswered", "Unanswered"), share("cut_off", "Cut off"), share("errors", "Errors"),
  { name: "mean_trace_tokens", title: "Thinking tokens", value: (row) => row.mean_trace_tokens, text: (row) => number(Math.round(row.mean_trace_tokens)) },
  bytes("weights_bytes", "Weight bytes"), bytes("kv_bytes", "KV bytes"),
  { name: "n_samples", title: "Samples", value: (row) => row.n_samples, text: (row) => number(row.n_samples), mood: (row) => (row.complete || row.stopped_at !== null ? "" : "warn") },
];
const STOPPED_COLUMN = { name: "stopped_at", title: "Stopped at", value: (row) => row.stopped_at, text: (row) => (row.stopped_at === null ? "–" : number(row.stopped_at)) };

// A link from a scenario to its traces, where the run's folder has pages of them.
function tracesLink(base, benchmark, row, text) {
  const link = document.createElement("a");
  link.href = traceAddress(base, benchmark, row);
  link.textContent = text;
  link.setAttribute("aria-label", `${text}: ${inWords(row)}`);
  return link;
}
const tracesColumn = (base, benchmarks) =>
  ({ name: "traces", title: "Traces", value: () => null, node: (row) => tracesLink(base, benchmarks[row.benchmark], row, "Read") });
// What the search of a table looks into.
const searched = (row) => ` ${row.model} ${row.weights} ${row.policy} ${row.token_budget} ${row.group_size} ${row.id}`.toLowerCase();
const engineOf = (row) => `${row.model} ${row.weights}, ${row.policy} KV`;
