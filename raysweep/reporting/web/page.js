// The page's behaviour: read the controls, compute what they choose, and show it.
"use strict";

const CHOICES = ["model", "weights", "policy", "group"];
const STEPS = 1000; // positions of the memory slider
const MOST_ROWS = 20; // rows of the table of all scenarios

const SCENARIO_COLUMNS = [
  { name: "memory_bytes", title: "Memory", value: (row) => memoryOf(row, page.view.batch), text: (row) => humanBytes(memoryOf(row, page.view.batch)) },
  { name: "model", title: "Model", value: (row) => row.model },
  { name: "weights", title: "Weights", value: (row) => row.weights },
  { name: "kv_policy", title: "KV policy", value: (row) => row.policy },
  { name: "token_budget", title: "Tokens", value: (row) => row.token_budget, text: (row) => number(row.token_budget) },
  { name: "group_size", title: "G", value: (row) => row.group_size, text: (row) => row.group },
  { name: "accuracy", title: "Measured", value: (row) => row.accuracy, text: (row) => percent(row.accuracy) },
];
const FRONTIER_COLUMNS = [
  ...SCENARIO_COLUMNS.slice(0, -1),
  { name: "expected", title: "Expected", value: (row) => page.view.expected(row).mean, text: (row) => percent(page.view.expected(row).mean) },
  { name: "interval_width", title: "95% interval", value: (row) => widthOf(page.view.expected(row)), text: (row) => intervalOf(page.view.expected(row)) },
  SCENARIO_COLUMNS.at(-1),
  { name: "p_on_frontier", title: "Stays", value: (row) => page.view.stays(row) ?? null, text: (row) => percent(page.view.stays(row) ?? null) },
];
const isKnown = ({ lo }) => lo !== undefined;
const widthOf = (expected) => (isKnown(expected) ? expected.hi - expected.lo : null);
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

const form = document.querySelector(".controls");
const byId = (id) => document.getElementById(id);
const page = { view: null, memory: null }; // memory in bytes stays the same while the ends of the slider move

