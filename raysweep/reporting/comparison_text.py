"""The stage compare: a run beside published figures, as tables for the terminal and as comparison.json."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from math import isfinite
from typing import Any, TypeVar

from rich.table import Table
from rich.text import Text

from raysweep.published.cells import Order, published
from raysweep.published.comparing import ANOTHER, CellBeside, Comparison, OrderBeside, compare
from raysweep.reporting.results import read_candidates
from raysweep.reporting.terminal import MOST_ROWS, empty_table
from raysweep.reporting.terminal_lines import Line
from raysweep.run_config import RunConfig
from raysweep.storage.result_files import COMPARISON
from raysweep.storage.store import Store
from raysweep.system.quantities import percent, percentage_points, plural

# In a table, what the lines below it call ANOTHER.
OTHER = "other"

T = TypeVar("T")


def comparison(config: RunConfig, store: Store) -> Comparison:
    """The run in a folder that holds the results of reduce, beside everything published."""
    return compare(published(), config.sweep, read_candidates(store))


def write_comparison(found: Comparison, store: Store) -> str:
    """Write comparison.json. Gives its address."""
    store.write_text(COMPARISON, json.dumps(as_json(found), indent=2) + "\n")
    return store.path(COMPARISON)


def as_json(found: Comparison) -> dict[str, Any]:
    return {
        "allowance": found.allowance.points(),
        "cells": [_cell_as_json(beside) for beside in found.cells],
        "orders": [_order_as_json(beside) for beside in found.orders],
    }


def _cell_as_json(beside: CellBeside) -> dict[str, Any]:
    cell, here = beside.cell, beside.here
    known = isfinite(beside.margin)
    return {
        "verdict": beside.verdict,
        "apart": list(beside.apart),
        "published": {**asdict(cell), "standard_error": cell.standard_error if known else None},
        "here": {"benchmark": here.benchmark, **here.configuration.columns()},
        "accuracy": here.accuracy,
        "accuracy_lo": here.accuracy_lo,
        "accuracy_hi": here.accuracy_hi,
        "difference": beside.difference,
        "margin": beside.margin if known else None,
    }


def _order_as_json(beside: OrderBeside) -> dict[str, Any]:
    return {
        "verdict": beside.verdict,
        "benchmark": beside.benchmark,
        **asdict(beside.order),
        "difference": beside.difference,
        "difference_lo": beside.low,
        "difference_hi": beside.high,
        "engines": beside.engines,
    }


# The terminal


def tables(found: Comparison) -> Iterator[Table]:
    """By benchmark, the cells and the orders that the run has a counterpart of; no table without rows."""
    for benchmark, cells in _by_benchmark(found.cells, lambda one: one.cell.benchmark):
        yield _cells_table(benchmark, cells)
    for benchmark, orders in _by_benchmark(found.orders, lambda one: one.benchmark):
        yield _orders_table(benchmark, orders)


def _by_benchmark(besides: Iterable[T], name_of: Callable[[T], str]) -> list[tuple[str, list[T]]]:
    groups: dict[str, list[T]] = defaultdict(list)
    for one in besides:
        groups[name_of(one)].append(one)
    return list(groups.items())


def _rest(count: int) -> str:
    """What a table's title says of rows that are left out."""
    return f"; the first {MOST_ROWS} of {count}, and {COMPARISON} has all" * (count > MOST_ROWS)


def _cells_table(benchmark: str, cells: Sequence[CellBeside]) -> Table:
    title = (
        f"{benchmark}: published accuracies beside this run's, whose intervals are in {COMPARISON}; ± is the "
        f"largest difference that counts as agreement, with all cells judged together, and {OTHER!r} is not "
        f"the same cell{_rest(len(cells))}"
    )
    names = ("source", "engine", "paper", "here", "diff.", "±", "verdict")
    table = empty_table(Text(title), names, words=("source", "engine", "verdict"))
    # What can be judged comes first.
    for beside in sorted(cells, key=lambda one: one.verdict == ANOTHER)[:MOST_ROWS]:
        cell, here, is_other = beside.cell, beside.here, beside.verdict == ANOTHER
        table.add_row(
            cell.source.name,
            Text(here.configuration.engine_id),
            percent(cell.accuracy),
            percent(here.accuracy),
            percentage_points(beside.difference),
            "–" if is_other else percentage_points(beside.margin),
            OTHER if is_other else beside.verdict,
        )
    return table


def _orders_table(benchmark: str, orders: Sequence[OrderBeside]) -> Table:
    title = (
        f"{benchmark}: reported orders; is the first more accurate? Differences are paired by question, and "
        f"the intervals hold together in 95% of runs{_rest(len(orders))}"
    )
    table = empty_table(Text(title), ("verdict", "order"), words=("verdict", "order"))
    table.padding = (0, 2, 0, 0)
    for beside in orders[:MOST_ROWS]:
        low, high = percentage_points(beside.low), percentage_points(beside.high)
        said = Text(f"{beside.order.ahead}, {beside.order.behind}")
        said.append(
            f"\n{percentage_points(beside.difference)} points ({low} to {high})", style="dim"
        )
        table.add_row(beside.verdict, said)
    return table


def lines(found: Comparison) -> Iterator[Line]:
    """What the tables leave out: counts, what keeps cells apart, and where the figures come from."""
    cells, orders = found.published.cells, found.published.orders
    asked = sum(len(order.benchmarks) for order in orders)
    if not found.cells and not found.orders:
        text = "this run has no model, precision and benchmark of which others have published accuracies"
        yield Line("compare", f"{text} ({len(cells)} cells and {asked} orders are known)")
        return
    yield Line("compare", f"{_counted(found.cells, 'cell')}, of {len(cells)} that are published")
    yield Line("", f"{_counted(found.orders, 'order')}, of {asked} that are reported")
    allowed = percentage_points(found.allowance.points())
    several = plural(found.allowance.cells, "cell")
    yield Line(
        "",
        f"± holds the noise of both sides' answers, and the {allowed} points that careful groups differ "
        f"by, judged by {several} that several groups measured; where many are judged together, ± and the "
        "intervals are wider (Holm), so in 95% of runs none differs by chance",
    )
    for reason, count in Counter(why for cell in found.cells for why in cell.apart).most_common():
        yield Line("", f"{ANOTHER}: {reason} ({plural(count, 'cell')})")
    sources = {one.source: None for one in [*(c.cell for c in found.cells), *_orders(found)]}
    for source in sources:
        second_hand = "" if source.read == "source" else ", as reported in reviews of it"
        yield Line("", f"{source.name}: {source.title}, {source.address}{second_hand}")


def _orders(found: Comparison) -> list[Order]:
    return [beside.order for beside in found.orders]


def _counted(besides: tuple[CellBeside, ...] | tuple[OrderBeside, ...], noun: str) -> str:
    counts = Counter(beside.verdict for beside in besides).most_common()
    verdicts = ", ".join(f"{verdict} {count}" for verdict, count in counts)
    return f"{plural(len(besides), noun)}" + (f": {verdicts}" if verdicts else "")
