"""Counter-based sampling: the distribution it must have, and what it must not depend on."""

from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from actors.torch_engine import sampling
from actors.torch_engine.sampling import draw_tokens, is_finite, uniforms
from raysweep.shard import sample_key
from raysweep.spec import Sampling

DRAWS = 40_000


def frequencies(logits: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    """How often each token is drawn from one row of logits."""
    draws = (np.arange(DRAWS) + 0.5) / DRAWS  # every share of the unit interval once
    tokens = draw_tokens(logits.expand(DRAWS, -1), draws, sampling)
    return torch.bincount(tokens, minlength=len(logits)) / DRAWS


def by_transformers(logits: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    warpers: list[Any] = [TemperatureLogitsWarper(sampling.temperature)]
    if sampling.top_k:
        warpers.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        warpers.append(TopPLogitsWarper(sampling.top_p))
    if sampling.min_p:
        warpers.append(MinPLogitsWarper(sampling.min_p))
    scores = logits[None]
    for warp in warpers:
        scores = warp(None, scores)
    return scores.softmax(-1)[0]


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(1.0),
        Sampling(0.6),
        Sampling(0.6, top_p=0.95, top_k=20),
        Sampling(1.3, top_p=0.5),
        Sampling(1.0, top_k=3),
        Sampling(0.6, min_p=0.1),
        Sampling(1.2, top_p=0.9, top_k=20, min_p=0.2),
    ],
    ids=str,
)
def test_tokens_are_drawn_with_the_probabilities_that_transformers_gives_them(sampling):
    for seed in range(4):
        logits = torch.randn(128, generator=torch.Generator().manual_seed(seed)) * 2
        difference = frequencies(logits, sampling) - by_transformers(logits, sampling)
        assert difference.abs().max() < 2 / DRAWS * 128


@pytest.mark.parametrize("way", [Sampling(0.6, top_p=0.95), Sampling(1.0, min_p=0.02)], ids=str)
@pytest.mark.parametrize("spread", [0.5, 2.0, 6.0])
def test_a_token_from_a_partial_selection_is_that_of_the_sorted_vocabulary(
    way: Sampling, spread: float, monkeypatch: pytest.MonkeyPatch
):
    """With a small spread of the logits thousands of tokens are kept, with a large one a few."""
    rows, vocabulary = 16, 20_000
    logits = torch.randn(rows, vocabulary, generator=torch.Generator().manual_seed(1)) * spread
    draws = np.random.default_rng(1).random(rows)
    partly = draw_tokens(logits, draws, way)
    monkeypatch.setattr(sampling, "FIRST_CANDIDATES", vocabulary)
    assert torch.equal(partly, draw_tokens(logits, draws, way))
    assert torch.equal(partly[3:4], draw_tokens(logits[3:4], draws[3:4], way))


def test_temperature_zero_takes_the_best():
    logits = torch.tensor([[0.0, 3.0, 1.0], [5.0, 3.0, 1.0]])
    assert draw_tokens(logits, np.array([0.1, 0.9]), Sampling(0.0)).tolist() == [1, 0]


def test_min_p_one_takes_the_best():
    logits = torch.tensor([[0.0, 3.0, 1.0], [5.0, 3.0, 1.0]])
    assert draw_tokens(logits, np.array([0.1, 0.9]), Sampling(1.0, min_p=1.0)).tolist() == [1, 0]


@pytest.mark.parametrize("draw", [0.0, np.nextafter(1.0, 0.0)])
def test_a_draw_at_either_end_gives_a_token_that_has_mass(draw):
    logits = torch.tensor([[-torch.inf, 0.0, 0.0, -torch.inf]])
    assert draw_tokens(logits, np.array([draw]), Sampling(1.0)).item() in (1, 2)


def test_a_number_is_a_function_of_key_and_position_alone():
    keys = np.array([sample_key(0, "q", i) for i in range(50)], dtype=np.uint64)
    positions = np.arange(50)
    together = uniforms(keys, positions)
    alone = [uniforms(keys[i : i + 1], positions[i : i + 1])[0] for i in range(50)]
    assert together.tolist() == alone


def test_numbers_are_uniform_and_unrelated_along_positions_and_across_samples():
    keys = np.array([sample_key(0, "q", i) for i in range(300)], dtype=np.uint64)
    grid = uniforms(keys[:, None], np.arange(300)[None])
    assert grid.min() >= 0 and grid.max() < 1
    counts, _ = np.histogram(grid, bins=20, range=(0, 1))
    expected = grid.size / 20
    assert ((counts - expected) ** 2 / expected).sum() < 45  # chi-square, 19 degrees, p = 0.0007
    for shifted in (grid[:, 1:], grid[1:]):
        rest = grid[: shifted.shape[0], : shifted.shape[1]]
        assert abs(np.corrcoef(rest.ravel(), shifted.ravel())[0, 1]) < 0.015


def test_keys_differ_by_seed_question_and_sample():
    keys = {sample_key(s, q, i) for s in range(3) for q in ("a", "b") for i in range(50)}
    assert len(keys) == 3 * 2 * 50
    assert all(0 <= key < 2**63 for key in keys)


def test_a_row_with_nan_or_infinite_logits_is_told_from_one_with_barred_tokens():
    logits = torch.zeros(4, 5)
    logits[0, 3], logits[1, 2], logits[2, 1] = float("nan"), float("inf"), float("-inf")
    assert is_finite(logits).tolist() == [False, False, True, True]


@pytest.mark.parametrize("top_k", [0, 3])
def test_drawing_from_nan_stays_within_the_vocabulary(top_k: int):
    sampling = Sampling(temperature=1.0, top_k=top_k)
    drawn = draw_tokens(torch.full((2, 5), float("nan")), np.array([0.1, 0.99]), sampling)
    assert drawn.min() >= 0 and drawn.max() < 5
