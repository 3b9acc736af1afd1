// Draws the report from the page's JSON: the controls say what to show, `draw` shows it. Nothing is
// computed here that reduce did not compute, but for memory at a batch size (weights / B + KV).
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const rowsOf = (columns) =>
    columns.benchmark.map((_, i) =>
      Object.fromEntries(Object.entries(columns).map(([name, values]) => [name, values[i]])));
  const keyOf = (row) =>
    JSON.stringify([row.benchmark, row.engine_id, row.token_budget, row.group_size]);
  const byName = (entries) => new Map(entries.map((entry) => [entry.name, entry]));

  const scenarios = rowsOf(data.scenarios);
  const frontier = rowsOf(data.frontier);
  const scenarioAt = new Map(scenarios.map((row) => [keyOf(row), row]));
  const models = byName(data.models), policies = byName(data.kv_policies), weights = byName(data.weights);

  const form = document.querySelector(".controls");
  const darkScheme = matchMedia("(prefers-color-scheme: dark)");
  const touch = matchMedia("(pointer: coarse)").matches;
  const printWidth = 680; // px of a page's text, A4 or letter
  let printing = false;

  // ---- words: twins of wording.py ----
  const units = ["B", "kB", "MB", "GB", "TB"];
  function humanBytes(count) {
    let value = Number(count.toPrecision(3)), power = 0;
    while (value >= 1000 && power < units.length - 1) { value /= 1000; power += 1; }
    return `${Number(value.toPrecision(3))} ${units[power]}`;
  }
  const percent = (share) => (share === null ? "–" : `${(100 * share).toFixed(1)}%`);
  const interval = (row) =>
    `${(100 * row.accuracy_lo).toFixed(1)}–${(100 * row.accuracy_hi).toFixed(1)}`;
  const plural = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
  // Plotly reads some HTML in its texts; a name is never markup.
  const plain = (text) =>
    String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

  // ---- state and theme ----
  function readView() {
    const chosen = new FormData(form);
    return {
      benchmark: chosen.get("benchmark"),
      batch: Number(chosen.get("batch_size")),
      group: Number(chosen.get("group_size")),
      budget: Number(chosen.get("token_budget")),
      models: new Set(chosen.getAll("model")),
      policies: new Set(chosen.getAll("kv_policy")),
      weights: data.weights.length > 1 ? new Set(chosen.getAll("weights")) : new Set(weights.keys()),
    };
  }
  function readTheme() {
    document.documentElement.classList.toggle("printing", printing);
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    const palette = darkScheme.matches && !printing ? "dark" : "light";
    return {
      ink: colour("ink"), muted: colour("muted"), line: colour("line"), grid: colour("grid"),
      surface: colour("surface"), font: getComputedStyle(document.body).fontFamily,
      model: (name) => models.get(name)[palette],
      policy: (name) => policies.get(name)[palette],
    };
  }
  const isShown = (row, view) =>
    view.models.has(row.model) && view.policies.has(row.kv_policy) && view.weights.has(row.weights);
  const memoryOf = (row, batch) => row.weights_bytes / batch + row.kv_bytes;
  const symbolOf = (row) => policies.get(row.kv_policy).symbol + weights.get(row.weights).suffix;

  // ---- what hovering says ----
  function hoverText(row, batch, pOnFrontier) {
    const shared = batch === 1 ? "" : ` / ${batch}`;
    const lines = [
      `<b>${plain(row.model)} · ${plain(row.weights)} · ${plain(row.kv_policy)} KV</b>`,
      `${plural(row.token_budget, "token")} × ${plural(row.group_size, "sample")}`,
      `<b>accuracy ${percent(row.accuracy)}</b>, 95% interval ${interval(row)}`,
      `memory ${humanBytes(memoryOf(row, batch))} = weights ${humanBytes(row.weights_bytes)}${shared}` +
        ` + KV ${humanBytes(row.kv_bytes)} (at most ${humanBytes(row.kv_peak_bytes)} on the way)`,
      `pass@1 ${percent(row.pass_at_1)}, pass@${row.group_size} ${percent(row.pass_at_g)}`,
      `unanswered ${percent(row.unanswered)}, cut off ${percent(row.cut_off)}, errors ${percent(row.errors)}`,
      `thinks for ${Math.round(row.mean_trace_tokens)} tokens on average`,
      `${plural(row.n_questions, "question")}, ${plural(row.n_samples, "sample")} each` +
        (row.complete ? "" : " <b>(incomplete)</b>"),
    ];
    if (pOnFrontier !== undefined) lines.push(`on the frontier in ${percent(pOnFrontier)} of draws`);
    return lines.join("<br>");
  }

  // ---- traces ----
  function curves(rows, xOf, view, theme, colourOf = (row) => theme.model(row.model)) {
    return [...byEngine(rows).values()].map((line) => {
      line.sort((a, b) => xOf(a) - xOf(b) || a.accuracy - b.accuracy);
      const colour = colourOf(line[0]);
      return {
        x: line.map(xOf), y: line.map((row) => row.accuracy), mode: "lines+markers",
        line: { color: colour, width: 1.5, dash: policies.get(line[0].kv_policy).dash },
        marker: { color: colour, size: 6, symbol: symbolOf(line[0]) },
        text: line.map((row) => hoverText(row, view.batch)), hovertemplate: "%{text}<extra></extra>",
      };
    });
  }
  function byEngine(rows) {
    const groups = new Map(rows.map((row) => [row.engine_id, []]));
    for (const row of rows) groups.get(row.engine_id).push(row);
    return groups;
  }
  function frontierTraces(points, view, theme) {
    const x = points.map((row) => row.memory_bytes), y = points.map((row) => row.accuracy);
    const step = { x, y, mode: "lines", hoverinfo: "skip", line: { color: theme.ink, width: 1.5, shape: "hv" } };
    const marks = {
      x, y, mode: "markers", hovertemplate: "%{text}<extra></extra>",
      text: points.map((row) => hoverText(scenarioAt.get(keyOf(row)), view.batch, row.p_on_frontier)),
      marker: {
        size: 11, symbol: points.map(symbolOf), color: points.map((row) => theme.model(row.model)),
        opacity: points.map((row) => (isShown(row, view) ? 1 : 0.25)),
        line: { color: theme.ink, width: 1.5 },
      },
      error_y: {
        array: points.map((row) => row.accuracy_hi - row.accuracy),
        arrayminus: points.map((row) => row.accuracy - row.accuracy_lo),
        color: theme.muted, thickness: 1, width: 0,
      },
    };
    return [step, marks];
  }

  // ---- axes ----
  function layoutOf(theme, view, xaxis) {
    const axis = {
      gridcolor: theme.grid, linecolor: theme.line, zeroline: false, fixedrange: touch, automargin: true,
      tickfont: { color: theme.muted, size: 12 },
    };
    return {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false,
      font: { family: theme.font, color: theme.ink, size: 13 }, margin: { l: 48, r: 12, t: touch ? 8 : 32, b: 48 },
      hovermode: "closest", dragmode: touch ? false : "zoom",
      hoverlabel: { bgcolor: theme.surface, bordercolor: theme.muted, font: { color: theme.ink, size: 12 }, align: "left" },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: theme.muted, activecolor: theme.ink },
      uirevision: JSON.stringify([view.benchmark, view.batch, printing]), // keeps the zoom while filtering
      ...(printing ? { width: printWidth } : {}),
      xaxis: { ...axis, type: "log", ...xaxis },
      yaxis: { ...axis, tickformat: ".0%", rangemode: "tozero", title: { text: "Accuracy", font: { size: 13 } } },
    };
  }
  // Round numbers of bytes as ticks: the densest set in which labels keep their distance.
  const mantissas = [[1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9], [1, 1.5, 2, 3, 5, 7], [1, 2, 5], [1, 3], [1]];
  function byteTicks([low, high], width) { // low and high as powers of ten
    const distance = (50 * (high - low)) / Math.max(width - 60, 100); // 50 px between labels
    const fits = mantissas.find((set) =>
      [...set, 10].every((next, i) => i === 0 || Math.log10(next / set[i - 1]) >= distance)) || [1];
    const powers = Array.from({ length: Math.ceil(high) - Math.floor(low) + 1 }, (_, i) => Math.floor(low) + i);
    const values = powers.flatMap((power) => fits.map((mantissa) => mantissa * 10 ** power));
    return { tickvals: values, ticktext: values.map(humanBytes) };
  }
  function bytesAxis(title, key, bytes) {
    const logs = bytes.map((count) => Math.log10(count)).sort((a, b) => a - b);
    const margin = 0.04 * (logs.at(-1) - logs[0]) + 0.02;
    const range = [logs[0] - margin, logs.at(-1) + margin];
    return {
      title: { text: title, font: { size: 13 } },
      tickmode: "array", tickangle: 0, range, ...byteTicks(range, plotWidth(key)),
    };
  }
  const plotWidth = (key) => (printing ? printWidth : document.getElementById(`${key}-plot`).clientWidth);
  function retick(key) { // the range may be one to which a person has zoomed
    const plot = document.getElementById(`${key}-plot`), axis = plot.layout.xaxis;
    const { tickvals, ticktext } = byteTicks(axis.range, plotWidth(key));
    if (ticktext.join() === axis.ticktext.join()) return plot;
    return Plotly.relayout(plot, { "xaxis.tickvals": tickvals, "xaxis.ticktext": ticktext });
  }
  const doublingAxis = (values, title) => ({
    title: { text: title, font: { size: 13 } }, tickmode: "array", tickvals: values,
    ticktext: values.map((value) => value.toLocaleString("en")),
  });

  // ---- table ----
  function frontierTable(points, view) {
    const cells = (row) => [
      [humanBytes(row.memory_bytes), row.memory_bytes], [row.model], [row.weights], [row.kv_policy],
      [row.token_budget.toLocaleString("en"), row.token_budget], [row.group_size, row.group_size],
      [percent(row.accuracy), row.accuracy], [interval(row), row.accuracy_hi - row.accuracy_lo],
      [percent(row.p_on_frontier), row.p_on_frontier],
    ];
    const table = document.getElementById("frontier-table");
    table.tBodies[0].replaceChildren(...points.map((row) => {
      const line = document.createElement("tr");
      line.classList.toggle("dimmed", !isShown(row, view));
      for (const [text, value] of cells(row)) {
        const cell = line.insertCell();
        cell.textContent = text;
        if (value !== undefined) { cell.dataset.value = value; cell.className = "number"; }
      }
      return line;
    }));
    sortRows(table);
  }
  function sortRows(table) {
    const heads = [...table.tHead.rows[0].cells];
    const column = heads.findIndex((head) => head.hasAttribute("aria-sort"));
    if (column < 0) return;
    const sign = heads[column].getAttribute("aria-sort") === "ascending" ? 1 : -1;
    const valueOf = (line) => line.cells[column].dataset.value ?? line.cells[column].textContent;
    const compare = (a, b) => {
      const [left, right] = [valueOf(a), valueOf(b)];
      const numeric = parseFloat(left) - parseFloat(right);
      return sign * (heads[column].className === "number" ? numeric || 0 : left.localeCompare(right, "en", { numeric: true }));
    };
    table.tBodies[0].append(...[...table.tBodies[0].rows].sort(compare));
  }
  function makeSortable(table) {
    for (const head of table.tHead.rows[0].cells) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const next = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", next);
        sortRows(table);
      });
    }
  }

  // ---- the page ----
  function draw() {
    const view = readView(), theme = readTheme();
    const ofBenchmark = scenarios.filter((row) => row.benchmark === view.benchmark);
    const shown = ofBenchmark.filter((row) => isShown(row, view));
    const ofGroup = shown.filter((row) => row.group_size === view.group);
    const ofBudget = shown.filter((row) => row.token_budget === view.budget);
    const points = frontier
      .filter((row) => row.benchmark === view.benchmark && row.batch_size === view.batch)
      .sort((a, b) => a.memory_bytes - b.memory_bytes);
    describe(view, ofGroup, points);
    frontierTable(points, view);
    const faint = curves(ofGroup, (row) => memoryOf(row, view.batch), view, theme)
      .map((trace) => ({ ...trace, opacity: 0.6 }));
    return Promise.all([
      plot("memory", [...faint, ...frontierTraces(points, view, theme)], theme, view,
        bytesAxis(`Memory: weights${view.batch === 1 ? "" : ` / ${view.batch}`} + KV cache`, "memory",
          ofBenchmark.map((row) => memoryOf(row, view.batch)))).then(() => retick("memory")),
      plot("tokens", curves(ofGroup, (row) => row.token_budget, view, theme), theme, view,
        doublingAxis(data.token_budgets, "Token budget")),
      plot("groups", curves(ofBudget, (row) => row.group_size, view, theme), theme, view,
        doublingAxis(data.group_sizes, "Parallel samples G")),
      plot("kv", curves(ofGroup, (row) => row.kv_bytes, view, theme, (row) => theme.policy(row.kv_policy)),
        theme, view, bytesAxis("KV cache of the group", "kv",
          ofBenchmark.filter((row) => row.group_size === view.group).map((row) => row.kv_bytes)))
        .then(() => retick("kv")),
    ]);
  }
  function plot(key, traces, theme, view, xaxis) {
    const config = {
      responsive: !printing, displaylogo: false, displayModeBar: touch || printing ? false : "hover",
      modeBarButtons: [["zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d", "toImage"]], // no cloud
    };
    return Plotly.react(`${key}-plot`, traces, layoutOf(theme, view, xaxis), config);
  }
  function describe(view, curveRows, points) {
    const say = (id, text) => { document.getElementById(id).textContent = text; };
    const engines = new Set(curveRows.map((row) => row.engine_id)).size;
    const batch = view.batch === 1 ? "" : `, the weights shared by a batch of ${view.batch}`;
    say("memory-caption", `${view.benchmark}${batch}. Each curve is one engine with G = ${view.group}, ` +
      "along its token budgets; the stepped line is the frontier of the whole sweep, over all G, " +
      "with 95% intervals.");
    say("frontier-caption", `${view.benchmark}${batch}: ${plural(points.length, "configuration")} that no other ` +
      "beats with as little memory.");
    say("tokens-caption", `${view.benchmark}, majority vote of G = ${view.group}.`);
    say("kv-caption", `${view.benchmark}, majority vote of G = ${view.group}: each curve is one engine along ` +
      "its token budgets, coloured by KV policy.");
    say("groups-caption", `${view.benchmark}, majority vote at ${plural(view.budget, "token")}.`);
    say("status", `${plural(engines, "curve")} shown.`);
  }
  function drawForPrint(isPrint) {
    printing = isPrint;
    return draw();
  }

  document.querySelectorAll("table.sortable").forEach(makeSortable);
  const finished = () => { document.body.dataset.ready = "true"; };
  if (!form) return finished();
  form.addEventListener("change", draw);
  form.addEventListener("reset", () => setTimeout(draw)); // after the fields are reset
  form.addEventListener("submit", (event) => event.preventDefault());
  darkScheme.addEventListener("change", draw);
  addEventListener("resize", () => requestAnimationFrame(draw)); // plotly resizes, the ticks follow
  addEventListener("beforeprint", () => drawForPrint(true));
  addEventListener("afterprint", () => drawForPrint(false));
  draw().then(() => {
    for (const key of ["memory", "kv"])
      document.getElementById(`${key}-plot`).on("plotly_relayout", () => retick(key));
    finished();
  });
})();
