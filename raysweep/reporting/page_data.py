"""The page's data: everything that its scripts draw, in JSON's types.

Scenarios are stored by column. A name that repeats is stored once and then referred to by its place in a
list, so that tens of thousands of scenarios fit into a page. Estimates and bytes are exact, because the
page computes frontiers from them. Numbers that are only shown are rounded.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from raysweep.analysis import study
from raysweep.analysis.candidates import KEY, Candidates
from raysweep.analysis.cross_fitting import CrossFit
from raysweep.reporting.advice import Advice, advise
from raysweep.reporting.appearance import (
    DARK,
    DARK_RAMP,
    GROUP_RAMPS,
    LIGHT,
    PRECISION_RAMPS,
    fills,
    model_colours,
    models,
    policies,
    policy_colours,
    policy_styles,
    precisions,
    ramp,
)
from raysweep.reporting.results import Results, points_of, weights_column, where
from raysweep.system.quantities import human_count

# The batch sizes of the slider. Those of the sweep are added.
SLIDER_BATCHES = tuple(2**power for power in range(9))

# With more engines than this, the page at first shows only what is on a frontier.
MANY_ENGINES = 24

# Decimal places of a share that is only shown.
PLACES = 6

EXACT = ("token_budget", "group_size", "weights_bytes", "kv_bytes", "kv_peak_bytes")
ACCURACIES = ("accuracy", "estimate")
COUNTS = ("n_questions", "n_samples")
SHARES = ("pass_at_1", "pass_at_g", "unanswered", "cut_off", "errors", "mean_trace_tokens")
BOUNDS = ("accuracy_lo", "accuracy_hi")


# The place of each scenario in its table, by its key.
Places = Mapping[tuple, int]


def page_data(results: Results, traces: str | None = None) -> dict[str, Any]:
    """What the scripts draw: the choices of the sweep with their looks, the scenarios, the findings.

    traces  the address of the folder of the traces' pages; None if there are none
    """
    scenarios = results.scenarios.reset_index(drop=True)
    batch_sizes = sorted({*SLIDER_BATCHES, *results.batch_sizes})
    engines = _engines(scenarios)
    places = {name: _places(where(scenarios, benchmark=name)) for name in results.candidates}
    return {
        "benchmarks": sorted(scenarios.benchmark.unique()),
        "batch_sizes": batch_sizes,
        "sweep_batch_sizes": results.batch_sizes,
        "token_budgets": _distinct(scenarios.token_budget),
        "looks": _looks(scenarios, results.frontier, hide=len(engines) > MANY_ENGINES),
        "engines": engines,
        "scenarios": _scenarios(scenarios, [engine["id"] for engine in engines]),
        "stays": _stays(scenarios, results.frontier),
        "advice": {
            name: _advice(advise(candidates, batch_sizes), candidates, places[name])
            for name, candidates in results.candidates.items()
        },
        "expected": {
            name: _expected(results.of(name), candidates, batch_sizes, places[name])
            for name, candidates in results.candidates.items()
        },
        "votes": _comparisons(results, study.parallel_scaling),
        "eviction": _comparisons(results, study.eviction_or_bits),
        "advantages": _records(results.thresholds),
        "thresholds": results.summary.get("thresholds", []),
        "traces": traces,
    }


def _distinct(values: pd.Series) -> list[int]:
    return sorted(values.unique().tolist())


def _looks(scenarios: pd.DataFrame, frontier: pd.DataFrame, hide: bool) -> dict[str, list[dict]]:
    """The values of each choice in order, how they look, and whether they are shown at first.

    hide  whether to show at first only what is on a frontier, with the baselines: the full cache and the
          smallest group, without which no other policy or group can be judged
    """
    on_frontier = {
        "model": set(frontier.model),
        "weights": {weights.slug for weights in weights_column(frontier)},
        "policy": {"full", *frontier.kv_policy},
        "group": {str(scenarios.group_size.min()), *map(str, frontier.group_size)},
    }
    looks = {
        "model": _model_looks(scenarios),
        "weights": _weight_looks(scenarios),
        "policy": _policy_looks(scenarios),
        "group": _group_looks(scenarios),
    }
    return {
        choice: [
            {**entry, "shown": not hide or not len(frontier) or entry["name"] in names}
            for entry in looks[choice]
        ]
        for choice, names in on_frontier.items()
    }


def _model_looks(scenarios: pd.DataFrame) -> list[dict[str, str]]:
    light, dark = model_colours(scenarios), model_colours(scenarios, DARK_RAMP)
    return [
        {"name": name, "note": human_count(size), "light": light[name], "dark": dark[name]}
        for name, size in models(scenarios).items()
    ]


def _policy_looks(scenarios: pd.DataFrame) -> list[dict[str, str]]:
    names = policies(scenarios)
    light, dark = policy_colours(names, LIGHT), policy_colours(names, DARK)
    return [
        {
            "name": name,
            "light": light[name],
            "dark": dark[name],
            "path": style.marker.svg_path,
            "dash": " ".join(map(str, style.dash.lengths)) or "none",
        }
        for name, style in policy_styles(names).items()
    ]


def _weight_looks(scenarios: pd.DataFrame) -> list[dict[str, str]]:
    full = fills(precisions(scenarios))
    colours = _ramped(PRECISION_RAMPS, len(full))
    return [
        {"name": name, "fill": fill, **colour}
        for (name, fill), colour in zip(full.items(), colours, strict=True)
    ]


def _group_looks(scenarios: pd.DataFrame) -> list[dict[str, str]]:
    sizes = _distinct(scenarios.group_size)
    colours = _ramped(GROUP_RAMPS, len(sizes))
    return [{"name": str(size), **colour} for size, colour in zip(sizes, colours, strict=True)]


def _ramped(ramps: Sequence[Sequence[str]], count: int) -> list[dict[str, str]]:
    light, dark = (ramp(stops, count) if count else () for stops in ramps)
    return [{"light": a, "dark": b} for a, b in zip(light, dark, strict=True)]


def _engines(scenarios: pd.DataFrame) -> list[dict[str, str]]:
    """Each engine with the names of its choices, smallest model first."""
    distinct = scenarios.drop_duplicates("engine_id").sort_values(["params", "engine_id"])
    return [
        {
            "id": row["engine_id"],
            "model": row["model"],
            "weights": weights.slug,
            "policy": row["kv_policy"],
        }
        for row, weights in zip(distinct.to_dict("records"), weights_column(distinct), strict=True)
    ]


def _scenarios(scenarios: pd.DataFrame, engine_ids: Sequence[str]) -> dict[str, list]:
    """The scenarios by column. `engine` and `benchmark` are places in their lists."""
    place = {engine_id: index for index, engine_id in enumerate(engine_ids)}
    benchmarks = sorted(scenarios.benchmark.unique())
    shown = {name: _rounded(scenarios[name].tolist()) for name in (*BOUNDS, *SHARES)}
    return {
        "engine": [place[engine_id] for engine_id in scenarios.engine_id],
        "benchmark": [benchmarks.index(name) for name in scenarios.benchmark],
        **{name: scenarios[name].tolist() for name in (*EXACT, *COUNTS)},
        **{name: list(map(_json_value, scenarios[name].tolist())) for name in ACCURACIES},
        **shown,
        "complete": scenarios.complete.astype(int).tolist(),
        "stopped_at": list(map(_json_value, scenarios.stopped_at.astype(float).tolist())),
    }


def _stays(scenarios: pd.DataFrame, frontier: pd.DataFrame) -> list[tuple[int, int, Any]]:
    """Batch size, scenario, and the share of draws in which it stays on the frontier."""
    place = _places(scenarios)
    rows = [place[key] for key in frontier[list(KEY)].itertuples(False, None)]
    shares = _rounded(frontier.p_on_frontier.tolist())
    return list(zip(frontier.batch_size.tolist(), rows, shares, strict=True))


def _places(scenarios: pd.DataFrame) -> Places:
    return {key: at for at, key in enumerate(scenarios[list(KEY)].itertuples(False, None))}


def _advice(advice: Advice, candidates: Candidates, places: Places) -> dict[str, Any]:
    """The advice in JSON's types. Indices are places among the benchmark's scenarios."""
    local = [places[member.key] for member in candidates.members]
    return {
        "comparable": [local[index] for index in advice.comparable],
        "steps": {
            batch_size: [
                [
                    local[step.best],
                    *_rounded((*step.expected, *step.gain)),
                    step.compared,
                    step.indistinguishable,
                ]
                for step in steps
            ]
            for batch_size, steps in advice.steps.items()
        },
    }


def _expected(
    results: Results, candidates: Candidates, batch_sizes: Sequence[int], places: Places
) -> dict[int, list[list[Any]]]:
    """For each batch size, the points of the frontier of all: place, expected accuracy, its interval.

    Those of the sweep's batch sizes are in the table. The slider has others.
    """
    cross_fit, everyone = CrossFit.of(candidates), np.arange(len(candidates))
    found = {}
    for batch_size in batch_sizes:
        if batch_size in results.batch_sizes:
            points = points_of(where(results.frontier, batch_size=batch_size))
            found[batch_size] = [
                [places[one.key], *_rounded((one.expected, one.expected_lo, one.expected_hi))]
                for one in points
            ]
            continue
        chosen = candidates.frontier(batch_size)
        memory = candidates.memory_bytes(batch_size)
        accuracy = cross_fit.expected(memory, everyone, chosen).accuracy
        columns = (_rounded(one.tolist()) for one in (accuracy.mean, accuracy.low, accuracy.high))
        local = [places[candidates.members[index].key] for index in chosen.tolist()]
        found[batch_size] = [list(row) for row in zip(local, *columns, strict=True)]
    return found


def _comparisons(results: Results, question: Any) -> list[dict[str, Any]]:
    """The answers to a question of the study, for each benchmark and batch size of the sweep."""
    return [
        {"benchmark": name, "batch_size": batch_size, **_plain(row)}
        for name, candidates in results.candidates.items()
        for batch_size in results.batch_sizes
        for row in question(candidates, batch_size)
    ]


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: _json_value(value) for name, value in row.items()}


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [_plain(row) for row in table.to_dict("records")]


def _rounded(values: Iterable[float]) -> list[float | None]:
    return [_json_value(round(value, PLACES)) for value in values]


def _json_value(value: Any) -> Any:
    """The value; null if it is not a number."""
    return None if isinstance(value, float) and value != value else value
