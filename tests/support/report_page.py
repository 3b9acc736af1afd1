"""The synthetic run's page as tests use it: controls are set as a person sets them, and read as text."""

import json

import numpy as np
from support import result_tables
from support.browser import Page

from raysweep.analysis.candidates import Candidates, Row
from raysweep.frontier import pareto
from raysweep.reporting.results import Results, where
from raysweep.system.quantities import human_bytes, interval, percent

RESULTS = result_tables.results()
CHAIN = RESULTS.candidates["chain"]
KEY = ("engine_id", "token_budget", "group_size")


def choose(page: Page, **controls: object) -> None:
    """Set controls as a person does: by name, a value; for checkboxes those that are to be checked."""
    page.evaluate(
        f"""(() => {{
        for (const [name, value] of Object.entries({json.dumps(controls)})) {{
          for (const control of form.querySelectorAll(`[name="${{name}}"]`)) {{
            if (control.type === "checkbox") control.checked = value.includes(control.value);
            else if (control.type === "radio") control.checked = control.value === String(value);
            else control.value = value;
            control.dispatchEvent(new Event("input", {{ bubbles: true }}));
          }}
        }} }})()"""
    )
    page.frames()


def texts(page: Page, selector: str) -> list[str]:
    found = f"[...document.querySelectorAll({json.dumps(selector)})]"
    return page.evaluate(f"{found}.map((one) => one.textContent.trim())")


def table_of(page: Page, name: str) -> list[list[str]]:
    rows = f"[...document.querySelectorAll('#{name}-table tbody tr')]"
    return page.evaluate(f"{rows}.map((row) => [...row.cells].map((cell) => cell.textContent))")


def frontier_texts(candidates: Candidates, batch_size: int, own: Results) -> list[list[str]]:
    """What the frontier's table is to say, by Python's frontier."""
    memory = candidates.memory_bytes(batch_size)
    points = np.flatnonzero(pareto(memory, candidates.accuracy))
    known = where(own.frontier, batch_size=batch_size)
    stays = {
        key: share
        for *key, share in zip(*(known[name] for name in KEY), known.p_on_frontier, strict=True)
        for key in [tuple(key)]
    }
    return [
        _frontier_texts(candidates.rows[point], float(memory[point]), stays)
        for point in points[np.argsort(memory[points], kind="stable")].tolist()
    ]


def _frontier_texts(row: Row, memory_bytes: float, stays: dict) -> list[str]:
    return [
        human_bytes(memory_bytes),
        row["model"],
        "bf16",
        row["kv_policy"],
        f"{row['token_budget']:,}",
        str(row["group_size"]),
        percent(row["accuracy"]),
        interval(row["accuracy_lo"], row["accuracy_hi"]),
        percent(stays.get(tuple(row[name] for name in KEY), float("nan"))),
    ]
