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

Where two ways of spending the same memory are compared, the best configuration of each stands for it. A row
names those that all questions choose by their estimates (`shrinkage`), as the frontier is chosen. The
difference between the two sides is another number: they are chosen on one half of the questions and judged
on the other (`halving`), because the best of many looks better than it is on the questions that chose it.
`favours` names a side only if the interval excludes 0, and intervals are simultaneous: all rows of an answer
hold together with 95% probability (`claims`).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from raysweep.analysis.candidates import Candidate, Candidates, Indices
from raysweep.analysis.claims import Claim, judge
from raysweep.analysis.halving import SEED, Pairing, pairings
from raysweep.frontier import largest_batch, pareto

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
    return sorted(rows, key=lambda row: (-row["batch_size"], -row["estimate"]))


def parallel_scaling(candidates: Candidates, batch_size: int) -> list[TidyRow]:
    """The best with votes against the best without, over memory."""
    groups = candidates.group_sizes
    sides = {"parallel": np.flatnonzero(groups > 1), "serial": np.flatnonzero(groups == 1)}
    return compare(candidates, batch_size, sides)


def eviction_or_bits(candidates: Candidates, batch_size: int) -> list[TidyRow]:
    """For each model and precision, the best evicting policy against the best policy of fewer bits.

    The answer holds for the quantisation that the policies name: HQQ, KIVI and symmetric levels differ.
    Policies that do both are left out. The rows are those of `compare`, with `model` and `weights` added.
    """
    held = _eviction_pairings(candidates, batch_size)
    rows = _rows(
        candidates, (EVICTING, QUANTIZED), [one for those in held.values() for one in those]
    )
    named = [group for group, those in held.items() for _ in those]
    return [
        {"model": model, "weights": weights, **row}
        for (model, weights), row in zip(named, rows, strict=True)
    ]


def evicting_by_weights(candidates: Candidates, batch_size: int) -> dict[tuple[str, str], Claim]:
    """How much better evicting is than fewer bits for each model and precision, all compared together.

    The difference of the pairings of `eviction_or_bits`, averaged over their memories.
    """
    held = _eviction_pairings(candidates, batch_size)
    if not held:
        return {}
    every = candidates.halvings.differences([one for those in held.values() for one in those])
    ends = np.cumsum([len(those) for those in held.values()])
    columns = np.split(np.arange(ends[-1]), ends[:-1])
    return dict(zip(held, judge(every.means(columns), SEED), strict=True))


def _eviction_pairings(
    candidates: Candidates, batch_size: int
) -> dict[tuple[str, str], list[Pairing]]:
    """By model and precision; none where a kind of policy is missing."""
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, chosen in enumerate(candidates.configurations):
        groups[chosen.model, chosen.precision].append(index)
    held = {}
    for group, own in groups.items():
        sides = (of_kind(candidates, own, kind) for kind in (EVICTING, QUANTIZED))
        if found := pairings(candidates, batch_size, *sides):
            held[group] = found
    return held


def of_kind(candidates: Candidates, among: Sequence[int], kind: str) -> Indices:
    """Those whose KV policy is of a kind."""
    own = [index for index in among if candidates.members[index].kv_kind == kind]
    return np.array(own, dtype=np.intp)


def compare(candidates: Candidates, batch_size: int, sides: Mapping[str, Indices]) -> list[TidyRow]:
    """Two sets of configurations at equal memory, at each memory of a fixed scale that admits new ones.

    sides  the two sets by name; `difference` is the first less the second

    A row has the memory in bytes, the best configuration of each side (`<side>_engine_id`, ...), the
    difference with its interval and adjusted `p_value`, and which side it `favours`: a name, or "neither".
    The scale starts where both sides have a configuration that fits.
    """
    return _rows(candidates, tuple(sides), pairings(candidates, batch_size, *sides.values()))


def _rows(candidates: Candidates, sides: tuple[str, ...], held: Sequence[Pairing]) -> list[TidyRow]:
    if not held:
        return []
    claims = judge(candidates.halvings.differences(held), SEED)
    return [
        _row(candidates, sides, pairing, claim) for pairing, claim in zip(held, claims, strict=True)
    ]


def _row(candidates: Candidates, sides: tuple[str, ...], pairing: Pairing, claim: Claim) -> TidyRow:
    first, second = sides
    best = [side[candidates.estimate[side].argmax()] for side in (pairing.one, pairing.other)]
    return {
        "memory_bytes": pairing.memory_bytes,
        **_prefixed(first, candidates, best[0]),
        **_prefixed(second, candidates, best[1]),
        "difference": claim.effect,
        "difference_lo": claim.low,
        "difference_hi": claim.high,
        "p_value": claim.p_value,
        "favours": {1: first, -1: second, 0: "neither"}[claim.sign],
    }


def _tidy(member: Candidate) -> TidyRow:
    return {name: value for name, value in member.columns().items() if name not in LEFT_OUT}


def _prefixed(side: str, candidates: Candidates, index: int) -> TidyRow:
    names = ("engine_id", "token_budget", "group_size", "accuracy")
    columns = candidates.members[index].columns()
    own = {f"{side}_{name}": columns[name] for name in names}
    return {**own, f"{side}_estimate": float(candidates.estimate[index])}