function start(data) {
  const rows = scenarioRows(data);
  const looks = Object.fromEntries(CHOICES.map((choice) => [choice, new Map(data.looks[choice].map((look) => [look.name, look]))]));
  const ofBenchmark = data.benchmarks.map((_, i) => rows.filter((row) => row.benchmark === i));
  const stays = new Map(data.stays.map(([batch, index, share]) => [`${batch} ${index}`, share]));
  const colours = { serial: { light: "#0072b2", dark: "#56b4e9" }, parallel: { light: "#c84e00", dark: "#ff8c42" } };
  const tables = {
    frontier: dataTable(byId("frontier-table"), FRONTIER_COLUMNS),
    scenarios: dataTable(byId("scenarios-table"), rows.some((row) => row.stopped_at !== null) ? [...ALL_COLUMNS, STOPPED_COLUMN] : ALL_COLUMNS, { most: MOST_ROWS, sortedBy: 6, sign: -1 }),
  };

  // ---- the user's choices ----
  function readView() {
    const chosen = new FormData(form), benchmark = Number(chosen.get("benchmark"));
    const batch = data.batch_sizes[form.elements.batch_size.value];
    const own = ofBenchmark[benchmark], name = data.benchmarks[benchmark];
    const checked = Object.fromEntries(CHOICES.map((choice) => [choice, new Set(chosen.getAll(choice))]));
    const isShown = (choice, value) => checked[choice].has(value);
    const shown = own.filter((row) => CHOICES.every((choice) => isShown(choice, row[choice])));
    const judged = data.sweep_batch_sizes.filter((size) => size <= batch).at(-1) ?? data.sweep_batch_sizes[0];
    const here = (row) => row.benchmark === name && row.batch_size === judged;
    const dimension = chosen.get("colour"), filtered = shown.length < own.length;
    const [ofShown, ofOwn] = [shown, own].map((rows) => pareto(rows, (row) => memoryOf(row, batch)));
    // The accuracies to expect are known of the frontier of all. On another frontier the estimates are shown.
    const ofAll = data.expected[name][batch];
    const isOfAll = ofShown.length === ofOwn.length && ofShown.every((row, i) => row === ofOwn[i]);
    const frontier = isOfAll ? ofAll.map(([local]) => own[local]) : ofShown;
    const known = new Map(isOfAll ? ofAll.map(([local, mean, lo, hi]) => [local, { mean, lo, hi }]) : []);
    return {
      benchmark: name, batch, rows: own, shown, isShown, looks, colours, judgedBatch: judged,
      memory: memoryChosen(own, batch), budget: Number(chosen.get("token_budget")),
      filtered, advice: data.advice[name], ofAll, isOfAll, frontier,
      expected: (row) => known.get(row.local) ?? { mean: row.estimate },
      lookOf: (row) => looks[dimension].get(row[dimension]),
      stays: (row) => stays.get(`${batch} ${row.index}`),
      judged: (question) => data[question].filter(here),
      advantages: data.advantages.filter(here), found: data.thresholds.find(here),
    };
  }
  // The slider goes from the smallest to the largest memory that a configuration needs at this batch size.
  const ends = (own, batch) => extent(own.map((row) => deviceMemoryOf(row, batch)));
  function memoryChosen(own, batch) {
    const [low, high] = ends(own, batch);
    page.memory ??= (low * high) ** 0.5;
    page.memory = roundedUp(Math.min(Math.max(page.memory, low), high));
    form.elements.memory.value = (STEPS * Math.log(page.memory / low)) / Math.log(high / low || 2);
    form.elements.memory.setAttribute("aria-valuetext", humanBytes(page.memory));
    if (document.activeElement !== form.elements.memory_text) form.elements.memory_text.value = humanBytes(page.memory);
    return page.memory;
  }
  const roundedUp = (value) => { // to three digits, so that the number shown is the number used
    const unit = 10 ** (Math.floor(Math.log10(value)) - 2);
    return Number((Math.ceil(value / unit - 1e-9) * unit).toPrecision(3));
  };
  function memorySlid() {
    const { rows: own, batch } = page.view, [low, high] = ends(own, batch);
    page.memory = low * (high / low) ** (form.elements.memory.value / STEPS);
  }
  function memoryTyped() {
    const typed = parseBytes(form.elements.memory_text.value);
    form.elements.memory_text.setAttribute("aria-invalid", String(!(typed > 0)));
    if (typed > 0) page.memory = typed;
  }

  // ---- what the page shows ----
  function draw() {
    const view = (page.view = readView());
    view.answer = recommendation(view.rows, view.advice, view.memory, view.batch);
    for (const [name, specOf] of Object.entries(CHARTS)) {
      const holder = byId(`${name}-chart`), spec = specOf(view);
      holder.closest("[data-chart]").hidden = !spec;
      if (spec) drawChart(holder, spec);
    }
    byId("made").hidden = !view.frontier.length;
    tables.frontier.show(view.frontier);
    tables.scenarios.show(view.shown);
    answer(view);
    describe(view);
  }
  function describe(view) {
    const say = (id, text) => { byId(id).textContent = text; };
    const batch = view.batch === 1 ? "" : `, with weights shared by a batch of ${view.batch}`;
    say("batch-value", number(view.batch));
    say("memory-caption", `${view.benchmark}${batch}. Each dot is a configuration as measured.${view.rows.some((row) => row.stopped_at !== null) ? " Small hollow dots were stopped early, and are compared with nothing." : ""} The stepped line is the frontier${view.isOfAll ? "" : " of those shown (the faint line is that of all)"}. ${shownAs(view)}`);
    say("frontier-caption", `${view.benchmark}${batch}: ${plural(view.frontier.length, "configuration")} for which no other${view.filtered ? " that is shown" : ""} has as good an estimate with as little memory. ${shownAs(view)}`);
    const many = new Set(view.shown.map((row) => row.id)).size > MOST_LINES;
    const lines = many ? "a line per engine on the frontier (use the filters to see others)" : "a line per engine";
    say("tokens-caption", `${view.benchmark}, one sample: ${lines}.`);
    say("groups-caption", `${view.benchmark}, majority vote at ${plural(view.budget, "token")}: ${lines}.`);
    say("kv-caption", `${view.benchmark}, one sample: ${lines} over its token budgets, coloured by KV policy.`);
    say("made-caption", `${view.benchmark}${batch}: the configurations of the frontier, one chart per choice.`);
    say("votes-caption", `${view.benchmark}${batch}: the best configuration with one sample and the best with votes, within each memory, by their estimates. ${judgement(view)}`);
    say("batches-caption", `${view.benchmark}: how many questions fit at once beside the weights, and the accuracy of their answers. The stepped line is the best by estimate.`);
    say("eviction-caption", `${view.benchmark}, batch size ${view.judgedBatch}: how much better evicting tokens is than storing them in fewer bits, at equal memory, with intervals that hold for all ${number(view.judged("eviction").length)} comparisons together. Filled circles: evicting is better. Filled squares: fewer bits are better. Open circles: these data do not decide it.`);
    say("threshold-caption", thresholdInWords(view));
    say("scenarios-caption", `${view.benchmark}: ${plural(view.shown.length, "scenario")} shown. The table has the first ${MOST_ROWS}, and the CSV file has all.`);
    say("status", `${number(view.shown.length)} of ${plural(view.rows.length, "scenario")} shown.`);
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
    expected.className = "expected";
    const title = line("p", inWords(best));
    title.className = "best";
    const measured = measuredInWords(found.measured, found.considered);
    const fine = line("p", `Takes ${humanBytes(found.memory)}. ${measured[0].toUpperCase()}${measured.slice(1)}.`);
    fine.className = "hint";
    list.append(...[neighbourLine(view, "Less memory", found.less, "worse"), neighbourLine(view, "More memory", found.more, "better")].filter(Boolean));
    if (!found.more) list.append(line("li", line("b", "More memory: "), "no other has a better estimate."));
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

  // ---- events ----
  function check(isWanted) {
    for (const choice of CHOICES)
      for (const box of form.querySelectorAll(`[name="${choice}"]`)) box.checked = isWanted(choice, box.value);
    draw();
  }
  const frontierNow = () => pareto(page.view.rows, (row) => memoryOf(row, page.view.batch));
  const soon = (() => { // draws at most once per frame, however fast a slider moves
    let asked = 0;
    return () => { cancelAnimationFrame(asked); asked = requestAnimationFrame(draw); };
  })();
  document.addEventListener("input", ({ target }) => { // one control lies outside the form's element
    if (target.form !== form) return;
    if (target.name === "memory") memorySlid();
    if (target.name === "memory_text") memoryTyped();
    soon();
  });
  form.elements.memory_text.addEventListener("blur", soon);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => { page.memory = null; setTimeout(draw); }); // after the fields are reset
  byId("all").addEventListener("click", () => check(() => true));
  byId("best").addEventListener("click", () => {
    const points = frontierNow();
    check((choice, value) => points.some((row) => row[choice] === value));
  });
  for (const button of document.querySelectorAll("[data-csv]"))
    button.addEventListener("click", () => save(`${page.view.benchmark}-${button.dataset.csv}.csv`, tables[button.dataset.csv].csv()));
  addEventListener("resize", soon);
  form.querySelector("details").open = innerWidth >= 992; // on a phone the recommendation comes first
  draw();
}

function makeQuality(table) {
  const titles = [...table.tHead.rows[0].cells].map((head) => [head.textContent, head.className === "number"]);
  const rows = [...table.tBodies[0].rows].map((row) => [...row.cells].map((cell) => ({ text: cell.textContent, mood: cell.dataset.mood })));
  const columns = titles.map(([title, isNumber], i) => ({
    name: title, title, mood: (row) => row[i].mood,
    value: isNumber ? (row) => parseFloat(row[i].text.replaceAll(",", "")) : (row) => row[i].text,
    ...(isNumber ? { text: (row) => row[i].text } : {}),
  }));
  const made = dataTable(table, columns);
  made.show(rows);
  byId("quality-csv").addEventListener("click", () => save("quality.csv", made.csv()));
}

async function begin() {
  if (form) {
    start(await unpack(byId("data").textContent));
    makeQuality(byId("quality-table"));
  }
  document.body.dataset.ready = "true";
}
begin();
