"""A run beside published cells: what agrees, what differs, and what is not the same cell."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.candidates import rival
from support.hand_made_runs import benchmark, generate, reduce_run, sample, sweep_of

import raysweep
from actors.kv.full import Full
from raysweep import catalogue
from raysweep.analysis.candidates import Candidates
from raysweep.configuration.identity import as_document
from raysweep.errors import ConfigError
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
from raysweep.run_config import RunConfig
from raysweep.spec import BF16, Forcing
from raysweep.stages import run_stages
from raysweep.storage.record import write_record
from raysweep.storage.store import Store
from raysweep.system.exit_status import DONE

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


# The stage


def a_run(out: str, right: dict[str, int], **changes: Any) -> RunConfig:
    """A reduced run of Qwen3 on 30 questions, so many of whose 120 answers are right per model."""
    family = catalogue.model("qwen3-4b").family
    models = tuple(replace(catalogue.model(name), family=family) for name in right)
    grid = {
        "models": models,
        "weights": (BF16,),
        "kv_policies": (Full(),),
        "benchmarks": (benchmark("aime25", 30),),
        "token_budgets": (6_000, 38_000),
        "group_sizes": (1,),
    }
    config = replace(sweep_of(**{**grid, **changes}), out=out, stages=("compare",))
    store = Store(f"{out}/test")
    for name, count in right.items():
        own = replace(config, sweep=replace(config.sweep, models=(catalogue.model(name),)))
        said = ["right" if i < count else "12" for i in range(120)]
        samples = [
            sample(f"aime25-{i % 30}", i // 30, {6_000: "12", 38_000: one})
            for i, one in enumerate(said)
        ]
        generate(own, store, samples)
    reduce_run(config, store)
    write_record(store, as_document(config))
    return config


def test_the_stage_puts_a_run_beside_the_published_cells(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    config = a_run(str(tmp_path), {"qwen3-4b": 79, "qwen3-8b": 40})
    assert run_stages(config, as_document(config)) == DONE
    said = capsys.readouterr().out
    words = " ".join(said.split())
    assert "qwen3-4b.bf16.full 65.6% 65.8%" in words
    assert "6 cells: not the same cell 3, differs 2, agrees 1, of 73 that are published" in words
    assert "4.2 points that careful groups differ by" in words
    assert "not the same cell: one sample instead of 512 (1 cell)" in words
    found = json.loads((tmp_path / "test" / "comparison.json").read_text())
    by_source = {
        (one["published"]["source"]["name"], one["published"]["model"]): one
        for one in found["cells"]
        if one["published"]["group_size"] == 1
    }
    agreed = by_source["qwen3", "qwen3-4b"]
    assert (agreed["verdict"], agreed["accuracy"]) == (AGREES, pytest.approx(79 / 120))
    assert by_source["qwen3", "qwen3-8b"]["verdict"] == DIFFERS
    assert by_source["qwen3", "qwen3-8b"]["difference"] == pytest.approx(1 / 3 - 0.673)
    table = raysweep.open_run(f"{tmp_path}/test").comparison
    assert set(table.verdict) == {AGREES, DIFFERS, ANOTHER}


def test_reported_orders_are_in_table_and_file(tmp_path, capsys):
    policies = tuple(catalogue.kv_policy(name) for name in ("quantized-8", "quantized-4"))
    config = a_run(str(tmp_path), {"qwen3-4b": 79}, kv_policies=policies)
    assert run_stages(config, as_document(config)) == DONE
    said = " ".join(capsys.readouterr().out.split())
    assert "KV quantized-8 KV quantized-4 0.0 0.0 to 0.0 not decided" in said
    assert "as reported in reviews of it" in said
    (order,) = json.loads((tmp_path / "test" / "comparison.json").read_text())["orders"]
    assert (order["verdict"], order["benchmark"], order["engines"]) == (UNDECIDED, "aime25", 1)


def test_without_results_the_stage_names_the_one_that_makes_them(tmp_path):
    config = replace(sweep_of(), out=str(tmp_path), stages=("compare",))
    with pytest.raises(ConfigError, match="run the stage 'reduce' first"):
        run_stages(config, as_document(config))
    write_record(Store(f"{tmp_path}/test"), as_document(config))
    with pytest.raises(ConfigError, match="run the stage 'compare' first"):
        _ = raysweep.open_run(f"{tmp_path}/test").comparison


def test_a_run_of_other_models_says_so_in_one_line_and_is_done(tmp_path, capsys):
    config = replace(sweep_of(), out=str(tmp_path), stages=("compare",))
    samples = [sample(f"sums-{q}", i, {10: "right", 20: "7"}) for q in range(2) for i in range(4)]
    generate(config, Store(f"{tmp_path}/test"), samples)
    reduce_run(config, Store(f"{tmp_path}/test"))
    assert run_stages(config, as_document(config)) == DONE
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 2
    assert "of which others have published" in said[0]
    assert json.loads((tmp_path / "test" / "comparison.json").read_text())["cells"] == []
