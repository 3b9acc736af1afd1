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

The scale threshold has a module of its own, `threshold`.

Where two ways of spending the same memory are compared, the best configuration of each stands for it, and
the difference is paired by question. `favours` names a side only if the interval of the difference
excludes 0. Both were chosen on the same questions that measure them, so a small difference between a side
of many configurations and a side of few is biased towards the former.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from raysweep.analysis.candidates import Candidate, Candidates, Indices
from raysweep.analysis.uncertainty import paired_difference
from raysweep.frontier import frontier_points, largest_batch, pareto
from raysweep.metrics import Floats

# The kinds of KV policies that are compared.
EVICTING, QUANTIZED = "evicting", "quantized"

# The columns of a candidate that the rows of an answer do not have.
LEFT_OUT = ("benchmark", "prompt_tokens", "kv_peak_bytes", "complete")

TidyRow = dict[str, Any]


def serial_scaling(candidates: Candidates) -> list[TidyRow]:
    """Accuracy of one sample over the token budget, for each engine."""
    own = [member for member in candidates.members if not member.configuration.votes]
    own.sort(key=lambda member: member.key)
    return [_tidy(member) for member in own]


def composition(candidates: Candidates, batch_size: int) -> list[TidyRow]:
    """What each point of the frontier is made of, least memory first.

    weights_share  the share of its memory that holds weights, which a batch shares
    """
    memory = candidates.memory_bytes(batch_size)
    return [
        {
            "memory_bytes": float(memory[point]),
            **_tidy(candidates.members[point]),
            "weights_share": float(candidates.weights_bytes[point] / batch_size / memory[point]),
        }
        for point in candidates.frontier(batch_size).tolist()
    ]


def theoretical_batches(candidates: Candidates, memory_bytes: float) -> list[TidyRow]:
    """How many questions each configuration that fits a device holds at once, most questions first.

    estimate     the accuracy by which configurations are chosen
    on_frontier  no other configuration has as large a batch and as good an estimate
    """
    batches = largest_batch(memory_bytes, candidates.weights_bytes, candidates.kv_bytes)
    fits = np.flatnonzero(batches)
    best = pareto(-batches[fits], candidates.estimate[fits])
    rows = [
        {
            "batch_size": int(batches[index]),
            **_tidy(candidates.members[index]),
            "estimate": float(candidates.estimate[index]),
            "on_frontier": bool(on),
        }
        for index, on in zip(fits.tolist(), best.tolist(), strict=True)
    ]
    return sorted(rows, key=lambda row: (-row["batch_size"], -row["accuracy"]))


def parallel_scaling(candidates: Candidates, batch_size: int) -> list[TidyRow]:
    """The best with votes against the best without, at each memory where either changes."""
    groups = candidates.group_sizes
    sides = {"parallel": np.flatnonzero(groups > 1), "serial": np.flatnonzero(groups == 1)}
    return compare(candidates, batch_size, sides)


def eviction_or_bits(candidates: Candidates, batch_size: int) -> list[TidyRow]:
    """For each model and precision, the best evicting policy against the best policy of fewer bits.

    The answer holds for the quantisation that the policies name: HQQ, KIVI and symmetric levels differ.
    Policies that do both are left out. The rows are those of `compare`, with `model` and `weights` added.
    """
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, chosen in enumerate(candidates.configurations):
        groups[chosen.model, chosen.precision].append(index)
    rows = []
    for (model, weights), own in groups.items():
        kinds = {kind: _of_kind(candidates, own, kind) for kind in (EVICTING, QUANTIZED)}
        compared = compare(candidates, batch_size, kinds)
        rows += [{"model": model, "weights": weights, **row} for row in compared]
    return rows


def _of_kind(candidates: Candidates, among: Sequence[int], kind: str) -> Indices:
    own = [index for index in among if candidates.members[index].kv_kind == kind]
    return np.array(own, dtype=np.intp)


def compare(candidates: Candidates, batch_size: int, sides: dict[str, Indices]) -> list[TidyRow]:
    """Two sets of configurations at equal memory, wherever the best of either changes.

    sides  the two sets by name; `difference` is the first less the second

    A row has the memory in bytes, the best configuration of each side (`<side>_engine_id`, ...), the
    paired difference with its interval, and which side it `favours`: a name, or "neither". There is no row
    where one of the sides does not fit.
    """
    (first, one), (second, other) = sides.items()
    rows = []
    for limit in _changes(candidates, batch_size, (one, other)):
        here = candidates.best_within(limit, batch_size, one)
        there = candidates.best_within(limit, batch_size, other)
        if here is None or there is None:
            continue
        difference = paired_difference(candidates.scores[:, here], candidates.scores[:, there])
        low, high = float(difference.low), float(difference.high)
        rows.append(
            {
                "memory_bytes": float(limit),
                **_prefixed(first, candidates.members[here]),
                **_prefixed(second, candidates.members[there]),
                "difference": float(difference.mean),
                "difference_lo": low,
                "difference_hi": high,
                "favours": first if low > 0 else second if high < 0 else "neither",
            }
        )
    return rows


def _changes(candidates: Candidates, batch_size: int, sides: Sequence[Indices]) -> Iterator[float]:
    """Every memory at which one of the sides has a better configuration than before."""
    memory, accuracy = candidates.memory_bytes(batch_size), candidates.accuracy
    steps: list[Floats] = [
        memory[side[frontier_points(memory[side], accuracy[side])]] for side in sides
    ]
    yield from np.unique(np.concatenate(steps)).tolist()


def _tidy(member: Candidate) -> TidyRow:
    return {name: value for name, value in member.columns().items() if name not in LEFT_OUT}


def _prefixed(side: str, member: Candidate) -> TidyRow:
    names = ("engine_id", "token_budget", "group_size", "accuracy")
    columns = member.columns()
    return {f"{side}_{name}": columns[name] for name in names}
