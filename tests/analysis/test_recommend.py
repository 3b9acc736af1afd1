"""Which configuration is best for a memory, what is indistinguishable from it, and what more would give."""

import numpy as np
import pytest
from support.candidates import contest, rival

from raysweep.analysis.candidates import Candidates
from raysweep.analysis.ladder import ladders
from raysweep.analysis.recommend import recommend
from raysweep.errors import ConfigError

SMALL, LARGE = 1_000, 4_000  # bytes of weights


def by_hand() -> Candidates:
    return contest(
        rival(SMALL, 100, 0.2),
        rival(SMALL, 500, 0.5, token_budget=500),
        rival(SMALL, 900, 0.49, token_budget=900),
        rival(LARGE, 200, 0.7),
        rival(LARGE, 900, 0.9, token_budget=500),
        noise=0.01,
    )


@pytest.mark.parametrize(
    ("memory_bytes", "batch_size", "weights_bytes", "token_budget"),
    [
        (1_100, 1, SMALL, 100),
        (1_500, 1, SMALL, 500),
        (4_500, 1, LARGE, 100),
        (4_900, 1, LARGE, 500),
        (4_700, 4, SMALL, 500),
        (4_800, 4, LARGE, 100),
        (7_600, 4, LARGE, 500),
    ],
)
def test_the_most_accurate_that_fits_is_best(memory_bytes, batch_size, weights_bytes, token_budget):
    found = recommend(by_hand(), memory_bytes, batch_size)
    assert (found.best.weights_bytes, found.best.configuration.token_budget) == (
        weights_bytes,
        token_budget,
    )
    needed = weights_bytes + batch_size * found.best.kv_bytes
    assert found.best_memory_bytes == needed <= memory_bytes


def test_of_equals_the_one_of_least_memory_is_best_and_the_others_are_named():
    found = recommend(contest(rival(SMALL, 900, 0.5), rival(SMALL, 500, 0.5)), 10_000)
    assert found.best.kv_bytes == 500
    (other,) = found.alternatives
    assert (other.candidate.kv_bytes, other.behind, other.behind_lo, other.behind_hi) == (
        900,
        0,
        0,
        0,
    )


def test_what_a_paired_difference_separates_from_the_best_is_no_alternative():
    found = recommend(by_hand(), 10_000)
    assert found.best.accuracy == 0.9
    assert found.alternatives == ()
    noisy = contest(rival(SMALL, 1, 0.5), rival(SMALL, 2, 0.52), noise=0.3)
    assert len(recommend(noisy, 10_000).alternatives) == 1


def test_what_less_and_more_memory_would_give_are_the_neighbours_on_the_frontier():
    found = recommend(by_hand(), 4_500)
    assert found.less is not None and found.more is not None
    assert (found.less.candidate.configuration.token_budget, found.less.memory_bytes) == (
        500,
        1_500,
    )
    assert found.less.expected == pytest.approx(0.5, abs=0.01)
    assert found.less.gain_lo > 0
    assert (found.more.candidate.configuration.token_budget, found.more.memory_bytes) == (
        500,
        4_900,
    )
    assert found.more.gain == pytest.approx(0.2, abs=0.01)
    assert found.more.gain_lo > 0
    assert recommend(by_hand(), 10_000).more is None
    assert recommend(by_hand(), 1_100).less is None


def test_steps_that_share_an_expectation_gain_nothing_and_have_no_interval():
    rng = np.random.default_rng(0)
    rows = tuple(rival(SMALL + index, 1, 0.5) for index in range(30))
    equals = Candidates(rows, rng.binomial(1, 0.5, (40, 30)).astype(float))
    (ladder,) = ladders(equals, [1])
    gains = [ladder.gain(step) for step in range(len(ladder.steps) - 1)]
    assert any(gain == 0 for gain, _, _ in gains)
    for (gain, low, high), expected in zip(
        gains, np.diff(ladder.expectation.accuracy.mean), strict=True
    ):
        assert gain == pytest.approx(expected)
        assert (low, high) == (0, 0) if gain == 0 else low < gain < high


def test_what_is_expected_of_the_best_of_many_is_less_than_what_was_measured():
    rng = np.random.default_rng(0)
    rows = tuple(rival(SMALL + index, 1, 0.5) for index in range(30))
    equals = Candidates(rows, rng.binomial(1, 0.5, (40, 30)).astype(float))
    found = recommend(equals, 10_000)
    assert found.measured > 0.6  # the best of 30 that are all correct half the time
    assert found.accuracy < found.measured - 0.05
    assert found.accuracy_lo < 0.5 < found.accuracy_hi
    alone = recommend(equals.take([0]), 10_000)
    assert alone.accuracy == alone.measured
    assert (alone.considered, alone.compared) == (1, 0)


def test_equals_are_alternatives_however_many_there_are():
    rng = np.random.default_rng(0)
    rows = tuple(rival(SMALL + index, 1, 0.5) for index in range(400))
    equals = Candidates(rows, rng.binomial(1, 0.5, (40, 400)).astype(float))
    found = recommend(equals, 10_000)
    assert found.compared == 399
    assert len(found.alternatives) > 0.98 * 399
    assert all(one.behind_lo <= 0 for one in found.alternatives)


def test_nothing_that_fits_names_the_smallest_there_is():
    with pytest.raises(ConfigError) as error:
        recommend(by_hand(), 900, batch_size=2)
    assert "recommend.memory_gb: no configuration of sums fits in 9e-07 GB for a batch of 2" in str(
        error
    )
    assert "the smallest is toy-1000.bf16.full with 100 tokens, which takes 1.2e-06 GB" in str(
        error
    )


def test_a_limit_on_tokens_is_kept():
    assert recommend(by_hand(), 10_000, max_token_budget=499).best.configuration.token_budget == 100
    with pytest.raises(ConfigError, match=r"max_token_budget: 50 is below every.*smallest is 100"):
        recommend(by_hand(), 10_000, max_token_budget=50)


def test_what_was_measured_on_fewer_questions_is_left_out():
    candidates = by_hand()
    candidates.scores[3:, 4] = np.nan
    assert recommend(candidates, 10_000).best.accuracy == 0.7
