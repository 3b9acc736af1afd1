"""From votes to rows: how accurate each scenario is and how much memory it takes. Pure: no I/O.

The one idea: a tally becomes scenarios once group sizes are chosen. A scenario's accuracy is the mean
over questions of maj@G, and its memory is that of the weights and G caches. It keeps each question's
score, so that all scenarios of a benchmark are compared on the same draws of the questions.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from raysweep import memory
from raysweep.analysis.candidates import KEY, Candidates
from raysweep.analysis.configurations import Row
from raysweep.analysis.uncertainty import mean_score, run_spread, score_interval, standard_error
from raysweep.grading.outcomes import OUTCOMES
from raysweep.metrics import Floats, maj_at_k, pass_at_k
from raysweep.reducing.answer_counts import Tally
from raysweep.storage.schemas import SCENARIOS


@dataclass(frozen=True)
class Scenario:
    """A row of scenarios.parquet without `estimate` and `on_frontier`, and what the row does not hold.

    scores      the accuracy of each question, NaN where it has no sample
    run_tokens  tokens that generating this scenario by itself would have taken
    """

    row: Row
    scores: Floats
    run_tokens: float

    @property
    def key(self) -> tuple:
        return tuple(self.row[name] for name in KEY)


def make_scenarios(
    tally: Tally, group_sizes: Sequence[int], samples: int, described: Row
) -> list[Scenario]:
    """The tally at every budget and group size that its samples allow.

    samples    how many were asked for per question
    described  the engine's row of engines.parquet
    """
    scores = _scores(tally, group_sizes)  # [questions, group sizes, budgets]
    columns = _score_columns(tally, group_sizes, scores)  # each [group sizes, budgets]
    engine_columns = _engine_columns(described)
    scenarios = []
    for at, token_budget in enumerate(tally.token_budgets):
        shared = {**engine_columns, **_budget_columns(tally, at, samples)}
        for index, group_size in enumerate(group_sizes):
            if group_size > tally.n_samples[at]:
                continue
            row = {
                **shared,
                "group_size": group_size,
                **{name: _number(values[index, at]) for name, values in columns.items()},
                **_memory_columns(tally, token_budget, group_size),
            }
            run_tokens = group_size * float(tally.run_tokens[at])
            scenarios.append(Scenario(row, scores[:, index, at].copy(), run_tokens))
    return scenarios


def _scores(tally: Tally, group_sizes: Sequence[int]) -> Floats:
    """maj@G of each question: [questions, group sizes, budgets]."""
    shape = tally.correct.shape
    wrong = tally.wrong.reshape(tally.correct.size, tally.wrong.shape[2])
    scores = maj_at_k(tally.correct.ravel(), wrong, tally.absent.ravel(), group_sizes)
    return np.moveaxis(scores.reshape(len(group_sizes), *shape), 2, 0)


def _score_columns(tally: Tally, group_sizes: Sequence[int], scores: Floats) -> dict[str, Floats]:
    def mean_pass(k: int) -> Floats:
        return mean_score(pass_at_k(tally.samples, tally.correct, k).T)

    accuracy, once = score_interval(scores), mean_pass(1)
    return {
        "accuracy": accuracy.mean,
        "accuracy_lo": accuracy.low,
        "accuracy_hi": accuracy.high,
        "accuracy_se": standard_error(scores),
        "run_sd": run_spread(scores),
        "pass_at_1": np.stack([once] * len(group_sizes)),
        "pass_at_g": np.stack([mean_pass(group_size) for group_size in group_sizes]),
    }


def _number(value: np.float64) -> float | None:
    return None if np.isnan(value) else float(value)


def _engine_columns(described: Row) -> dict[str, Any]:
    """The columns that engines.parquet has too, except the bytes of the weights."""
    names = set(SCENARIOS.names) & described.keys() - {"weights_bytes"}
    return {name: described[name] for name in names}


def _budget_columns(tally: Tally, at: int, samples: int) -> dict[str, Any]:
    """The columns that all group sizes of the budget with index `at` share."""
    answers = max(1, int(tally.outcomes[at].sum()))
    share = dict(zip(OUTCOMES, (tally.outcomes[at] / answers).tolist(), strict=True))
    return {
        "benchmark": tally.benchmark.name,
        "token_budget": tally.token_budgets[at],
        "n_questions": int(tally.n_questions[at]),
        "n_samples": int(tally.n_samples[at]),
        "complete": bool((tally.samples[at] >= samples).all()),
        "stopped_at": None,
        "unanswered": share["unanswered"],
        "cut_off": share["cut_off"],
        "errors": share["error"],
        "mean_trace_tokens": int(tally.thinking_tokens[at].sum()) / answers,
        "prompt_tokens": tally.longest_prompt_tokens,
    }


def _memory_columns(tally: Tally, token_budget: int, group_size: int) -> dict[str, Any]:
    """Bytes of the weights and of the group's caches at the budget, after the longest prompt."""
    engine = tally.engine
    tokens = tally.longest_prompt_tokens + token_budget
    weights_bytes = memory.weights_bytes(engine.model, engine.weights)
    cache = (engine.model.architecture, engine.kv_policy, tokens)
    kv_bytes = group_size * memory.kv_bytes(*cache)
    return {
        "weights_bytes": weights_bytes,
        "kv_bytes": kv_bytes,
        "kv_peak_bytes": group_size * memory.kv_peak_bytes(*cache),
        "total_bytes": weights_bytes + kv_bytes,
    }


def by_benchmark(scenarios: Iterable[Scenario]) -> dict[str, Candidates]:
    """The candidates of each benchmark, in the order of KEY.

    The order is fixed so that the first of two equal points is always the same one.
    """
    groups: dict[str, list[Scenario]] = defaultdict(list)
    for scenario in sorted(scenarios, key=lambda one: one.key):
        groups[scenario.row["benchmark"]].append(scenario)
    return {
        benchmark: Candidates.of_rows(
            (scenario.row for scenario in members),
            np.stack([scenario.scores for scenario in members], axis=1),
        )
        for benchmark, members in groups.items()
    }
