"""How much longer each precision and each KV policy makes models think. Pure: no I/O.

The one idea: every engine is compared with a reference, which is the same model with the most bits and the
full cache. An engine that differs from it in its precision alone shows what fewer bits cost in tokens. One
that differs in its policy alone shows what a smaller cache costs. These two kinds are pooled over the models,
and judged together within a benchmark.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from raysweep.analysis.configurations import WEIGHT_COLUMNS
from raysweep.analysis.inflation import Ratio, decided, length_ratio
from raysweep.kv_policy import kind_of
from raysweep.reducing.partitions import Reduced
from raysweep.run_config import Sweep
from raysweep.storage.comparison_schemas import INFLATION

# A column for each way in which a trace's thinking ends: see `finish` in storage/schemas.py.
ENDINGS = {
    "closed": "stop",
    "ended": "end",
    "looped": "loop",
    "cut": "budget",
    "given_up": "deadline",
}

# What an engine may differ in from its reference.
PRECISION, KV_POLICY = "precision", "kv_policy"

# An engine and its reference.
Pair = tuple[Reduced, Reduced]


def inflation_table(pairs: Sequence[Pair], token_budget: int) -> pa.Table:
    """inflation.parquet: a row for each pair."""
    rows = [{**_row(one, reference), "token_budget": token_budget} for one, reference in pairs]
    return pa.Table.from_pylist(rows, schema=INFLATION)


def inflation_found(pairs: Sequence[Pair], token_budget: int) -> list[dict[str, Any]]:
    """What each precision and each policy costs over all models, for summary.json.

    `differs` is whether the ratio differs from 1 if all of the benchmark's, `compared` in number, are judged
    together. Shares of traces are of all these models' traces.
    """
    found = []
    for benchmark, choices in _choices(pairs).items():
        ratios = [
            length_ratio([(o.lengths, r.lengths) for o, r in own]) for own in choices.values()
        ]
        for (choice, own), ratio, differs in zip(
            choices.items(), ratios, decided(ratios), strict=True
        ):
            found.append(
                {
                    "benchmark": benchmark,
                    **dict(zip(("axis", "value", "reference"), choice, strict=True)),
                    "models": len(own),
                    "token_budget": token_budget,
                    **_ratio_columns(ratio),
                    "differs": differs,
                    "compared": len(choices),
                    **_shares([one for one, _ in own]),
                    **_shares([reference for _, reference in own], "reference_"),
                }
            )
    return found


def pairs_with_references(reduced: Sequence[Reduced], sweep: Sweep) -> list[Pair]:
    """Every engine that has a reference. None where an extension fills every budget."""
    if sweep.forcing.extension:
        return []
    engines = [one for one in reduced if not one.engine.control]
    references: dict[tuple[str, str], Reduced] = {}
    for one in engines:
        place = (one.engine.model.name, one.benchmark)
        if kind_of(one.engine.kv_policy) == "full" and (
            place not in references or _bits(one) > _bits(references[place])
        ):
            references[place] = one
    found = [(one, references.get((one.engine.model.name, one.benchmark))) for one in engines]
    return [(one, reference) for one, reference in found if reference is not None]


def _bits(one: Reduced) -> int:
    return one.engine.weights.bits


def _choices(pairs: Sequence[Pair]) -> Mapping[str, Mapping[tuple[str, str, str], list[Pair]]]:
    """By benchmark and choice, the pairs that differ in this choice alone; precisions first."""
    found: dict[str, dict[tuple[str, str, str], list[Pair]]] = defaultdict(dict)
    for one, reference in pairs:
        if choice := _difference(one, reference):
            found[one.benchmark].setdefault(choice, []).append((one, reference))
    return {
        benchmark: dict(sorted(choices.items(), key=lambda entry: entry[0][0] != PRECISION))
        for benchmark, choices in found.items()
    }


def _difference(one: Reduced, reference: Reduced) -> tuple[str, str, str] | None:
    """The axis, value and reference's value of the only choice in which two engines differ."""
    weights = one.engine.weights.slug, reference.engine.weights.slug
    policies = one.engine.kv_policy.slug, reference.engine.kv_policy.slug
    if (weights[0] != weights[1]) == (policies[0] != policies[1]):
        return None
    return (PRECISION, *weights) if weights[0] != weights[1] else (KV_POLICY, *policies)


def _row(one: Reduced, reference: Reduced) -> dict[str, Any]:
    engine = one.engine
    shares = _shares([reference], "reference_")
    measured = ~np.isnan(one.lengths + reference.lengths)
    return {
        "benchmark": one.benchmark,
        "engine_id": engine.engine_id,
        "reference_id": reference.engine.engine_id,
        "model": engine.model.name,
        **{column: getattr(engine.weights, name) for column, name in WEIGHT_COLUMNS.items()},
        "kv_policy": engine.kv_policy.slug,
        "complete": not (one.samples_missing or reference.samples_missing),
        "mean_tokens": _mean(one.lengths[measured]),
        "reference_mean_tokens": _mean(reference.lengths[measured]),
        **_ratio_columns(length_ratio([(one.lengths, reference.lengths)])),
        **_shares([one]),
        **{name: share for name, share in shares.items() if name in INFLATION.names},
    }


def _mean(lengths: np.ndarray) -> float | None:
    return float(lengths.mean()) if len(lengths) else None


def _ratio_columns(ratio: Ratio) -> dict[str, Any]:
    low, high = ratio.interval()
    return {
        "n_questions": ratio.n_questions,
        "ratio": _number(ratio.value),
        "ratio_lo": _number(low),
        "ratio_hi": _number(high),
    }


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _shares(of: Sequence[Reduced], prefix: str = "") -> dict[str, float | None]:
    """The share of these engines' traces by the way they ended."""
    counts = sum((Counter(one.finishes) for one in of), Counter())
    traces = counts.total()
    return {
        prefix + column: counts[finish] / traces if traces else None
        for column, finish in ENDINGS.items()
    }
