"""Verdicts on the study's findings, on sweeps made by hand whose truth is known."""

from typing import Any

import numpy as np
import pytest
from support.candidates import contest, rival

from raysweep.analysis.candidates import Candidate, Candidates
from raysweep.analysis.claims import Claim
from raysweep.analysis.threshold import SizeAdvantage, Threshold
from raysweep.analysis.verdicts import (
    FAILS,
    FINDINGS,
    HOLDS,
    NOT_ASKED,
    OPEN,
    Part,
    Verdict,
    find_verdicts,
)

SIZES = (10, 20, 40, 80)
UNKNOWN = Threshold(False, "too few sizes")


def verdict(finding: str, *rivals: Candidate, noise: float = 0.02, seed: int = 0) -> Verdict:
    found = find_verdicts(contest(*rivals, noise=noise, seed=seed), 1, UNKNOWN)
    return next(one for one in found if one.finding == finding)


def voting(*gains: float) -> list[Candidate]:
    """Each effective size alone and with four votes, which gain so much."""
    return [
        member
        for size, gain in zip(SIZES, gains, strict=True)
        for member in (rival(size, 5, 0.5), rival(size, 20, 0.5 + gain, group_size=4))
    ]


def caching(*gains: float) -> list[Candidate]:
    """Each effective size with a cache of fewer bits, and one that evicts, which gains so much."""
    return [
        member
        for size, gain in zip(SIZES, gains, strict=True)
        for member in (
            rival(size, 5, 0.5, kv_kind="quantized", kv_policy="quantized-4"),
            rival(size, 5, 0.5 + gain, kv_kind="evicting", kv_policy="r_kv-64"),
        )
    ]


def bits(
    model: str, weight_bits: int, weights_bytes: int, accuracy: float, **more: Any
) -> Candidate:
    return rival(
        weights_bytes,
        5,
        accuracy,
        model=model,
        weight_method="gptq",
        weight_bits=weight_bits,
        weight_group_size=128,
        **more,
    )


def test_every_finding_has_a_verdict_in_the_order_of_the_study():
    found = find_verdicts(contest(*voting(0, 0, 0, 0)), 1, UNKNOWN)
    assert [one.finding for one in found] == list(FINDINGS)


@pytest.mark.parametrize(
    ("gains", "expected"),
    [
        ((0, 0, 0.2, 0.2), HOLDS),
        ((0.2, 0.2, 0.2, 0.2), FAILS),  # they pay for the smaller sizes too
        ((0, 0, -0.1, -0.1), FAILS),  # they cost accuracy where they should pay
        ((0, 0, 0, 0), OPEN),  # they may pay by little
    ],
)
def test_votes_pay_only_for_larger_sizes(gains, expected):
    found = verdict("votes", *voting(*gains))
    assert found.verdict == expected
    larger, smaller = found.parts
    assert larger.claim.effect == pytest.approx(np.mean(gains[2:]), abs=0.02)
    assert smaller.claim.effect == pytest.approx(np.mean(gains[:2]), abs=0.02)
    assert found.comparisons == 4


@pytest.mark.parametrize(
    ("gains", "expected"),
    [
        ((0.2, 0.2, 0, 0), HOLDS),
        ((0.2, 0.2, 0.2, 0.2), OPEN),  # the advantage may fall by little
        ((0.1, 0.1, 0.2, 0.2), FAILS),  # it grows
        ((-0.1, -0.1, -0.2, -0.2), FAILS),  # it falls, but from below 0
    ],
)
def test_evicting_is_better_for_small_sizes_and_by_less_for_large_ones(gains, expected):
    assert verdict("eviction", *caching(*gains)).verdict == expected


def test_what_noise_hides_is_not_decided_whatever_the_estimate():
    for finding, members in (("votes", voting(0, 0, 0.1, 0.1)), ("eviction", caching(0, 0, 0, 0))):
        found = verdict(finding, *members, noise=0.4)
        assert found.verdict == OPEN


@pytest.mark.parametrize(("lead", "expected"), [(0.1, HOLDS), (0.0, OPEN), (-0.1, FAILS)])
def test_more_bits_of_a_smaller_model_meet_4_bits_of_a_larger_one(lead, expected):
    found = verdict(
        "bits",
        bits("small", 4, 5, 0.1),
        bits("small", 8, 9, 0.5 + lead),
        bits("large", 4, 10, 0.5),
        # More bits of the same model, or in more bytes, are no way to spend the memory of the larger one.
        bits("large", 8, 19, 0.9),
        rival(16, 5, 0.9, model="small"),
    )
    assert found.verdict == expected
    assert found.parts[0].claim.effect == pytest.approx(lead, abs=0.02)


