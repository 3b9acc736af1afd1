"""A run beside published cells: what agrees, what differs, and what is not the same cell."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.candidates import rival
from support.hand_made_runs import benchmark, sweep_of

from raysweep.analysis.candidates import Candidates
from raysweep.published.cells import Cell, Choice, Order, Published, Source
from raysweep.published.comparing import (
    AGREES,
    ANOTHER,
    AS_REPORTED,
    DIFFERS,
    REVERSED,
    UNDECIDED,
    CellBeside,
    compare,
)
from raysweep.spec import Forcing

SOURCE = Source("us", "Our figures", "https://example.org", "source")
CELL = Cell(
    SOURCE,
    "sums",
    questions=40,
    model="toy",
    weights="bf16",
    kv_policy="full",
    group_size=1,
    accuracy=0.5,
    samples=64,
    token_budget=1_000,
    sampling={"temperature": 1.0},
)
SWEEP = sweep_of(samples=16, benchmarks=(benchmark("sums", 40),)).sweep


def scored(*means: float, **changes: Any) -> Candidates:
    """Scenarios of the toy model at 500, 1,000, ... tokens, whose questions all have that score."""
    members = [
        rival(1, 1, mean, model="toy", token_budget=500 * (i + 1), **changes)
        for i, mean in enumerate(means)
    ]
    return Candidates(tuple(members), np.tile(np.array(means), (40, 1)))


def beside(candidates: Candidates, sweep: Any = SWEEP, **changes: Any) -> CellBeside:
    known = Published((replace(CELL, **changes),), ())
    (found,) = compare(known, sweep, {"sums": candidates}).cells
    return found


def test_an_accuracy_within_the_noise_of_both_agrees():
    found = beside(scored(0.1, 0.53))
    assert found.verdict == AGREES
    assert found.difference == pytest.approx(0.03)
    # 40 questions of 16 samples with half of them right, and of 64.
    ours, theirs = (0.53 * 0.47 / 40 / 15) ** 0.5, (0.25 / 40 / 64) ** 0.5
    assert found.margin == pytest.approx(1.96 * (ours**2 + theirs**2) ** 0.5, rel=1e-4)


def test_an_accuracy_beyond_the_noise_of_both_differs_however_wide_the_interval_over_questions():
    rng = np.random.default_rng(0)
    scores = rng.permutation(np.repeat([0.0, 1.0], [16, 24]))[:, None]
    member = rival(1, 1, 0.6, model="toy", token_budget=1_000, accuracy_lo=0.43, accuracy_hi=0.75)
    found = beside(Candidates((member,), scores))
    assert found.here.accuracy_lo < 0.5 < found.here.accuracy_hi
    assert found.verdict == DIFFERS


@pytest.mark.parametrize(("shift", "least", "most"), [(0.0, 0.93, 1.0), (0.1, 0.0, 0.1)])
def test_groups_that_sample_the_same_agree_in_95_of_100_runs(
    shift: float, least: float, most: float
):
    rng = np.random.default_rng(2)
    agreed = []
    for _ in range(200):
        chances = rng.beta(1, 1, 40) * (1 - shift)
        ours = rng.binomial(16, chances + shift)[:, None] / 16
        theirs = float(rng.binomial(64, chances).mean() / 64)
        member = rival(1, 1, float(ours.mean()), model="toy", token_budget=1_000)
        found = beside(Candidates((member,), ours), accuracy=theirs)
        agreed.append(found.verdict == AGREES)
    assert least <= np.mean(agreed) <= most


def test_in_95_of_100_runs_none_of_many_cells_that_are_alike_differs():
    rng = np.random.default_rng(3)
    known = Published(tuple(replace(CELL, model=f"toy-{i}", accuracy=0.5) for i in range(12)), ())
    sweep = replace(
        SWEEP, models=tuple(replace(SWEEP.models[0], name=f"toy-{i}") for i in range(12))
    )
    chances = np.full(40, 0.5)
    alone = together = 0
    for _ in range(60):
        cells, members, columns = [], [], []
        for cell in known.cells:
            cells.append(replace(cell, accuracy=float(rng.binomial(64, chances).mean() / 64)))
            columns.append(rng.binomial(16, chances) / 16)
            own = {"model": cell.model, "token_budget": 1_000}
            members.append(rival(1, 1, float(columns[-1].mean()), **own))
        candidates = Candidates(tuple(members), np.stack(columns, axis=1))
        found = compare(Published(tuple(cells), ()), sweep, {"sums": candidates}).cells
        single = [
            compare(Published((cell,), ()), sweep, {"sums": candidates}).cells[0] for cell in cells
        ]
        together += any(cell.verdict == DIFFERS for cell in found)
        alone += any(cell.verdict == DIFFERS for cell in single)
    assert together <= 0.1 * 60 < 0.25 * 60 < alone


def test_what_careful_groups_differ_by_is_allowed():
    several = [replace(CELL, model=f"m{i}", accuracy=a) for i in range(9) for a in (0.5, 0.58)]
    known = Published((CELL, *several), ())
    assert beside(scored(0.1, 0.6)).verdict == DIFFERS
    (found,) = compare(known, SWEEP, {"sums": scored(0.1, 0.6)}).cells
    assert found.verdict == AGREES


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"token_budget": 5_000}, "1,000 tokens instead of 5,000"),
        ({"sampling": {"temperature": 0.6}}, "temperature 1 instead of 0.6"),
        ({"questions": 30}, "40 questions instead of 30"),
        ({"group_size": 512}, "one sample instead of 512"),
        ({"apart": ("another grader",)}, "another grader"),
    ],
)
def test_a_cell_in_another_setting_is_not_the_same_and_says_why(changes: dict, reason: str):
    found = beside(scored(0.1, 0.5), **changes)
    assert found.verdict == ANOTHER
    assert found.apart == (reason,)


def test_forcing_that_makes_models_think_on_and_missing_samples_are_another_setting():
    waiting = replace(SWEEP, forcing=Forcing(extension="Wait"))
    assert beside(scored(0.1, 0.5), waiting).apart == ("'Wait' replaces an early end of thinking",)
    assert beside(scored(0.1, 0.5, complete=False)).apart == ("samples are missing",)


def test_what_a_source_does_not_state_is_not_compared():
    found = beside(scored(0.1, 0.5), token_budget=None, sampling={}, questions=None)
    assert found.apart == ()
    assert found.here.configuration.token_budget == 1_000  # the largest
    assert found.verdict == ANOTHER  # as their error is unknown
    assert beside(scored(0.1, 0.5), token_budget=None, sampling={}).verdict == AGREES


def test_budgets_that_are_nearly_the_same_count_as_the_same():
    assert beside(scored(0.1, 0.5), token_budget=1_090).verdict == AGREES
    assert beside(scored(0.1, 0.5), token_budget=1_110).verdict == ANOTHER


def test_a_precision_that_the_run_lacks_has_no_counterpart():
    known = Published((replace(CELL, weights="gptq4"), replace(CELL, model="other")), ())
    assert compare(known, SWEEP, {"sums": scored(0.1, 0.5)}).cells == ()


# Orders


def engines(accuracies: dict[str, float], spread: float = 0.1) -> Candidates:
    """One scenario per engine, whose scores differ from one another by about `spread`."""
    rng = np.random.default_rng(1)
    members, columns = [], []
    for engine, accuracy in accuracies.items():
        model, _, policy = engine.split(".")
        own = {"engine_id": engine, "model": model, "kv_policy": policy, "token_budget": 1_000}
        members.append(rival(1, 1, accuracy, **own))
        columns.append(np.clip(rng.normal(accuracy, spread, 40), 0, 1))
    return Candidates(tuple(members), np.stack(columns, axis=1))


def ordered(candidates: Candidates, ahead: Choice, behind: Choice):
    known = Published((), (Order(SOURCE, ("sums",), ahead, behind),))
    return compare(known, SWEEP, {"sums": candidates}).orders


def test_an_order_holds_is_reversed_or_is_not_decided_by_the_paired_interval():
    found = engines({"a.bf16.full": 0.7, "b.bf16.full": 0.5, "c.bf16.full": 0.505})
    a, b, c = (Choice(engine=f"{name}.bf16.full") for name in "abc")
    (first,) = ordered(found, a, b)
    assert first.verdict == AS_REPORTED
    assert first.low < first.difference < first.high and first.difference == pytest.approx(
        0.2, abs=0.05
    )
    assert ordered(found, b, a)[0].verdict == REVERSED
    assert ordered(found, b, c)[0].verdict == UNDECIDED
    assert ordered(found, a, Choice(engine="d.bf16.full")) == ()
    assert ordered(found, a, Choice(engine="b.bf16.full", token_budget=500)) == ()


def test_orders_are_judged_together():
    """A slight order that is told alone is not among many that are asked of the same run."""
    found = engines({"a.bf16.full": 0.525, "b.bf16.full": 0.49})
    a, b = (Choice(engine=f"{name}.bf16.full") for name in "ab")
    (alone,) = ordered(found, a, b)
    order = Order(SOURCE, ("sums",), a, b)
    many = compare(Published((), (order,) * 40), SWEEP, {"sums": found}).orders
    assert alone.verdict == AS_REPORTED
    assert {one.verdict for one in many} == {UNDECIDED}
    assert many[0].low < alone.low and many[0].high > alone.high


def test_kv_policies_are_compared_over_the_engines_that_have_both():
    found = engines(
        {"a.bf16.x": 0.7, "b.bf16.x": 0.6, "a.bf16.y": 0.5, "b.bf16.y": 0.4, "c.bf16.y": 0.9}
    )
    (order,) = ordered(found, Choice(kv_policy="x"), Choice(kv_policy="y"))
    assert order.engines == 2
    assert order.difference == pytest.approx(0.2, abs=0.05)
