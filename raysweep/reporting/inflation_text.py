"""How much longer precisions and KV policies make models think, in words.

The stage reduce has judged all of a benchmark's precisions and policies together (`summary.json`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raysweep.analysis.configurations import Row
from raysweep.reporting.results import Results
from raysweep.system.quantities import percent

# How thinking ends if it is not closed, in the columns of inflation.parquet.
UNCLOSED = {
    "ended": "ended during thinking",
    "looped": "repeated themselves endlessly",
    "cut": "were cut at the largest budget",
    "given_up": "were given up as too slow",
}
# Traces that end so would have gone on.
LOWER_BOUNDS = ("looped", "cut", "given_up")

# The verdicts on a ratio, in the order in which a sentence has them.
LONGER, SHORTER, OPEN, EQUAL, UNKNOWN = VERDICTS = (
    "longer",
    "shorter",
    "not decided by these data",
    "exactly as long",
    "unknown",
)

FILLED = (
    "Token inflation is not asked: the forcing extends every trace until its budget is used, so all traces "
    "are equally long."
)


@dataclass(frozen=True)
class Inflation:
    """What one precision or policy costs in tokens on one benchmark: a row of the page's table.

    marks    low bound, ratio and high bound, each as a place between 0 and 100; empty without an interval
    endings  shares of traces that were not closed, in the order of UNCLOSED: its own, and its reference's
    """

    benchmark: str
    value: str
    reference: str
    models: int
    questions: int
    change: str
    interval: str
    verdict: str
    marks: tuple[float, ...]
    endings: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Inflations:
    """The page's table. `no_change` is the place of the ratio 1 among the marks."""

    rows: tuple[Inflation, ...]
    no_change: float


def inflations(summary: Mapping[str, Any]) -> Inflations:
    """A row for each precision and policy of each benchmark."""
    found = summary.get("inflation", [])
    bounds = [row[f"ratio{end}"] for row in found for end in ("_lo", "_hi") if _known(row)]
    low, high = min([1.0, *bounds]), max([1.0, *bounds])

    def place(ratio: float) -> float:
        return round(100 * (ratio - low) / (high - low), 2) if high > low else 50.0

    rows = [
        Inflation(
            row["benchmark"],
            row["value"],
            row["reference"],
            row["models"],
            row["n_questions"],
            change(row["ratio"]),
            _interval(row),
            _verdict(row),
            tuple(place(row[f"ratio{end}"]) for end in ("_lo", "", "_hi")) if _known(row) else (),
            tuple((percent(row[end]), percent(row[f"reference_{end}"])) for end in UNCLOSED),
        )
        for row in found
    ]
    return Inflations(tuple(rows), place(1.0))


def inflation_notes(results: Results) -> Iterator[str]:
    """Which precisions and policies make models think longer on one benchmark, and how traces end."""
    if results.summary.get("thinking_fills_budgets"):
        yield FILLED
        return
    ours = set(results.scenarios.benchmark)
    rows = [row for row in results.summary.get("inflation", []) if row["benchmark"] in ours]
    if rows:
        yield _lengths(rows)
        yield _endings(rows)


def _lengths(rows: Sequence[Row]) -> str:
    ordered = sorted(rows, key=lambda row: -(row["ratio"] or 0))
    by_verdict = {v: [_named(row) for row in ordered if _verdict(row) == v] for v in VERDICTS}
    verdicts = [f"{verdict}: {', '.join(named)}" for verdict, named in by_verdict.items() if named]
    together = f"; {len(rows)} are judged together" if len(rows) > 1 else ""
    return (
        f"Token inflation (thinking tokens for the same questions, up to {rows[0]['token_budget']:,} per "
        f"trace, with 95% intervals{together}): {'; '.join(verdicts)}."
    )


def _named(row: Row) -> str:
    against = f"{row['value']} against {row['reference']}"
    measured = f" {change(row['ratio'])} ({_interval(row)})"
    return against + (measured if _verdict(row) not in (EQUAL, UNKNOWN) else "")


def _verdict(row: Row) -> str:
    if not _known(row):
        return UNKNOWN
    if row["ratio_lo"] == row["ratio_hi"] == 1:
        return EQUAL
    if not row["differs"]:
        return OPEN
    return LONGER if row["ratio"] > 1 else SHORTER


def _known(row: Row) -> bool:
    return row["ratio_lo"] is not None


def change(ratio: float | None, digits: int = 1) -> str:
    """`+7.2%`, `−3.8%`, `0.0%`."""
    if ratio is None:
        return "–"
    percentage = round(100 * (ratio - 1), digits)
    return f"{percentage:+.{digits}f}%".replace("-", "−") if percentage else f"{0:.{digits}f}%"


def _interval(row: Row) -> str:
    return f"{change(row['ratio_lo'])} to {change(row['ratio_hi'])}" if _known(row) else "–"


def _endings(rows: Sequence[Row]) -> str:
    """How often thinking is not closed: at the references, and where this happens most."""
    usual = max(_share(row, UNCLOSED, "reference_") for row in rows)
    worst = max(rows, key=lambda row: _share(row, UNCLOSED))
    most = _share(worst, UNCLOSED)
    if not usual and not most:
        return "Every trace closed its thinking by itself."
    ways = [f"{percent(worst[end])} {words}" for end, words in UNCLOSED.items() if worst[end]]
    named = f", and most often with {worst['value']}: {', '.join(ways)}" if most > usual else ""
    goes_on = max(_share(row, LOWER_BOUNDS, side) for row in rows for side in ("", "reference_"))
    bound = (
        f" Up to {percent(goes_on)} of the traces of one side would have gone on, so the ratios are of the "
        "tokens that were spent."
    )
    return (
        f"With the most bits and the full cache, {percent(usual)} of the traces do not close their thinking"
        f"{named}.{bound if goes_on else ''}"
    )


def _share(row: Row, endings: Iterable[str], side: str = "") -> float:
    return sum(row[side + end] or 0 for end in endings)
