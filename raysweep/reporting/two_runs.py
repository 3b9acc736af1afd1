"""Two finished runs side by side: what is compared, and what differs besides the samples."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from raysweep.analysis.two_runs import (
    Differences,
    FrontierPoint,
    Movement,
    differences,
    movements,
)
from raysweep.errors import ConfigError
from raysweep.reporting.results import Results, points_of, read_results, where
from raysweep.storage import result_files
from raysweep.storage.record import CONFIG, read_record
from raysweep.storage.store import Store
from raysweep.storage.summary import read_summary
from raysweep.system.quantities import plural

FIELD = "compare_with"


@dataclass(frozen=True)
class Setting:
    """Something that both runs recorded and that differs; None where a run did not record it."""

    name: str
    here: Any
    there: Any


@dataclass(frozen=True)
class TwoRuns:
    """This run beside another one, on the benchmarks that both have.

    other      where the other run is
    frontiers  by benchmark and batch size
    lacking    benchmarks that only this run has, and those that only the other one has
    """

    other: str
    settings: tuple[Setting, ...]
    benchmarks: tuple[Differences, ...]
    frontiers: Mapping[tuple[str, int], tuple[Movement, ...]]
    lacking: tuple[tuple[str, ...], tuple[str, ...]]


def two_runs(store: Store, other: Store) -> TwoRuns:
    """A run beside another one.

    Raises ConfigError if the other one is not a reduced run, or if they share no benchmark or ask other
    questions on one that they share.
    """
    for name, way_out in ((CONFIG, "give a run's name or folder"), (result_files.SCORES, REDUCE)):
        if not other.exists(name):
            raise ConfigError(f"{FIELD}: {other.path(name)} is missing; {way_out}")
    asked, theirs = _questions(store), _questions(other)
    shared = [name for name in asked if name in theirs]
    _check_questions({n: asked[n] for n in shared}, {n: theirs[n] for n in shared}, store, other)
    ours, others = read_results(store), read_results(other)
    shared = [name for name in shared if name in ours.candidates and name in others.candidates]
    if not shared:
        raise ConfigError(
            f"{FIELD}: {other.path('')} has no benchmark that this run has too; choose another run"
        )
    return TwoRuns(
        other.path("").rstrip("/"),
        tuple(_settings(store, other)),
        tuple(differences(n, ours.candidates[n], others.candidates[n]) for n in shared),
        {
            (name, size): movements(_points(ours, name, size), _points(others, name, size))
            for name in shared
            for size in ours.batch_sizes
            if size in others.batch_sizes
        },
        (
            tuple(name for name in asked if name not in theirs),
            tuple(name for name in theirs if name not in asked),
        ),
    )


REDUCE = "run the stages reduce and report of that run first"


def _questions(store: Store) -> dict[str, list[str]]:
    """The ids of each benchmark's questions, in the order of the scores."""
    found: dict[str, list[str]] = {}
    for row in store.read_table(result_files.QUESTIONS).to_pylist():
        found.setdefault(row["benchmark"], []).append(row["question_id"])
    return found


def _check_questions(
    ours: Mapping[str, list[str]], theirs: Mapping[str, list[str]], store: Store, other: Store
) -> None:
    """Raise unless the runs asked the same questions on the benchmarks that both have."""
    identities = [read_record(one).get("identity", {}) for one in (store, other)]
    apart = []
    for name, ids in ours.items():
        texts = [identity.get(f"questions.{name}") for identity in identities]
        if ids != theirs[name]:
            only = len(set(ids) ^ set(theirs[name]))
            why = f"{plural(only, 'question')} in one run alone" if only else "in another order"
            apart.append(f"{name} ({why})")
        elif None not in texts and texts[0] != texts[1]:
            apart.append(f"{name} (other texts under the same ids)")
    if apart:
        raise ConfigError(
            f"{FIELD}: the runs asked other questions on {', '.join(apart)}, so nothing can be paired; "
            "choose a run of the same questions"
        )


def _settings(store: Store, other: Store) -> Iterator[Setting]:
    """What the runs recorded of how they were made, where it differs."""
    pairs = [(read_record(one), read_summary(one)) for one in (store, other)]
    described = [
        {
            **{f"version of {name}": v for name, v in (record.get("versions") or {}).items()},
            "git revision": record.get("git_revision"),
            **{f"grader of {name}": v for name, v in (summary.get("graders") or {}).items()},
            **record.get("identity", {}),
            "samples": summary.get("samples"),
        }
        for record, summary in pairs
    ]
    here, there = described
    for name in dict.fromkeys((*here, *there)):
        if here.get(name) != there.get(name):
            yield Setting(name, here.get(name), there.get(name))


def _points(results: Results, benchmark: str, batch_size: int) -> tuple[FrontierPoint, ...]:
    points = points_of(where(results.frontier, benchmark=benchmark, batch_size=batch_size))
    return tuple(
        FrontierPoint(
            (
                point.configuration.engine_id,
                point.configuration.token_budget,
                point.configuration.group_size,
            ),
            point.memory_bytes,
            point.expected,
        )
        for point in points
    )
