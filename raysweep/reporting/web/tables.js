// Tables that can be sorted by any column and saved as CSV. The CSV has all rows, even those not on the page.
"use strict";

// `columns`: { title, value: row => number or text, text: row => how it is shown }. At most `most` rows are shown.
function dataTable(table, columns, { most = Infinity, sortedBy = 0, sign = 1 } = {}) {
  const state = { rows: [], column: sortedBy, sign };
  const heads = columns.map((column, i) => {
    const head = document.createElement("th"), button = document.createElement("button");
    head.scope = "col";
    head.className = column.text ? "number" : "text";
    button.type = "button";
    button.textContent = column.title;
    button.addEventListener("click", () => {
      state.sign = state.column === i ? -state.sign : 1;
      state.column = i;
      write();
    });
    head.append(button);
    return head;
  });
  table.tHead.rows[0].replaceChildren(...heads);

  function write() {
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    heads[state.column].setAttribute("aria-sort", state.sign > 0 ? "ascending" : "descending");
    const { value } = columns[state.column];
    const sorted = [...state.rows].sort((a, b) => state.sign * order(value(a), value(b)));
    table.tBodies[0].replaceChildren(...sorted.slice(0, most).map(lineOf));
  }
  function lineOf(row) {
    const line = document.createElement("tr");
    for (const column of columns) {
      const cell = line.insertCell();
      cell.textContent = (column.text ?? column.value)(row);
      cell.className = [column.text ? "number" : "text", column.mood?.(row) ?? ""].join(" ").trim();
    }
    return line;
  }
  return {
    show(rows) { state.rows = rows; write(); },
    csv: () => csvOf(columns, state.rows),
  };
}
function order(a, b) {
  if (typeof a === "string") return a.localeCompare(b, "en", { numeric: true });
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
