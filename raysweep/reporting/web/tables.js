// Tables that can be searched, sorted by any column, turned page by page, folded, and saved as CSV. The CSV has
// all rows, even those not on the page.
"use strict";

const PAGE_ROWS = 20; // lines of a page of a table
const FOLD_ABOVE = 15; // a table of more rows is folded at first, if its rows have groups

// `columns`: { name, title, value: row => number or text, text: row => how a number is shown, light, node }.
// `wordsOf` gives the text of a row that is searched. Rows of equal `groupOf` fold into one line, which shows
// the range of each column and unfolds when asked. Tools and pages lie in elements beside the table, if there are.
function dataTable(table, columns, { sortedBy = 0, sign = 1, groupOf = null, wordsOf = null } = {}) {
  const state = { rows: [], column: sortedBy, sign, query: "", at: 0, folded: null, open: new Set(), key: null, lines: [], work: 0 };
  const beside = (name) => document.getElementById(table.id.replace("-table", name));
  const [search, fold, pager] = ["-search", "-fold", "-pager"].map(beside);
  const [back, where, next] = pager?.children ?? [];
  const isFolded = () => groupOf !== null && (state.folded ?? state.rows.length > FOLD_ABOVE);

  const heads = columns.map((column, i) => {
    const head = document.createElement("th"), button = document.createElement("button");
    head.scope = "col";
    head.className = column.text ? "number" : "text";
    button.type = "button";
    button.textContent = column.title;
    button.addEventListener("click", () => {
      state.sign = state.column === i ? -state.sign : 1;
      state.column = i;
      arrange();
    });
    head.append(button);
    return head;
  });
  const points = document.createElement("th"); // the head of the column that unfolds
  points.scope = "col";
  points.textContent = "Points";

  // Sort and search, from which follow the lines of the table; then write a page of them.
  function arrange() {
    const { value } = columns[state.column];
    // A number is found as a whole, so that 6000 is not part of 26000.
    const terms = state.query.toLowerCase().replaceAll(",", "").split(/\s+/).filter(Boolean).map((term) => (/^\d+$/.test(term) ? ` ${term} ` : term));
    const found = terms.length ? state.rows.filter((row) => terms.every((term) => wordsOf(row).includes(term))) : state.rows;
    const keyed = found.map((row) => ({ row, key: value(row) }));
    keyed.sort((a, b) => state.sign * order(a.key, b.key));
    state.work += found.length;
    const sorted = keyed.map(({ row }) => row);
    state.lines = isFolded() ? [...Map.groupBy(sorted, groupOf).values()] : sorted.map((row) => [row]);
    state.at = 0;
    write();
  }
  function write() {
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    columns.forEach(({ light }, i) => { if (light) heads[i].firstChild.className = `light ${light(page.view)}`; });
    heads[state.column].setAttribute("aria-sort", state.sign > 0 ? "ascending" : "descending");
    const all = isFolded() ? [points, ...heads] : heads;
    if (table.tHead.rows[0].cells.length !== all.length) table.tHead.rows[0].replaceChildren(...all); // else a focus stays
    const shown = state.lines.slice(state.at, pager ? state.at + PAGE_ROWS : undefined);
    table.tBodies[0].replaceChildren(...shown.flatMap(linesOf));
    if (fold) {
      fold.hidden = state.rows.length < 2;
      fold.textContent = isFolded() ? "Show each point" : "Fold points";
    }
    if (!pager) return;
    const { length } = state.lines;
    pager.hidden = length <= PAGE_ROWS;
    where.textContent = `${number(Math.min(state.at + 1, length))}–${number(Math.min(state.at + PAGE_ROWS, length))} of ${number(length)}`;
    back.disabled = state.at === 0;
    next.disabled = state.at + PAGE_ROWS >= length;
  }
  function linesOf(rows) {
    if (!isFolded()) return [lineOf(rows[0])];
    const key = groupOf(rows[0]), isOpen = state.open.has(key);
    const line = rows.length === 1 ? lineOf(rows[0]) : foldedLine(rows);
    const cell = line.insertCell(0);
    cell.textContent = rows.length === 1 ? "1" : "";
    if (rows.length === 1) return [line];
    const button = document.createElement("button");
    button.type = "button";
    button.className = "unfold";
    button.textContent = number(rows.length);
    button.setAttribute("aria-expanded", String(isOpen));
    button.setAttribute("aria-label", `${plural(rows.length, "point")} of ${key}`);
    button.addEventListener("click", () => {
      if (!state.open.delete(key)) state.open.add(key);
      write();
      table.querySelector(`[aria-label="${CSS.escape(button.getAttribute("aria-label"))}"]`)?.focus();
    });
    cell.append(button);
    return isOpen ? [line, ...rows.map((row) => {
      const within = lineOf(row);
      within.className = "within";
      within.insertCell(0);
      return within;
    })] : [line];
  }
  function lineOf(row) {
    return lineWith((column, cell) => {
      if (column.node) cell.append(column.node(row));
      else cell.textContent = (column.text ?? column.value)(row);
      cell.className = [column.text ? "number" : "text", column.mood?.(row) ?? ""].join(" ").trim();
    });
  }
  // The least and the largest value of each column.
  function foldedLine(rows) {
    return lineWith((column, cell) => {
      const texts = column.node ? [] : [...rows].sort((a, b) => order(column.value(a), column.value(b))).map(column.text ?? column.value);
      const [least, largest] = [texts[0], texts.at(-1)];
      cell.textContent = column.alone || column.node ? "" : span(least, largest);
      cell.className = column.text ? "number" : "text";
    });
  }
  function lineWith(fill) {
    const line = document.createElement("tr");
    for (const column of columns) fill(column, line.insertCell());
    return line;
  }
  search?.addEventListener("input", () => { state.query = search.value; arrange(); });
  fold?.addEventListener("click", () => { state.folded = !isFolded(); arrange(); });
  back?.addEventListener("click", () => { state.at -= PAGE_ROWS; write(); });
  next?.addEventListener("click", () => { state.at += PAGE_ROWS; write(); });
  return {
    // Show rows. Values in the columns may have changed even if the rows have not; `key` names what the order of
    // the rows depends on if the column does not move with the sliders.
    show(rows, key = null) {
      const isSorted = key !== null && key === state.key && !columns[state.column].moves;
      [state.rows, state.key] = [rows, key];
      if (isSorted) write();
      else arrange();
    },
    setFolded(folded) { state.folded = folded; arrange(); },
    csv: () => csvOf(columns.filter((column) => !column.node), state.rows),
    state,
  };
}
// "5 MB" and "7 MB" are "5–7 MB".
function span(least, largest) {
  if (least === largest) return least;
  const [, value, unit] = /^([\d.,]+)(.*)$/.exec(least) ?? [];
  return unit && largest.endsWith(unit) && /^[\d.,]/.test(largest) && largest.length > unit.length ? `${value}–${largest}` : `${least}–${largest}`;
}
const collator = new Intl.Collator("en", { numeric: true });
function order(a, b) {
  if (typeof a === "string") return collator.compare(a, b);
  return (a ?? -Infinity) - (b ?? -Infinity) || 0;
}
// A text that a spreadsheet would read as a formula is preceded by an apostrophe. Numbers stay numbers.
function csvOf(columns, rows) {
  const cell = (value) => {
    const plain = value === null || value === undefined ? "" : String(value);
    const text = typeof value === "string" && /^[=+\-@\t\r]/.test(plain) ? `'${plain}` : plain;
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const lines = [columns.map((column) => column.name), ...rows.map((row) => columns.map((column) => column.value(row)))];
  return lines.map((line) => line.map(cell).join(",") + "\r\n").join("");
}
function save(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
