"""A small cut of `python -m benchmarks.adaptive`: planted samples, plainer rules, what they lose."""

from math import comb

import numpy as np
import pytest

from benchmarks import adaptive, adaptive_control, coupled_worlds
from benchmarks.adaptive_planted import drawn, full_run, prices, tabulated
from benchmarks.adaptive_promise import interval, lost
from benchmarks.adaptive_replay import _accuracy
from benchmarks.adaptive_rules import Ended, FullRun, halving, oracle, racing
from benchmarks.coupled_worlds import correlation, draw, like_published, like_the_study
from benchmarks.planted_worlds import TOKEN_BUDGETS, study_grid
from raysweep.adaptive.influence import accuracy_and_influence
from raysweep.adaptive.rules import Rules
from raysweep.metrics import Floats

QUESTIONS, LOOKS = 12, (4, 8)
RULES = Rules(LOOKS, 0.01, 0.05, (1, 16))


@pytest.fixture(scope="module")
def run() -> FullRun:
    world = like_published("aime25", grid=study_grid(full_cache_alone=True))
    return full_run("aime25", world, draw(world, QUESTIONS, 0, LOOKS[-1]), (1, 3, 6))


# Planted samples


@pytest.mark.parametrize("benchmark", coupled_worlds.LAWS)
def test_full_precision_is_as_accurate_as_published(benchmark: str):
    samples = draw(like_published(benchmark), 400, 0, 8).right[:, -1].mean(axis=(1, 2))
    for engine, accuracy in zip(study_grid().engines, samples, strict=True):
        if engine.engine_id.endswith(".bf16.full"):
            known = coupled_worlds.accuracies(benchmark)[engine.model.name]
            assert accuracy == pytest.approx(known, abs=0.07)


@pytest.mark.parametrize(
    ("coupling", "precise", "other"),
    [
        ("by loss", (0.85, 1), (0, 0.2)),
        ("measured", (0.9, 1), (0.1, 0.3)),
        ("none", (-0.1, 0.1), (-0.1, 0.1)),
    ],
)
def test_engines_agree_as_their_coupling_says(coupling: str, precise, other):
    samples = draw(like_the_study(coupling), 60, 0)
    at = {engine.engine_id: place for place, engine in enumerate(study_grid().engines)}
    one = at["qwen3-8b.bf16.full"]
    low, high = precise
    assert low <= correlation(samples, one, at["qwen3-8b.gptq8.full"]) <= high
    low, high = other
    assert low <= correlation(samples, one, at["qwen3-4b.bf16.full"]) <= high


def test_a_trace_is_longer_by_the_answers_at_each_budget(run: FullRun):
    tokens = run.tokens[0, :, 0] / QUESTIONS
    assert tokens[:3].tolist() == [0, TOKEN_BUDGETS[0] + 32, TOKEN_BUDGETS[1] + 64]


def test_tables_count_votes_as_a_run_does(run: FullRun):
    choice = run.votes(5, 8, 8).choice
    for found, expected in zip(
        tabulated(choice, (1, 3, 6), 32), accuracy_and_influence(choice, (1, 3, 6), 32), strict=True
    ):
        assert found == pytest.approx(expected, abs=1e-12)
    assert run.accuracy(8)[5] == pytest.approx(_accuracy(choice, (1, 3, 6)))
    assert np.isnan(run.accuracy(4)[5, :, 2]).all()


# Rules


def test_a_rule_that_stops_nothing_costs_all_and_loses_nothing(run: FullRun):
    ended = whole(run)
    assert ended.tokens(RULES, run).sum() == run.tokens[:, -1].sum()
    assert lost(RULES, run, ended).kept(0.0)


@pytest.mark.parametrize("memory_bytes", [None, 24e9])
def test_what_an_oracle_keeps_is_within_epsilon_and_costs_least(run: FullRun, memory_bytes):
    batches = (1, 16) if memory_bytes is None else (1,)
    rules = Rules(LOOKS, 0.03, 0.05, batches, memory_bytes)
    ended = oracle(rules, run)
    assert lost(rules, run, ended).kept(0.03)
    assert ended.tokens(rules, run).sum() <= racing(rules, run).tokens(rules, run).sum()


def test_halving_goes_on_with_half_of_the_engines(run: FullRun):
    ended = halving(RULES, run)
    assert [(budgets > 0).sum() for budgets in ended.budgets] == [18, 9]
    assert set(ended.budgets.ravel()) == {0, len(TOKEN_BUDGETS)}


def test_a_loss_is_that_of_the_worst_memory(run: FullRun):
    """By brute force over all memories."""
    rng = np.random.default_rng(0)
    live = rng.random((2, *run.grid.shape)) < 0.2
    found = lost(RULES, run, Ended(whole(run).budgets, live))
    worst = max(worst_loss(run, own, size) for own, size in zip(live, (1, 16), strict=True))
    assert found.accuracy == pytest.approx(worst) and not found.kept(0.01)


def worst_loss(run: FullRun, live: np.ndarray, batch_size: int) -> float:
    memory = run.grid.memory_bytes(run.prompts, batch_size)
    return max(
        best(run.found, memory <= m) - best(run.found, (memory <= m) & live) for m in memory.flat
    )


def best(found: Floats, among: np.ndarray) -> float:
    return float(found[among].max(initial=0.0))


def whole(run: FullRun) -> Ended:
    engines, budgets, _ = run.grid.shape
    rounds = np.full((len(LOOKS), engines), budgets)
    return Ended(rounds, np.ones((2, *run.grid.shape), dtype=np.bool_))


# The tables


def test_a_small_cut_of_the_table():
    asked = adaptive.Asked("published", "by loss", adaptive.MEMORY, 0.01, "successive halving")
    runs = drawn(asked.law, asked.coupling, (4, 6), 0)
    found = adaptive.spent(asked, runs)
    assert 0 < found.share < 1 and len(found.kept) == 2
    assert found.full_gpu_s[0] == pytest.approx(runs[0].tokens[:, -1].sum(axis=1) @ prices().token)
    # Engines that fit nowhere in the memory are never loaded.
    assert found.load_s < found.full_load_s
    assert "| published | by loss | memory | 1 | successive halving |" in adaptive.row(
        asked, [found, found]
    )


@pytest.mark.parametrize("kind", adaptive_control.KINDS)
def test_controls_have_the_accuracies_that_they_name(kind: str):
    trial = adaptive_control.Trial(kind, "by loss", 30, 0)
    run = adaptive_control.a_run(trial)
    order, _ = run.order(1)
    steps = np.diff(run.found.ravel()[order])
    steps = np.abs(steps[np.abs(steps) > 1e-9])
    over = {"leaders": 1, "chains": -1, "best": 1}[kind]
    assert np.sign(steps - trial.epsilon).tolist() == [over] * len(steps)
    assert steps == pytest.approx(trial.epsilon, abs=1 / 900)


def test_the_interval_of_a_share_leaves_out_as_much_on_either_side():
    low, high = interval(3, 40)
    above = sum(comb(40, k) * low**k * (1 - low) ** (40 - k) for k in range(3, 41))
    below = sum(comb(40, k) * high**k * (1 - high) ** (40 - k) for k in range(4))
    assert (above, below) == pytest.approx((0.025, 0.025))
    assert interval(0, 40) == pytest.approx((0, 0.0881), abs=1e-4) and interval(40, 40)[1] == 1
