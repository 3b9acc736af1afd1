"""All recommendations at once, held to `recommend` asked at one memory after another."""

import base64

import numpy as np
import pytest
from support.candidates import rival

from raysweep.analysis.candidates import Candidates
from raysweep.analysis.recommend import Recommendation, recommend
from raysweep.reporting.advice import Advice, AtBatch, advise

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
            rival(int(a), int(b), float(mean), token_budget=i, **named)
            for i, ((a, b), mean) in enumerate(zip(sizes, means, strict=True))
        ),
        scores,
    )


def answer(candidates: Candidates, advice: Advice, at: AtBatch, memory_bytes: float) -> dict:
    """The recommendation as a page puts it together."""
    memory = candidates.device_bytes(at.batch_size)
    within = [step for step in at.steps if memory[step.best] <= memory_bytes]
    best = within[-1].best
    able = np.array(advice.comparable)
    packed = np.frombuffer(base64.b64decode(advice.indistinguishable[best]), np.uint8)
    close = np.unpackbits(packed)[: len(able)].astype(bool)
    behind = within[-1] if len(within) < len(at.steps) else None
    return {
        "best": best,
        "optimism": [value for start, value in at.optimism if start <= memory_bytes][-1],
        "considered": int((memory[able] <= memory_bytes).sum()),
        "alternatives": set(able[close & (memory[able] <= memory_bytes)].tolist()),
        "less": within[-2].best if len(within) > 1 else None,
        "more": at.steps[len(within)].best if behind else None,
        "more_hi": behind.behind_hi if behind else None,
    }


def asked(found: Recommendation) -> dict:
    """The same by `recommend`. Here the token budget of a candidate is its place."""
    place = lambda one: one.configuration.token_budget  # noqa: E731
    return {
        "best": place(found.best),
        "optimism": pytest.approx(found.optimism, abs=1e-12),
        "considered": found.considered,
        "alternatives": {place(one.candidate) for one in found.alternatives},
        "less": place(found.less.candidate) if found.less else None,
        "more": place(found.more.candidate) if found.more else None,
        "more_hi": pytest.approx(-found.more.behind_lo, abs=1e-12) if found.more else None,
    }


@pytest.mark.parametrize("seed", range(6))
def test_it_says_at_every_memory_what_recommend_says(seed):
    candidates = rivals_by_chance(seed)
    advice = advise(candidates, BATCHES)
    for at in advice.at_batch:
        memory = candidates.device_bytes(at.batch_size)
        for memory_bytes in np.unique(memory[memory >= memory[at.steps[0].best]]).tolist():
            expected = asked(recommend(candidates, memory_bytes, at.batch_size))
            assert answer(candidates, advice, at, memory_bytes) == expected


def test_a_single_configuration_is_the_only_advice():
    advice = advise(rivals_by_chance(0, rows=1), [1])
    assert [step.best for step in advice.at_batch[0].steps] == [0]
    assert len(advice.indistinguishable) == 1
