"""The study's questions, put to the scenarios of one benchmark. Pure: no I/O.

"Not All Bits Are Equal" (arXiv 2510.10964) asks where a byte of memory is best spent. Each function here
answers one of its questions as a tidy list of rows (dicts of plain values), to be drawn or tabulated:

    serial_scaling       what do thinking tokens buy a single sample?              its figures 1, 3, 4
    composition          what are the best configurations made of?                 2
    theoretical_batches  how many questions fit at once?                           3
    parallel_scaling     from which memory on, and with how many votes, is it
                         better to vote than to think longer?                      5
    eviction_or_bits     for a model, is it better to evict tokens or to store
                         them in fewer bits?                                       8, 9
    the scale threshold  is in `threshold`

Where two ways of spending the same memory are compared, each is represented by its best configuration,
and the difference is paired by question. `favours` names a side only if its interval excludes 0. The
representatives were chosen on the same questions, so a small difference between a side of many
configurations and one of few flatters the former.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raysweep.analysis.candidates import Candidates
from raysweep.analysis.uncertainty import paired_difference
from raysweep.frontier import largest_batch, pareto
from raysweep.metrics import Floats
from raysweep.spec import WeightSpec

EVICTING, QUANTIZED = "evicting", "quantized"  # kinds of KV policies
CONFIGURATION = (
    *("engine_id", "model", "weight_method", "weight_bits", "kv_policy", "kv_kind"),
    *("token_budget", "group_size", "weights_bytes", "kv_bytes"),
    *("accuracy", "accuracy_lo", "accuracy_hi"),
)

Row = dict[str, Any]
Indices = NDArray[np.intp]


def serial_scaling(candidates: Candidates) -> list[Row]:
    """Accuracy of one sample over the token budget, for each engine."""
    rows = [row for row in candidates.rows if row["group_size"] == 1]
    rows.sort(key=lambda row: (row["engine_id"], row["token_budget"]))
    return [_configuration(row) for row in rows]


def composition(candidates: Candidates, batch_size: int) -> list[Row]:
    """What each point of the frontier is made of, least memory first.

    weights_share  of its memory that is weights, which a batch shares
    """
    memory = candidates.memory_bytes(batch_size)
    points = np.flatnonzero(pareto(memory, candidates.accuracy))
    return [
        {
            "memory_bytes": float(memory[point]),
            **_configuration(candidates.rows[point]),
            "weights_share": float(candidates.weights_bytes[point] / batch_size / memory[point]),
        }
        for point in points[np.argsort(memory[points], kind="stable")].tolist()
    ]


def theoretical_batches(candidates: Candidates, memory_bytes: float) -> list[Row]:
    """For each configuration that fits a device, how many questions it holds at once; the frontier of
    batch size against accuracy is marked. Most questions first."""
    batches = largest_batch(memory_bytes, candidates.weights_bytes, candidates.kv_bytes)
    fits = np.flatnonzero(batches)
    best = pareto(-batches[fits], candidates.accuracy[fits])
    rows = [
        {
            "batch_size": int(batches[index]),
            **_configuration(candidates.rows[index]),
            "on_frontier": bool(on),
        }
        for index, on in zip(fits.tolist(), best.tolist(), strict=True)
    ]
    return sorted(rows, key=lambda row: (-row["batch_size"], -row["accuracy"]))


def parallel_scaling(candidates: Candidates, batch_size: int) -> list[Row]:
    """At each memory where the best configuration changes, the best with votes against the best without."""
    groups = candidates.column("group_size")
    sides = {"parallel": np.flatnonzero(groups > 1), "serial": np.flatnonzero(groups == 1)}
    return compare(candidates, batch_size, sides)


def eviction_or_bits(candidates: Candidates, batch_size: int) -> list[Row]:
    """For each model and precision, the best evicting policy against the best of fewer bits.

    Policies that do both are left out. Rows as `compare` has them, with `model` and `weights` besides.
    """
    members: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, row in enumerate(candidates.rows):
        weights = WeightSpec(row["weight_method"], row["weight_bits"]).precision
        members[row["model"], weights].append(index)
    rows = []
    for (model, weights), own in members.items():
        kinds = {
            kind: np.array([i for i in own if candidates.rows[i]["kv_kind"] == kind], dtype=np.intp)
            for kind in (EVICTING, QUANTIZED)
        }
        found = compare(candidates, batch_size, kinds)
        rows += [{"model": model, "weights": weights, **row} for row in found]
    return rows


def compare(candidates: Candidates, batch_size: int, sides: dict[str, Indices]) -> list[Row]:
    """Two sets of configurations at equal memory, wherever the best of either changes.

    sides  by their names, the first less the second is `difference`

    A row has the memory in bytes, the best configuration of each side (`<side>_engine_id`, ...), the
    paired difference with its interval, and which side it `favours`: a name, or "neither". No row where
    one side does not fit.
    """
    memory = candidates.memory_bytes(batch_size)
    (first, one), (second, other) = sides.items()
    rows = []
    for limit in _changes(memory, candidates.accuracy, (one, other)):
        here = best_within(memory, candidates.accuracy, one, limit)
        there = best_within(memory, candidates.accuracy, other, limit)
        if here is None or there is None:
            continue
        difference = paired_difference(candidates.scores[:, here], candidates.scores[:, there])
        low, high = float(difference.low), float(difference.high)
        rows.append(
            {
                "memory_bytes": float(limit),
                **_prefixed(first, candidates.rows[here]),
                **_prefixed(second, candidates.rows[there]),
                "difference": float(difference.mean),
                "difference_lo": low,
                "difference_hi": high,
                "favours": first if low > 0 else second if high < 0 else "neither",
            }
        )
    return rows


def best_within(memory: Floats, accuracy: Floats, among: Iterable[int], limit: float) -> int | None:
    """The most accurate of some configurations within a memory, of equals the one of least memory."""
    members = np.asarray(among, dtype=np.intp)
    fits = members[memory[members] <= limit]
    if fits.size == 0:
        return None
    return int(min(fits, key=lambda index: (-accuracy[index], memory[index])))


def _changes(memory: Floats, accuracy: Floats, sides: Sequence[Indices]) -> Iterator[float]:
    """Every memory at which one of the sides has a better configuration than before."""
    steps = [memory[side[pareto(memory[side], accuracy[side])]] for side in sides]
    yield from np.unique(np.concatenate(steps)).tolist()


def _configuration(row: Any) -> Row:
    return {name: row[name] for name in CONFIGURATION}


def _prefixed(side: str, row: Any) -> Row:
    names = ("engine_id", "token_budget", "group_size", "accuracy")
    return {f"{side}_{name}": row[name] for name in names}
