"""The synthetic run's page for tests: set its controls as a person does, and read its texts."""

import json

import numpy as np
from support import result_tables
from support.browser import Page

from raysweep.analysis.candidates import Candidate, Candidates
from raysweep.analysis.cross_fitting import CrossFit
from raysweep.frontier import frontier_points
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
          for (const control of [...form.elements].filter((one) => one.name === name)) {{
            if (control.type === "checkbox") control.checked = value.includes(control.value);
            else if (control.type === "radio") control.checked = control.value === String(value);
            else control.value = value;
            control.dispatchEvent(new Event("input", {{ bubbles: true }}));
          }}
        }} }})()"""
    )
    page.frames()
    page.evaluate("page.settle()")


def texts(page: Page, selector: str) -> list[str]:
    found = f"[...document.querySelectorAll({json.dumps(selector)})]"
    return page.evaluate(f"{found}.map((one) => one.textContent.trim())")


def table_of(page: Page, name: str) -> list[list[str]]:
    rows = f"[...document.querySelectorAll('#{name}-table tbody tr')]"
    return page.evaluate(f"{rows}.map((row) => [...row.cells].map((cell) => cell.textContent))")


def frontier_of(page: Page) -> list[list[str]]:
    """The cells of all points of the frontier's table, unfolded and page by page."""
    return page.evaluate(
        """(() => { page.settle();
        page.tables.frontier.setFolded(false);
        const table = byId("frontier-table"), pager = byId("frontier-pager"), all = [];
        for (;;) {
          for (const row of table.tBodies[0].rows)
            all.push([...row.cells].map((cell) => cell.textContent));
          if (pager.hidden || pager.lastElementChild.disabled) return all;
          pager.lastElementChild.click();
        } })()"""
    )


def frontier_texts(
    candidates: Candidates, batch_size: int, own: Results, among: list[int] | None = None
) -> list[list[str]]:
    """The cells that the frontier's table should have, by Python's frontier.

    among  the scenarios that compete; all unless they are given
    """
    members = np.arange(len(candidates)) if among is None else np.array(among)
    memory = candidates.memory_bytes(batch_size)[members]
    points = frontier_points(memory, candidates.estimate[members])
    if among is None:
        found = CrossFit.of(candidates).expected(memory, members, points).accuracy
        bounds = [interval(*pair) for pair in zip(found.low, found.high, strict=True)]
        accuracy = found.mean
    else:
        accuracy = candidates.estimate[members[points]]
        bounds = ["–"] * len(points)
    known = where(own.frontier, batch_size=batch_size)
    stays = {
        key: share
        for *key, share in zip(*(known[name] for name in KEY), known.p_on_frontier, strict=True)
        for key in [tuple(key)]
    }
    return [
        _frontier_texts(
            candidates.members[members[point]], float(memory[point]), mean, shown, stays
        )
        for point, mean, shown in zip(points, accuracy, bounds, strict=True)
    ]


def key_of(candidate: Candidate) -> tuple:
    """The values of KEY."""
    chosen = candidate.configuration
    return chosen.engine_id, chosen.token_budget, chosen.group_size


def _frontier_texts(
    candidate: Candidate, memory_bytes: float, accuracy: float, bounds: str, stays: dict
) -> list[str]:
    chosen = candidate.configuration
    return [
        human_bytes(memory_bytes),
        chosen.model,
        "bf16",
        chosen.kv_policy,
        f"{chosen.token_budget:,}",
        str(chosen.group_size),
        percent(accuracy),
        bounds,
        percent(candidate.accuracy),
        percent(stays.get(key_of(candidate), float("nan"))),
    ]
