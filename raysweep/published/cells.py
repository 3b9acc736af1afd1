"""Published accuracies and orders as frozen dataclasses, and how far careful groups differ.

A *cell* is what one group measured of one model in one setting. Some cells were measured by several groups.
They agree less well than their numbers of samples promise, since prompts, graders, engines and limits of
length differ in ways that no table states. Their spread is what a further group has to be allowed.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from raysweep.analysis.uncertainty import LEVEL, student_quantile

FILE = Path(__file__).with_name("published.yaml")


@dataclass(frozen=True)
class Source:
    """Who published something.

    read  `source` if the figures were seen there, `reported` if in reviews and notes of it
    """

    name: str
    title: str
    address: str
    read: str


@dataclass(frozen=True)
class Cell:
    """A published accuracy, from 0 to 1. None stands for what the source does not state.

    benchmark, model, weights, kv_policy  raysweep's names for them
    questions     of the benchmark, as it was then
    group_size    samples that vote
    samples       per question, over which the accuracy is a mean
    token_budget  the most tokens of thinking and answer
    sampling      the stated fields of `spec.Sampling`
    apart         what keeps any run of raysweep from being the same cell
    """

    source: Source
    benchmark: str
    questions: int | None
    model: str
    weights: str
    kv_policy: str
    group_size: int
    accuracy: float
    samples: int | None = None
    token_budget: int | None = None
    sampling: Mapping[str, float] = field(default_factory=dict, hash=False)
    apart: tuple[str, ...] = ()

    @property
    def setting(self) -> tuple[str, str, str, str, int]:
        """What two groups must share to have measured the same."""
        return self.benchmark, self.model, self.weights, self.kv_policy, self.group_size

    @property
    def standard_error(self) -> float:
        """Of the accuracy on the same questions; at most this, as if all of them were equally hard.

        Infinite where the number of questions is unknown.
        """
        if self.questions is None:
            return float("inf")
        return answers_error(self.accuracy, self.questions * (self.samples or 1))


@dataclass(frozen=True)
class Choice:
    """One side of an order: an engine, or a KV policy over all engines; None: the largest budget."""

    engine: str | None = None
    kv_policy: str | None = None
    token_budget: int | None = None

    def __str__(self) -> str:
        name = self.engine or f"KV {self.kv_policy}"
        return name if self.token_budget is None else f"{name} at {self.token_budget:,}"


@dataclass(frozen=True)
class Order:
    """Two configurations of which the one is reported to be more accurate, with single samples."""

    source: Source
    benchmarks: tuple[str, ...]
    ahead: Choice
    behind: Choice


@dataclass(frozen=True)
class Published:
    cells: tuple[Cell, ...]
    orders: tuple[Order, ...]


@cache
def published() -> Published:
    """Everything in published.yaml."""
    found = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    sources = {name: Source(name, **about) for name, about in found["sources"].items()}
    groups = [(sources[group["source"]], group) for group in found["groups"]]
    cells = [cell for source, group in groups for cell in _cells(source, group)]
    return Published(tuple(cells), tuple(_order(sources, entry) for entry in found["orders"]))


def _cells(source: Source, group: Mapping[str, Any]) -> Iterable[Cell]:
    common = {name: value for name, value in group.items() if name not in ("source", "accuracy")}
    common["apart"] = tuple(common.get("apart", ()))
    for model, percent in group["accuracy"].items():
        yield Cell(source=source, model=model, accuracy=percent / 100, **common)


def _order(sources: Mapping[str, Source], entry: Mapping[str, Any]) -> Order:
    ahead, behind = Choice(**entry["ahead"]), Choice(**entry["behind"])
    return Order(sources[entry["source"]], tuple(entry["benchmarks"]), ahead, behind)


def answers_error(accuracy: float, answers: int) -> float:
    """The most that the randomness of independent answers gives an accuracy as standard error."""
    return sqrt(accuracy * (1 - accuracy) / answers)


@dataclass(frozen=True)
class Allowance:
    """How far two careful groups may be apart on the same cell.

    error    standard error of their difference, from 0 to 1
    freedom  its degrees of freedom
    cells    cells that several groups measured, from which it comes
    """

    error: float
    freedom: int
    cells: int

    def points(self, level: float = LEVEL) -> float:
        """Half the width of an interval of their difference, from 0 to 1."""
        if self.cells == 0:
            return 0.0
        quantile = student_quantile((1 + level) / 2, np.array(float(self.freedom)))
        return float(quantile) * self.error


def between_groups(cells: Iterable[Cell]) -> Allowance:
    """The allowance that the cells themselves suggest: the spread among groups that share a setting.

    The variance of a group is pooled over all shared settings, and a difference of two groups has twice
    that. Their answers' noise is part of it, so the allowance is rather too wide than too narrow.
    """
    shared: dict[object, list[float]] = defaultdict(list)
    for cell in cells:
        if not cell.apart:
            shared[cell.setting].append(cell.accuracy)
    several = [values for values in shared.values() if len(values) > 1]
    df = sum(len(values) - 1 for values in several)
    if df == 0:
        return Allowance(0.0, 0, 0)
    variance = sum(float(np.var(values)) * len(values) for values in several) / df
    return Allowance(sqrt(2 * variance), df, len(several))
