"""How far the luck of two engines agrees: correlations.parquet."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.hand_made_runs import LONG, MODEL, SHORT, generate, reduce_run, sample, sweep_of

from actors.kv.full import Full
from actors.kv.streaming_llm import StreamingLLM
from raysweep.reducing.correlations import correlation
from raysweep.storage import result_files
from raysweep.storage.comparison_schemas import CORRELATIONS
from raysweep.storage.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path))


def by_hand(a: np.ndarray, b: np.ndarray, both: np.ndarray) -> float:
    """Pearson's correlation of what is left when each question's own mean is taken away."""
    left = ([], [])
    for question in range(len(a)):
        chosen = both[question]
        for own, values in zip(left, (a, b), strict=True):
            own.extend(values[question, chosen] - values[question, chosen].mean())
    return float(np.corrcoef(*left)[0, 1])


@pytest.mark.parametrize("seed", range(5))
def test_it_is_pearsons_correlation_beyond_the_questions_means(seed: int):
    rng = np.random.default_rng(seed)
    luck, chances = rng.random((6, 9)), rng.random((6, 1))
    a, b = luck < chances, np.where(rng.random((6, 9)) < 0.4, rng.random((6, 9)), luck) < chances
    both = rng.random((6, 9)) < 0.8
    both[:, :2] = True
    a, b = a.astype(np.int8), b.astype(np.int8)
    assert correlation(a, b, both) == pytest.approx(by_hand(a, b, both))
    assert correlation(a, a, both) == pytest.approx(1)


def test_difficulty_alone_is_no_shared_luck():
    rng = np.random.default_rng(1)
    chances = np.repeat([0.1, 0.9], 500)[:, None]
    a, b = (rng.random((2, 1000, 8)) < chances).astype(np.int8)
    found = correlation(a, b, np.ones(a.shape, dtype=bool))
    assert found is not None and abs(found) < 0.05


def test_engines_that_always_do_the_same_have_none():
    right = np.ones((3, 4), dtype=np.int8)
    assert correlation(right, right, right > 0) is None


def test_pairs_differ_in_one_choice_alone(store: Store):
    models = (MODEL, replace(MODEL, name="twin"))
    config = sweep_of(kv_policies=(Full(), StreamingLLM(1, 4)), models=models)
    generate(config, store, two_budgets())
    rows = reduce_run(config, store).tables[result_files.CORRELATIONS].to_pylist()
    differ = [(row["engine_id"], row["other_id"], row["differ_in"]) for row in rows]
    full, evicting = "full", "streaming_llm-5-s1"
    assert differ == [
        (f"toy.bf16.{full}", f"toy.bf16.{evicting}", "kv_policy"),
        (f"toy.bf16.{full}", f"twin.bf16.{full}", "model"),
        (f"toy.bf16.{evicting}", f"twin.bf16.{evicting}", "model"),
        (f"twin.bf16.{full}", f"twin.bf16.{evicting}", "kv_policy"),
    ]
    assert all(row["correlation"] == pytest.approx(1) for row in rows)
    assert {(row["token_budget"], row["n_pairs"]) for row in rows} == {(LONG, 8)}


def test_an_engine_that_was_stopped_is_paired_at_the_largest_common_budget(store: Store):
    config = sweep_of(kv_policies=(Full(), StreamingLLM(1, 4)))
    whole, short = (
        replace(config, sweep=replace(config.sweep, kv_policies=(policy,)))
        for policy in config.sweep.kv_policies
    )
    generate(whole, store, two_budgets())
    cut = [{**row, "answers": row["answers"][:1]} for row in two_budgets()]
    generate(short, store, [row for row in cut if row["sample_index"] < 3])
    (row,) = reduce_run(config, store).tables[result_files.CORRELATIONS].to_pylist()
    assert (row["token_budget"], row["n_pairs"]) == (SHORT, 6)


def test_a_single_engine_has_no_pair(store: Store):
    generate(sweep_of(), store, two_budgets())
    table = reduce_run(sweep_of(), store).tables[result_files.CORRELATIONS]
    assert table.num_rows == 0 and table.schema == CORRELATIONS


def two_budgets() -> list[dict]:
    return [
        sample(f"sums-{q}", i, {SHORT: said, LONG: said})
        for q in range(2)
        for i, said in enumerate(("right", "no", "right", "no"))
    ]
