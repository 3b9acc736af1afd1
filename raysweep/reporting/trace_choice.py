"""Which engines' traces are written unless the user says so, by what the result tables say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import numpy as np

from raysweep.errors import ConfigError, shown
from raysweep.metrics import Floats
from raysweep.reporting.results import where
from raysweep.spec import Benchmark
from raysweep.storage import result_files
from raysweep.storage.schemas import QUESTIONS
from raysweep.storage.store import Store

Key = tuple[int, int]  # token budget and group size


@dataclass(frozen=True)
class TraceChoice:
    """What the tables say of the engines.

    frontier   (benchmark, engine) of each frontier
    baseline   the engines with the full cache
    lengths    by benchmark and engine the mean tokens of thinking at the largest budget
    bests      by benchmark the engine with the best estimate
    questions  the ids of each benchmark's questions in the order of the scores
    by_engine  by benchmark and engine the scores of its scenarios, NaN for a question without one
    """

    frontier: frozenset[tuple[str, str]] = frozenset()
    baseline: frozenset[str] = frozenset()
    lengths: Mapping[tuple[str, str], float] = field(default_factory=dict)
    bests: Mapping[str, str] = field(default_factory=dict)
    questions: Mapping[str, Sequence[str]] = field(default_factory=dict)
    by_engine: Mapping[tuple[str, str], Mapping[Key, Floats]] = field(default_factory=dict)

    def engines(self, benchmark: str) -> frozenset[str]:
        """The engines that are chosen for a benchmark unless the user names some."""
        return self.baseline | {engine_id for name, engine_id in self.frontier if name == benchmark}

    def tokens(self, benchmark: Benchmark, engine_id: str) -> float:
        """Mean tokens of thinking. 0 if unknown."""
        return self.lengths.get((benchmark.name, engine_id), 0.0)

    def best(self, benchmark: Benchmark) -> str | None:
        """The engine with the best estimate on a benchmark."""
        return self.bests.get(benchmark.name)

    def scores(self, benchmark: Benchmark, engine_id: str) -> dict[Key, Floats]:
        """Scores in the order of the benchmark's questions, NaN for a question without one."""
        ids = self.questions.get(benchmark.name, ())
        place = {question_id: n for n, question_id in enumerate(ids)}
        # The place behind the last score is that of a question without one.
        places = [place.get(question.question_id, len(ids)) for question in benchmark.questions]
        return {
            key: np.append(row, np.nan)[places]
            for key, row in self.by_engine.get((benchmark.name, engine_id), {}).items()
        }


def chosen_engines(
    patterns: Sequence[str], engine_ids: Sequence[str], choice: TraceChoice, benchmark: str
) -> list[str]:
    """The engines whose ids match a pattern; without patterns those of the tables, or else all.

    Raises ConfigError for a pattern that matches no engine.
    """
    for pattern in patterns:
        if not any(fnmatchcase(engine_id, pattern) for engine_id in engine_ids):
            raise ConfigError(
                f"traces.engines: {shown(pattern)} matches no engine of the run; write for example "
                f"['{engine_ids[0]}']"
            )
    if patterns:
        return [one for one in engine_ids if any(fnmatchcase(one, p) for p in patterns)]
    usual = choice.engines(benchmark)
    return [one for one in engine_ids if one in usual] or list(engine_ids)


def read_choice(store: Store) -> TraceChoice:
    """What the tables of a run say. Nothing if the stage reduce has not run."""
    if not store.exists(result_files.SCORES):
        return TraceChoice()
    names = ["engine_id", "benchmark", "token_budget", "group_size", "kv_kind", "estimate"]
    scenarios = store.read_table(result_files.SCENARIOS, [*names, "mean_trace_tokens"]).to_pandas()
    frontier = store.read_table(result_files.FRONTIER, ["benchmark", "engine_id"]).to_pandas()
    largest = where(scenarios, token_budget=scenarios.token_budget.max())
    lengths = largest.groupby(["benchmark", "engine_id"]).mean_trace_tokens.first()
    ranked = scenarios.dropna(subset=["estimate"]).sort_values("estimate", ascending=False)
    questions = store.read_table(result_files.QUESTIONS, QUESTIONS.names).to_pandas()
    return TraceChoice(
        frontier=frozenset(frontier.itertuples(index=False, name=None)),
        baseline=frozenset(where(scenarios, kv_kind="full").engine_id),
        lengths=lengths.to_dict(),
        bests=ranked.drop_duplicates("benchmark").set_index("benchmark").engine_id.to_dict(),
        questions={
            str(name): rows.question_id.tolist() for name, rows in questions.groupby("benchmark")
        },
        by_engine=_scores(store),
    )


def _scores(store: Store) -> dict[tuple[str, str], dict[Key, Floats]]:
    """The scores of each scenario, by benchmark and engine."""
    table = store.read_table(result_files.SCORES)
    found: dict[tuple[str, str], dict[Key, Floats]] = {}
    keys = table.select(["benchmark", "engine_id", "token_budget", "group_size"]).to_pandas()
    for key, scores in zip(keys.itertuples(index=False, name=None), table["scores"], strict=True):
        row = scores.values.to_numpy(zero_copy_only=False).astype(np.float64)
        found.setdefault(key[:2], {})[key[2:]] = row
    return found
