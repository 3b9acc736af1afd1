"""Published figures are read whole, and say themselves how far careful groups differ."""

from math import sqrt
from pathlib import Path

import pytest

from raysweep import catalogue
from raysweep.published.cells import Cell, between_groups, published
from raysweep.spec import Sampling

ROOT = Path(__file__).parents[2]
CELLS = published().cells


def cells_of(source: str, **wanted: object) -> list[Cell]:
    own = [cell for cell in CELLS if cell.source.name == source]
    return [c for c in own if all(getattr(c, name) == value for name, value in wanted.items())]


def test_every_name_is_one_of_raysweeps_definitions():
    precisions = {catalogue.weights(name).slug for name in catalogue.names("weights")}
    policies = {catalogue.kv_policy(name).slug for name in catalogue.names("kv_policy")}
    assert {cell.model for cell in CELLS} <= set(catalogue.names("model"))
    assert {cell.weights for cell in CELLS} <= precisions
    assert {cell.kv_policy for cell in CELLS} <= policies
    for order in published().orders:
        for side in (order.ahead, order.behind):
            model, weights, policy = (side.engine or f"qwen3-4b.bf16.{side.kv_policy}").rsplit(
                ".", 2
            )
            assert model in catalogue.names("model")
            assert weights in precisions and policy in policies


def test_a_cell_has_its_groups_setting_and_its_own_accuracy():
    (cell,) = cells_of("qwen3", benchmark="aime25", model="qwen3-4b")
    assert (cell.accuracy, cell.samples, cell.token_budget) == (pytest.approx(0.656), 64, 38_912)
    (other,) = cells_of("seer", benchmark="gpqa-diamond", model="qwen3-8b")
    assert (other.questions, other.samples, other.group_size) == (198, 16, 1)
    assert other.accuracy == pytest.approx(0.6054)


def test_no_setting_is_listed_twice_by_the_same_source():
    keys = [(cell.source.name, *cell.setting) for cell in CELLS]
    assert len(keys) == len(set(keys))


def test_accuracies_are_shares_and_what_is_stated_of_the_sampling_has_known_names():
    assert all(0 < cell.accuracy < 1 for cell in CELLS)
    names = set(Sampling(0.6).__dataclass_fields__)
    assert all(set(cell.sampling) <= names for cell in CELLS)


def test_the_error_of_a_cell_is_at_most_that_of_equally_hard_questions():
    (cell,) = cells_of("qwen3", benchmark="aime25", model="qwen3-8b")
    assert cell.standard_error == pytest.approx(sqrt(0.673 * 0.327 / (30 * 64)))
    (once,) = cells_of("replication", benchmark="aime90", weights="gptq4")
    assert once.standard_error == pytest.approx(sqrt(0.1889 * 0.8111 / 90))


def test_the_allowance_is_the_spread_of_groups_that_measured_the_same():
    same = {"source": CELLS[0].source, "benchmark": "sums", "questions": 30, "model": "toy"}
    same |= {"weights": "bf16", "kv_policy": "full", "group_size": 1}
    pairs = [
        Cell(**{**same, "model": f"toy-{i}"}, accuracy=0.5 + sign * 0.02)
        for i in range(200)
        for sign in (-1, 1)
    ]
    allowed = between_groups(pairs)
    # A pair of values that are 0.04 apart has a variance of 0.0008, so their difference twice that.
    assert allowed.points() == pytest.approx(1.972 * 0.04, rel=1e-3)
    assert allowed.cells == 200
    assert between_groups(pairs[:1]).points() == 0


def test_the_published_cells_allow_what_the_guide_says():
    allowed = between_groups(CELLS)
    guide = (ROOT / "docs" / "operations.md").read_text()
    assert f"{allowed.cells} of them were measured by two or three groups" in guide
    assert f"±{100 * allowed.points():.1f} points" in guide
