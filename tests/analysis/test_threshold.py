"""The scale threshold is found where one was planted, and not where there is none."""

from dataclasses import replace

import numpy as np
import pytest
from support import planted_thresholds
from support.planted_thresholds import SIZES, doublings, tokens, with_threshold

from raysweep.analysis.candidates import Candidates
from raysweep.analysis.threshold import (
    POOLED,
    Threshold,
    find_thresholds,
)

THRESHOLD = 4.2e9
QUESTIONS, DRAWS = 198, 100

MEMORY = np.array(
    [member.weights_bytes + member.kv_bytes for member in planted_thresholds.grid()], dtype=float
)
WITHOUT = {
    "memory alone counts": 0.6 * np.log2(MEMORY / MEMORY.min()) - 2,
    "nothing counts": np.zeros(len(MEMORY)),
    "weights alone count": 0.6 * doublings("weights_bytes") - 2,
    "tokens alone count": 0.5 * tokens() - 2,
    "both count alike at every size": 0.4 * doublings("weights_bytes") + 0.4 * tokens() - 2,
    "weights count, then nothing does": 0.8 * np.minimum(doublings("weights_bytes"), 3) - 2,
}


def find_threshold(candidates: Candidates, batch_size: int, seed: int) -> Threshold:
    return find_thresholds({"a": candidates}, [batch_size], seed)["a", batch_size]


def found(ability: np.ndarray, seed: int, questions: int = QUESTIONS) -> Threshold:
    return find_threshold(
        planted_thresholds.candidates(ability, questions, seed), batch_size=1, seed=seed
    )


@pytest.mark.slow
def test_a_planted_threshold_lies_in_the_interval_in_90_of_100_draws():
    ability = with_threshold(THRESHOLD)
    answers = [found(ability, seed) for seed in range(DRAWS)]
    held = [a for a in answers if a.decided and a.low and a.high and a.low <= THRESHOLD <= a.high]
    assert len(held) >= 0.9 * DRAWS
    assert np.median([a.high / a.low for a in held if a.low and a.high]) < 2**2.5


@pytest.mark.slow
def test_where_none_was_planted_nothing_is_decided_in_90_of_100_draws():
    kinds = list(WITHOUT.values())
    answers = [found(kinds[seed % len(kinds)], seed) for seed in range(DRAWS)]
    assert sum(not answer.decided for answer in answers) >= 0.9 * DRAWS


@pytest.mark.parametrize("threshold", [2.0e9, 4.2e9, 9.0e9])
def test_it_is_found_where_it_was_planted(threshold: float):
    answer = found(with_threshold(threshold), seed=1)
    assert answer.decided
    assert answer.low is not None and answer.high is not None
    assert answer.low <= threshold <= answer.high
    assert answer.weights_bytes in SIZES.astype(int)


@pytest.mark.parametrize("kind", WITHOUT)
def test_without_one_it_says_so(kind: str):
    answer = found(WITHOUT[kind], seed=1)
    assert not answer.decided
    assert answer.weights_bytes is answer.low is answer.high is None


def test_few_questions_decide_nothing():
    answer = found(with_threshold(THRESHOLD), seed=0, questions=8)
    assert not answer.decided and answer.p_value is not None and answer.p_value > 0.05


def test_the_advantage_of_weights_is_positive_below_and_negative_above():
    answer = found(with_threshold(THRESHOLD), seed=2)
    for one in answer.advantages:
        assert one.low <= one.mean <= one.high
        if one.contests >= 3:  # a size that is rarely the best says little
            assert (one.mean > 0) == (one.weights_bytes < THRESHOLD)


def test_what_only_seems_to_be_ahead_is_said_of_all_sizes_together():
    assert "more weights beat" in found(WITHOUT["weights alone count"], seed=0).reason
    assert "more tokens beat" in found(WITHOUT["tokens alone count"], seed=0).reason
    assert "is not significant" in found(WITHOUT["nothing counts"], seed=0).reason


def test_the_same_scenarios_give_the_same_answer():
    assert found(with_threshold(THRESHOLD), seed=3) == found(with_threshold(THRESHOLD), seed=3)


def test_too_few_sizes_or_questions_are_said_to_be_too_few():
    whole = planted_thresholds.candidates(with_threshold(THRESHOLD), 20, 0)
    two = whole.take(np.flatnonzero(whole.weights_bytes < 1.1 * SIZES[1]))
    assert "2 effective sizes" in find_threshold(two, 1, 0).reason
    few = planted_thresholds.candidates(with_threshold(THRESHOLD), 5, 0)
    assert "5 questions are too few" in find_threshold(few, 1, 0).reason