def test_more_bits_are_only_asked_of_a_sweep_with_4_bits():
    two_and_eight = bits("small", 8, 9, 0.6), bits("large", 2, 10, 0.5)
    found = verdict("bits", *two_and_eight)
    assert found.verdict == NOT_ASKED
    assert "4 bits" in found.reason


def test_more_bits_are_a_finding_of_mathematics_alone():
    found = verdict("bits", bits("small", 8, 9, 0.6), bits("large", 4, 10, 0.5))
    assert found.reason == "the study finds this in mathematics, and the opposite in knowledge"


@pytest.mark.parametrize(
    ("low", "high", "pays", "does_not_pay"),
    [
        (0.001, 0.015, True, True),
        (0.03, 0.05, True, False),
        (-0.03, -0.01, False, True),
        (-0.03, 0.0, False, True),
        (0.0, 0.0, False, True),
        (-0.01, 0.01, None, True),
        (0.01, 0.03, True, None),
        (-0.01, 0.03, None, None),
        (0.02, 0.03, True, False),
    ],
)
def test_an_effect_has_one_margin_so_no_interval_shows_it_both_right_and_wrong(
    low, high, pays, does_not_pay
):
    claim = Claim((low + high) / 2, low, high, 0.5, 1)
    assert Part("a", claim).right is pays
    assert Part("a", claim, pays=False).right is does_not_pay


def test_precisions_are_compared_under_the_kv_policies_of_both():
    found = verdict(
        "bits",
        bits("small", 8, 9, 0.5),
        bits("small", 8, 9, 0.9, kv_policy="r_kv-64", kv_kind="evicting"),
        bits("large", 4, 10, 0.5),
    )
    assert found.parts[0].claim.effect == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize(("lead", "expected"), [(0.1, HOLDS), (-0.1, FAILS)])
def test_a_compressed_cache_is_better_if_it_adds_to_the_full_one(lead, expected):
    smaller = rival(10, 5, 0.5 + lead, kv_kind="evicting", kv_policy="r_kv-64")
    found = verdict("cache", rival(10, 10, 0.5), smaller)
    assert found.verdict == expected


def test_a_sweep_that_lacks_a_choice_is_not_asked():
    found = find_verdicts(contest(rival(10, 5, 0.5), rival(20, 5, 0.5)), 1, UNKNOWN)
    assert {one.verdict for one in found} == {NOT_ASKED}
    assert all(one.reason and not one.parts for one in found)


def test_policies_that_never_change_an_answer_are_not_compared():
    # Where traces are shorter than what a policy keeps, all policies answer alike.
    found = verdict("eviction", *caching(0, 0, 0, 0), noise=0.0)
    assert found.verdict == NOT_ASKED
    assert "equally accurate on every question" in found.reason


def test_few_questions_decide_nothing():
    many = contest(*voting(0, 0, 0.2, 0.2), noise=0.02)
    few = Candidates(many.members, many.scores[:7])
    votes = find_verdicts(few, 1, UNKNOWN)[2]
    assert (votes.verdict, votes.reason) == (OPEN, "7 questions are too few to split in halves")


def advantages(*bounds: tuple[float, float]) -> Threshold:
    each = [
        SizeAdvantage(size, 4, (low + high) / 2, low, high)
        for size, (low, high) in zip(SIZES, bounds, strict=False)
    ]
    return Threshold(False, "no change is significant", advantages=tuple(each))


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [
        (Threshold(True, "so", 20.0, 10.0, 40.0, 0.01), HOLDS),
        (advantages((-0.2, -0.1), (0.1, 0.2)), FAILS),  # the change is the other way round
        (advantages((-0.2, -0.1), (-0.2, 0.1)), OPEN),
        (advantages((-0.2, 0.1), (0.1, 0.2)), OPEN),
        (advantages((-0.2, 0.1), (-0.2, -0.1)), OPEN),
        (UNKNOWN, NOT_ASKED),
    ],
)
def test_the_scale_threshold_decides_the_first_finding(threshold, expected):
    scale = find_verdicts(contest(rival(10, 5, 0.5)), 1, threshold)[0]
    assert scale.verdict == expected
    assert scale.threshold is threshold


@pytest.mark.parametrize(
    ("ends", "side"),
    [(((-0.2, -0.1), (-0.2, -0.1)), "below"), (((0.1, 0.2), (0.1, 0.2)), "above")],
)
def test_a_threshold_outside_of_the_sweep_is_not_decided(ends, side):
    scale = find_verdicts(contest(rival(10, 5, 0.5)), 1, advantages(*ends))[0]
    assert scale.verdict == OPEN
    assert f"any change lies {side} the sizes of this sweep" in scale.reason
