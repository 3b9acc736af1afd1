"""All recommendations at once, held to `recommend` asked at one memory after another."""

import base64
from typing import Any

import numpy as np
import pytest
from support.candidates import rival

from raysweep.analysis.candidates import Candidates
from raysweep.analysis.recommend import Neighbour, Recommendation, recommend
from raysweep.reporting.advice import Advice, advise

BATCHES = (1, 3, 16)


def rivals_by_chance(seed: int, questions: int = 12, rows: int = 40) -> Candidates:
    """Coarse scores and few sizes, so that accuracies, memories and draws are often equal."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 8, (rows, 2)) * 100
    scores = rng.integers(0, 4, (questions, rows)) / 3
    if seed % 2:
        scores[3:5, rng.integers(rows, size=6)] = np.nan  # some have not been asked everything
    means = np.nanmean(scores, axis=0)
    named = {"engine_id": "toy"}
    return Candidates(
        tuple(
            rival(int(a), int(b), float(mean), token_budget=i + 1, **named)
            for i, ((a, b), mean) in enumerate(zip(sizes, means, strict=True))
        ),
        scores,
    )


def answer(
    candidates: Candidates, advice: Advice, batch_size: int, memory_bytes: float
) -> dict[str, Any]:
    """The recommendation as a page puts it together."""
    memory, steps = candidates.device_bytes(batch_size), advice.steps[batch_size]
    within = [step for step in steps if memory[step.best] <= memory_bytes]
    now, able = within[-1], np.array(advice.comparable)
    packed = np.frombuffer(base64.b64decode(now.indistinguishable), np.uint8)
    close = np.zeros(len(able), dtype=bool)
    bits = np.unpackbits(packed)[: len(able)]
    close[: len(bits)] = bits
    less = within[-2] if len(within) > 1 else None
    more = steps[len(within)] if len(within) < len(steps) else None
    return {
        "best": now.best,
        "expected": now.expected,
        "considered": int((memory[able] <= memory_bytes).sum()),
        "compared": now.compared,
        "alternatives": set(able[close & (memory[able] <= memory_bytes)].tolist()),
        "less": less and (less.best, *less.gain),
        "more": more and (more.best, *now.gain),
    }


def asked(found: Recommendation) -> dict[str, Any]:
    """The same by `recommend`. Here the token budget of a candidate is its place, counted from 1."""

    def place(one: Any) -> int:
        return one.configuration.token_budget - 1

    def beside(one: Neighbour | None) -> tuple | None:
        return one and (place(one.candidate), one.gain, one.gain_lo, one.gain_hi)

    return {
        "best": place(found.best),
        "expected": (found.accuracy, found.accuracy_lo, found.accuracy_hi),
        "considered": found.considered,
        "compared": found.compared,
        "alternatives": {place(one.candidate) for one in found.alternatives},
        "less": beside(found.less),
        "more": beside(found.more),
    }


@pytest.mark.parametrize("seed", range(6))
def test_it_says_at_every_memory_what_recommend_says(seed):
    candidates = rivals_by_chance(seed)
    advice = advise(candidates, BATCHES)
    for batch_size, steps in advice.steps.items():
        memory = candidates.device_bytes(batch_size)
        for memory_bytes in np.unique(memory[memory >= memory[steps[0].best]]).tolist():
            expected = asked(recommend(candidates, memory_bytes, batch_size))
            assert answer(candidates, advice, batch_size, memory_bytes) == expected


def test_a_single_configuration_is_the_only_advice():
    advice = advise(rivals_by_chance(0, rows=1), [1])
    assert [(step.best, step.compared) for step in advice.steps[1]] == [(0, 0)]