def test_questions_without_samples_are_borne():
    whole = planted_thresholds.candidates(with_threshold(THRESHOLD), QUESTIONS, 1)
    whole.scores[::9, ::7] = np.nan
    assert find_threshold(whole, 1, 0).decided


def test_five_seeds_give_one_verdict():
    few = planted_thresholds.candidates(with_threshold(THRESHOLD), 48, 1)
    none = planted_thresholds.candidates(WITHOUT["both count alike at every size"], 48, 1)
    for candidates in (few, none):
        answers = [find_threshold(candidates, 1, seed) for seed in range(5)]
        assert len({answer.decided for answer in answers}) == 1
        assert len({answer.weights_bytes for answer in answers}) == 1


def test_batch_sizes_have_thresholds_of_their_own():
    candidates = planted_thresholds.candidates(with_threshold(THRESHOLD), 60, 1)
    both = find_thresholds({"a": candidates}, [1, 16], 0)
    assert both["a", 1] == find_threshold(candidates, 1, 0)
    assert both["a", 1].advantages != both["a", 16].advantages


def test_a_second_change_is_not_announced_as_one_threshold():
    """Weights count below 1.2 GB and above 5 GB, and tokens in between."""
    size = np.log2(planted_thresholds.candidates(np.zeros(len(MEMORY)), 2, 0).weights_bytes)
    low, high, least = np.log2([1.2e9, 5e9, SIZES[0]])
    grown = np.minimum(size, low) - least + np.maximum(size - high, 0)
    answer = found(1.2 * grown + 0.4 * tokens() - 3, seed=1, questions=400)
    assert not answer.decided
    assert answer.reason.startswith("there is more than one change: more weights win at")


def test_a_smooth_law_stands_beside_and_says_whether_it_fits():
    answer = found(with_threshold(THRESHOLD), seed=1, questions=60)
    assert answer.smooth is not None and answer.smooth.decided
    assert answer.smooth.low is not None and answer.smooth.high is not None
    assert answer.smooth.low <= THRESHOLD <= answer.smooth.high
    assert answer.smooth.fit_p is not None and 0 < answer.smooth.fit_p <= 1
    flat = found(WITHOUT["nothing counts"], seed=1, questions=60)
    assert flat.smooth is not None and not flat.smooth.decided


def named(candidates: Candidates, benchmark: str) -> Candidates:
    members = tuple(replace(member, benchmark=benchmark) for member in candidates.members)
    return Candidates(members, candidates.scores)


def benchmarks(*abilities: np.ndarray, questions: int) -> dict[str, Candidates]:
    return {
        name: named(planted_thresholds.candidates(ability, questions, seed), name)
        for seed, (name, ability) in enumerate(zip("ab", abilities, strict=True))
    }


def test_benchmarks_that_agree_decide_together_what_none_decides_alone():
    slight = with_threshold(THRESHOLD, weights=0.85)
    several = benchmarks(slight, slight, questions=8)
    answers = find_thresholds(several, [1], 0)
    together = answers.pop((POOLED, 1))
    assert not any(answer.decided for answer in answers.values())
    assert together.decided and together.low is not None and together.high is not None
    assert together.low <= THRESHOLD <= together.high
    assert together.agreement_p is not None and together.agreement_p > 0.05
    assert {answer.agreement_p for answer in answers.values()} == {None}


def test_benchmarks_that_differ_are_said_to_differ():
    several = benchmarks(with_threshold(9e9), WITHOUT["tokens alone count"], questions=QUESTIONS)
    together = find_thresholds(several, [1], 0)[POOLED, 1]
    assert together.agreement_p is not None and together.agreement_p < 0.01


def test_benchmarks_are_pooled_over_the_configurations_that_all_of_them_have():
    several = benchmarks(with_threshold(THRESHOLD), with_threshold(THRESHOLD), questions=30)
    apart = np.flatnonzero(several["b"].weights_bytes <= SIZES[6])
    several["b"] = several["b"].take(apart.tolist())
    together = find_thresholds(several, [1], 0)[POOLED, 1]
    assert max(one.weights_bytes for one in together.advantages) <= SIZES[6]
    several["b"] = several["b"].take(
        np.flatnonzero(several["b"].weights_bytes <= SIZES[1]).tolist()
    )
    assert (POOLED, 1) not in find_thresholds(several, [1], 0)
