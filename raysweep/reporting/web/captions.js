// What the page says in words of the user's choices: the recommendation, and the captions of the charts.
"use strict";

function describe(view) {
  const say = (id, text) => { if (byId(id).textContent !== text) byId(id).textContent = text; };
  const batch = view.batch === 1 ? "" : `, with weights shared by a batch of ${view.batch}`;
  const { engines, stopped } = countsOf(view);
  say("batch-value", number(view.batch));
  say("memory-caption", `${view.benchmark}${batch}. Each dot is a configuration as measured.${stopped ? " Small hollow dots were stopped early, and are compared with nothing." : ""} The stepped line is the frontier${view.isOfAll ? "" : " of those shown (the faint line is that of all)"}. ${shownAs(view)}`);
  say("frontier-caption", `${view.benchmark}${batch}: ${plural(view.frontier.length, "configuration")} for which no other${view.filtered ? " that is shown" : ""} has as good an estimate with as little memory. ${shownAs(view)}`);
  const few = engines > MOST_LINES ? "a line per engine on the frontier and per full cache (search the table below for others)" : "a line per engine";
  const apart = engines > MOST_TOGETHER && view.looks.model.size > 1 ? ", a chart per model" : "";
  say("tokens-caption", `${view.benchmark}, one sample: ${few}${apart}.`);
  say("groups-caption", `${view.benchmark}, majority vote at ${plural(view.budget, "token")}: ${few}${apart}.`);
  say("kv-caption", `${view.benchmark}, one sample: the best of each engine within each size of its cache, by estimate, over its token budgets${view.looks.model.size > 1 ? ", a chart per model" : ""}.`);
  say("made-caption", `${view.benchmark}${batch}: the configurations of the frontier, one chart per choice.`);
  say("votes-caption", `${view.benchmark}${batch}: the best configuration with one sample and the best with votes, within each memory, by their estimates. ${judgement(view)}`);
  say("batches-caption", `${view.benchmark}: how many questions fit at once beside the weights, and the accuracy of their answers. The stepped line is the best by estimate.`);
  say("eviction-caption", `${view.benchmark}, batch size ${view.judgedBatch}: how much better evicting tokens is than storing them in fewer bits, at equal memory, with intervals that hold for all ${number(view.judged("eviction").length)} comparisons together.`);
  say("threshold-caption", thresholdInWords(view));
  byId("threshold-title").closest("section").hidden = !view.found && !view.advantages.length;
  say("scenarios-caption", `${view.benchmark}: ${plural(view.shown.length, "scenario")} shown. The CSV file has all of them.`);
  say("status", `${number(view.shown.length)} of ${plural(view.rows.length, "scenario")} shown.`);
}
// How many engines are shown, and whether an adaptive run has stopped any: counted once per filter.
function countsOf({ shown, rows }) {
  shown.counts ??= { engines: new Set(shown.map((row) => row.id)).size, stopped: rows.some(isHollow) };
  return shown.counts;
}
// What the accuracies of the frontier are.
function shownAs(view) {
  const each = `Each is the best of up to ${plural((view.isOfAll ? view.rows : view.shown).length, "configuration")}`;
  return view.isOfAll
    ? `${each}, with the accuracy to expect on new questions and its 95% interval. The measured accuracy is biased upwards, since it also made the choice.`
    : `${each} that are shown, with its smoothed estimate. The accuracy to expect on new questions is known for the frontier of all only.`;
}
function judgement(view) {
  const rows = view.judged("votes");
  if (!rows.length) return "";
  const count = (side) => rows.filter((row) => row.favours === side).length;
  return `They are compared at ${memories(rows.length)} (batch size ${view.judgedBatch}, all configurations), with intervals that hold together. ` +
    `Votes are better at ${count("parallel")} of them, one sample is at ${count("serial")}, ` +
    `and at ${count("neither")} these data do not decide it.`;
}
function thresholdInWords(view) {
  const { found } = view;
  if (!found) return "";
  const where = `${view.benchmark}, batch size ${view.judgedBatch}`;
  if (!found.decided) return `${where}: these data do not decide the scale threshold, because ${found.reason}.`;
  return `${where}: the scale threshold is ${humanBytes(found.weights_bytes)} of weights ` +
    `(95% interval ${humanBytes(found.weights_bytes_lo)} to ${humanBytes(found.weights_bytes_hi)}). ` +
    "Below it, memory is better spent on more weights, above it on more tokens.";
}

