"""The page's section on an adaptive run: what it asked for, its rounds, what it stopped and promises."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raysweep.reporting.adaptive_text import (
    asked_for,
    course_from,
    saved_lines,
    stopped_in_words,
)
from raysweep.system.quantities import human_bytes

# Stopped engines of a benchmark that are named on the page, those with the largest saving.
MOST_NAMED = 8


@dataclass(frozen=True)
class Round:
    """A row of the table of rounds, in words."""

    benchmark: str
    samples: str
    critical_value: str
    comparisons: str
    stopped: str
    left: str
    engines: str


@dataclass(frozen=True)
class AdaptiveSection:
    """What the page says.

    saved      sentences
    promise    sentences: the guarantee and what it does not speak of, or why there is none
    alone      why the page's frontiers and findings are not those of a full run; empty for a frontier's run
    largest    by benchmark, the engines whose stopping saved most, in words
    """

    asked: str
    promise: tuple[str, ...]
    alone: str
    saved: tuple[str, ...]
    rounds: tuple[Round, ...]
    largest: dict[str, tuple[str, ...]]


def adaptive_section(summary: Mapping[str, Any]) -> AdaptiveSection | None:
    """The section of an adaptive run. None for any other."""
    noted = summary.get("adaptive")
    if not noted:
        return None
    course = course_from(noted["benchmarks"])
    wanted = (noted[name] for name in ("memory_bytes", "batch_size", "epsilon", "delta"))
    promise = (noted["guarantee"], noted["never_judged"])
    unfinished = "Not all rounds are done, so nothing is guaranteed yet."
    return AdaptiveSection(
        asked=asked_for(*wanted),
        promise=tuple(filter(None, promise)) if noted["guarantee"] else (unfinished,),
        alone=_alone(noted["memory_bytes"]),
        saved=tuple(saved_lines(noted)),
        rounds=tuple(
            Round(
                one.benchmark,
                f"{decision.samples:,}",
                f"{decision.critical_value:.2f}",
                f"{decision.comparisons:,}",
                f"{decision.stopped:,}",
                f"{decision.left:,} of {one.configurations:,}",
                f"{decision.engines:,} of {one.engines:,}",
            )
            for one in course
            for decision in one.decisions
        ),
        largest={
            one.benchmark: tuple(stopped_in_words(engine) for engine in one.largest[:MOST_NAMED])
            for one in course
            if one.largest
        },
    )


def _alone(memory_bytes: float | None) -> str:
    if memory_bytes is None:
        return ""
    return (
        f"Only the best within {human_bytes(memory_bytes)} was asked for. The frontiers, findings and "
        "thresholds on this page are those of what was not stopped, and a full run may show others."
    )
