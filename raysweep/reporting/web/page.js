// The page's behaviour: read the controls, compute what they choose, and show what that changes. What is on
// the screen is drawn at once, and the rest when the browser is idle.
"use strict";

const CHOICES = ["model", "weights", "policy", "group"];
const STEPS = 1000; // positions of the memory slider
const AHEAD = 300; // px above and below the screen that count as on it

const form = document.querySelector(".controls");
const byId = (id) => document.getElementById(id);
// memory: in bytes, which stays the same while the ends of the slider move. drawn: the pieces that the last
// change drew so far. waiting: those that it has yet to draw. readyAt: ms from the start, for benchmarks/page.py.
const page = { view: null, memory: null, traces: null, tables: {}, drawn: [], waiting: [], readyAt: 0 };

function start(data) {
  const rows = scenarioRows(data);
  const looks = Object.fromEntries(CHOICES.map((choice) => [choice, new Map(data.looks[choice].map((look) => [look.name, look]))]));
  const ofBenchmark = data.benchmarks.map((_, i) => rows.filter((row) => row.benchmark === i));
  const stays = new Map(data.stays.map(([batch, index, share]) => [`${batch} ${index}`, share]));
  const colours = { serial: { light: "#0072b2", dark: "#56b4e9" }, parallel: { light: "#c84e00", dark: "#ff8c42" } };
  page.traces = data.traces;
  const traces = data.traces === null ? [] : [tracesColumn(data.traces, data.benchmarks)];
  const stopped = rows.some((row) => row.stopped_at !== null) ? [STOPPED_COLUMN] : [];
  const tables = page.tables = {
    frontier: dataTable(byId("frontier-table"), [...FRONTIER_COLUMNS, ...traces], { groupOf: engineOf, wordsOf: searched }),
    scenarios: dataTable(byId("scenarios-table"), [...ALL_COLUMNS, ...stopped, ...traces], { sortedBy: 6, sign: -1, wordsOf: searched }),
  };
  const kept = new Map(); // values that are computed again only if what they depend on changes
  function once(name, key, make) {
    if (kept.get(name)?.key !== key) kept.set(name, { key, value: make() });
    return kept.get(name).value;
  }

  // ---- the user's choices ----
  function readView() {
    const chosen = new FormData(form), benchmark = Number(chosen.get("benchmark"));
    const batch = data.batch_sizes[form.elements.batch_size.value];
    const own = ofBenchmark[benchmark], name = data.benchmarks[benchmark];
    const ownRanked = once("ranked", benchmark, () => ranked(own));
    const checked = Object.fromEntries(CHOICES.map((choice) => [choice, new Set(chosen.getAll(choice))]));
    const isShown = (choice, value) => checked[choice].has(value);
    const passes = (row) => CHOICES.every((choice) => isShown(choice, row[choice]));
    const filter = JSON.stringify([benchmark, ...CHOICES.map((choice) => [...checked[choice]])]);
    const { shown, best } = once("shown", filter, () => ({ shown: own.filter(passes), best: ownRanked.filter(passes) }));
    const judged = data.sweep_batch_sizes.filter((size) => size <= batch).at(-1) ?? data.sweep_batch_sizes[0];
    const here = (row) => row.benchmark === name && row.batch_size === judged;
    const dimension = chosen.get("colour"), cost = (row) => memoryOf(row, batch);
    const ofShown = once("frontier", `${filter} ${batch}`, () => pareto(best, cost));
    const ofOwn = once("frontier of all", `${benchmark} ${batch}`, () => pareto(ownRanked, cost));
    // The accuracies to expect are known of the frontier of all. On another frontier the estimates are shown.
    const ofAll = data.expected[name][batch];
    const isOfAll = ofShown.length === ofOwn.length && ofShown.every((row, i) => row === ofOwn[i]);
    const frontier = isOfAll ? ofAll.map(([local]) => own[local]) : ofShown;
    const known = new Map(isOfAll ? ofAll.map(([local, mean, lo, hi]) => [local, { mean, lo, hi }]) : []);
    const memory = memoryChosen(own, batch), budget = Number(chosen.get("token_budget"));
    const precisions = { kv: chosen.get("kv_weights"), eviction: chosen.get("eviction_weights") };
    return {
      benchmark: name, batch, rows: own, shown, ranked: best, isShown, looks, colours, judgedBatch: judged, dimension,
      memory, budget, precisions, filtered: shown.length < own.length, advice: data.advice[name], ofAll, isOfAll, frontier,
      expected: (row) => known.get(row.local) ?? { mean: row.estimate },
      lookOf: (row) => looks[dimension].get(row[dimension]),
      stays: (row) => stays.get(`${batch} ${row.index}`),
      judged: (question) => data[question].filter(here),
      advantages: data.advantages.filter(here), found: data.thresholds.find(here),
      keys: {
        benchmark, shown: filter, batch, memory, budget, colour: dimension, judged,
        kv_weights: precisions.kv, eviction_weights: precisions.eviction, width: innerWidth,
      },
    };
  }
  // The slider goes from the smallest to the largest memory that a configuration needs at this batch size.
  const ends = (own, batch) => once("ends", `${own[0].benchmark} ${batch}`, () => extent(own.map((row) => deviceMemoryOf(row, batch))));
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

  // ---- what the page shows: pieces, each drawn again if what it needs has changed ----
  const chart = ([name, { needs, of, moving }]) => {
    const holder = byId(`${name}-chart`), legend = byId(`${name}-legend`), card = holder.closest("[data-chart]");
    const base = { name, needs: [...needs, "width"], element: card, draw(view) {
      const spec = of(view);
      card.hidden = !spec;
      if (spec) drawCharts(holder, spec);
      if (legend) drawLegend(legend, spec?.legend ?? []);
    } };
    const over = { name: `${name}, moving`, needs: [...base.needs, "memory"], element: card, draw: (view) => { if (!card.hidden) moveChart(holder, moving(view)); } };
    return moving ? [base, over] : [base];
  };
  const pieces = [
    { name: "answer", needs: ["benchmark", "batch", "memory"], element: byId("ask-title").parentElement, draw: answer },
    ...Object.entries(CHARTS).flatMap(chart),
    { name: "made", needs: MADE, element: byId("made"), draw: ({ frontier, dimension }, view = page.view) => {
      byId("made").hidden = !frontier.length;
      drawLegend(byId("made-legend"), [...coloursIn(dimension, frontier, view), ...marksIn(frontier, view)]);
    } },
    { name: "frontier table", needs: [...SHOWN, "batch"], element: byId("frontier-table"), draw: (view) => tables.frontier.show(view.frontier) },
    { name: "scenarios table", needs: [...SHOWN, "batch"], element: byId("scenarios-table"), draw: (view) => tables.scenarios.show(view.shown, view.keys.shown) },
  ];
  const keyOf = ({ needs }, { keys }) => JSON.stringify(needs.map((need) => keys[need]));
  function isOnScreen({ element }) {
    const { top, bottom, height } = element.getBoundingClientRect();
    return height > 0 && bottom > -AHEAD && top < innerHeight + AHEAD;
  }
  function drawPiece(piece) {
    piece.key = keyOf(piece, page.view);
    piece.draw(page.view);
    page.drawn.push(piece.name);
  }
  function draw() {
    const view = (page.view = readView());
    view.answer = once("answer", `${view.keys.benchmark} ${view.batch} ${view.memory}`, () => recommendation(view.rows, view.advice, view.memory, view.batch));
    const changed = pieces.filter((piece) => piece.key !== keyOf(piece, view));
    const now = changed.filter(isOnScreen);
    page.drawn = [];
    page.waiting = changed.filter((piece) => !now.includes(piece));
    now.forEach(drawPiece);
    describe(view);
    later();
  }
  const whenIdle = window.requestIdleCallback ?? ((work) => setTimeout(work, 30));
  function later() {
    if (!page.waiting.length || page.isAsked) return;
    page.isAsked = true;
    whenIdle(() => {
      page.isAsked = false;
      if (page.waiting.length) drawPiece(page.waiting.shift());
      later();
    }, { timeout: 400 });
  }
  page.settle = () => { while (page.waiting.length) drawPiece(page.waiting.shift()); };

  // ---- events ----
  function check(isWanted) {
    for (const choice of CHOICES)
      for (const box of form.querySelectorAll(`[name="${choice}"]`)) box.checked = isWanted(choice, box.value);
    draw();
  }
  const soon = (() => { // draws at most once per frame, however fast a slider moves
    let asked = 0;
    return () => { cancelAnimationFrame(asked); asked = requestAnimationFrame(draw); };
  })();
  document.addEventListener("input", ({ target }) => { // some controls lie outside the form's element
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
    const points = pareto(ranked(page.view.rows), (row) => memoryOf(row, page.view.batch));
    check((choice, value) => points.some((row) => row[choice] === value));
  });
  for (const button of document.querySelectorAll("[data-csv]"))
    button.addEventListener("click", () => save(`${page.view.benchmark}-${button.dataset.csv}.csv`, tables[button.dataset.csv].csv()));
  addEventListener("resize", soon);
  addEventListener("beforeprint", () => page.settle());
  form.querySelector("details").open = innerWidth >= 992; // on a phone the recommendation comes first
  draw();
  page.settle();
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
  page.readyAt = performance.now();
  document.body.dataset.ready = "true";
}
begin();