// ---- the recommendation ----
function answer(view) {
  const found = view.answer;
  const lines = found.best ? answered(view, found) : [
    line("p", `Nothing fits. The smallest configuration is ${inWords(found.smallest)}, which takes ${humanBytes(deviceMemoryOf(found.smallest, view.batch))}.`),
  ];
  byId("answer").replaceChildren(...lines);
  byId("ask-caption").textContent = `${view.benchmark}, ${humanBytes(view.memory)}, ` +
    (view.batch === 1 ? "one question at a time" : `${view.batch} questions at once`) + ". All configurations are considered, whatever the filters show.";
  byId("command").textContent = `'stages=[recommend]' recommend.memory_gb=${Number((view.memory / 1e9).toPrecision(3))} ` +
    `recommend.batch_size=${view.batch} 'recommend.benchmark=${view.benchmark}'`;
}
function line(name, ...parts) {
  const made = document.createElement(name);
  made.append(...parts);
  return made;
}
function answered(view, found) {
  const { best } = found, list = document.createElement("ul");
  const expected = line("p", line("strong", percent(found.accuracy)), ` expected accuracy on new questions, 95% interval ${interval(found.low, found.high)}`);
  expected.className = "expected light corrected";
  const title = line("p", inWords(best));
  title.className = "best";
  const measured = measuredInWords(found.measured, found.considered, found.stopped);
  const raw = line("span", `${measured[0].toUpperCase()}${measured.slice(1)}`);
  raw.className = "light raw";
  const fine = line("p", `Takes ${humanBytes(found.memory)}. `, raw, ".");
  fine.className = "hint";
  if (page.traces !== null) fine.append(" ", tracesLink(page.traces, view.benchmark, best, "Read its traces"), ".");
  list.append(...[neighbourLine(view, "Less memory", found.less, "worse"), neighbourLine(view, "More memory", found.more, "better")].filter(Boolean));
  if (!found.more) list.append(line("li", line("b", "More memory: "), found.beyondUnknown ? "not asked of this run, which stopped all that take more." : "no other has a better estimate."));
  list.append(...alternatives(view, found));
  return [title, expected, fine, list];
}
// What the next smaller or larger memory that changes the answer would give.
function neighbourLine(view, title, found, judgement) {
  if (!found) return null;
  const memory = humanBytes(deviceMemoryOf(found.row, view.batch));
  return line("li", line("b", `${title}: `), `${inWords(found.row)} takes ${memory}, ${expectedToBe(found, judgement)}.`);
}
function alternatives(view, { best, alternatives: others, compared }) {
  if (!compared) return [];
  if (!others.length) return [line("li", line("b", "Alternatives: "), `${eachIsWorseInWords(compared)}.`)];
  const smallest = others.reduce((a, b) => (deviceMemoryOf(b, view.batch) < deviceMemoryOf(a, view.batch) ? b : a));
  const shown = [...new Set([...others.slice(0, 3), smallest])];
  const items = shown.map((row) => line("li",
    `${inWords(row)}: ${humanBytes(deviceMemoryOf(row, view.batch))}, measured ${worseInWords(best.accuracy - row.accuracy)}`));
  const inner = line("ul", ...items);
  return [line("li", line("b", indistinguishableInWords(others.length, compared)), " by a test of all comparisons at once" + (others.length > shown.length ? ", among them:" : ":"), inner)];
}

