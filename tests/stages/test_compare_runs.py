"""The stage compare with another run: smoke runs, planted differences, and runs that cannot be paired."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.command import generate_here
from support.hand_made_runs import benchmark, generate, reduce_run, sample, sweep_of

from raysweep.configuration.composition import compose
from raysweep.configuration.config import read_config
from raysweep.configuration.identity import as_document
from raysweep.driver import generate as driver
from raysweep.errors import ConfigError
from raysweep.run_config import RunConfig
from raysweep.stages import run_stages
from raysweep.storage.record import write_record
from raysweep.storage.store import Store

LONG = 20


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three smoke runs on the fake engine: two of one seed, and one of another."""
    out = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver, "generate", generate_here)
        for run, seed in (("one", 0), ("same", 0), ("other", 1)):
            config = smoke_config(out, run, seed, "plan,generate,reduce")
            assert run_stages(config, as_document(config)) == 0
    return out


def smoke_config(out: Path, run: str, seed: int, stages: str, **changes: Any) -> RunConfig:
    with pytest.MonkeyPatch.context() as patch:
        arguments = ["+sweep=smoke", "sweep.backend=fake", f"out={out}", f"run={run}"]
        arguments += [f"seed={seed}", f"stages=[{stages}]"]
        patch.setattr("sys.argv", ["raysweep", *arguments])
        composed = compose()
    assert composed is not None
    return replace(read_config(composed.values, composed.folders), **changes)


def compared(out: Path, run: str, other: str, seed: int = 0) -> dict[str, Any]:
    config = smoke_config(out, run, seed, "compare", compare_with=other)
    assert run_stages(config, as_document(config)) == 0
    return json.loads((out / run / "run_comparison.json").read_text())


def test_two_runs_of_one_seed_differ_by_exactly_nothing(smoke: Path, capsys):
    found = compared(smoke, "one", "same")
    for one in found["benchmarks"]:
        assert one["compared"] > 10 and one["told_apart"] == 0
        assert {d["difference"] for d in one["differences"]} == {0.0}
        assert one["only_here"] == one["only_there"] == []
    changes = {point["change"] for f in found["frontiers"] for point in f["points"]}
    assert changes == {"same"} and found["settings"] == []
    said = " ".join(capsys.readouterr().out.split())
    assert "in both runs agree on every question" in said
    assert "the runs recorded the same versions, graders and settings" in said


def test_runs_of_two_seeds_differ_by_chance_alone_and_the_table_fits(
    smoke: Path, capsys, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "80")
    found = compared(smoke, "one", str(smoke / "other"))
    assert any(d["difference"] for one in found["benchmarks"] for d in one["differences"])
    for one in found["benchmarks"]:
        assert one["told_apart"] == 0
        for d in one["differences"]:
            assert d["difference"] == pytest.approx(d["accuracy_here"] - d["accuracy_there"])
            assert d["difference_lo"] <= 0 <= d["difference_hi"]
    assert [s["name"] for s in found["settings"]] == ["seed"]
    said = capsys.readouterr().out
    tables = said[: said.index("\nchain ")]
    rows = [line for line in tables.splitlines() if "tiny" in line]
    assert max(map(len, tables.splitlines())) <= 80
    assert len(rows) <= 15 * len(found["benchmarks"])
    said = " ".join(said.split())
    assert "0 differ by more than chance, all judged together" in said
    assert "a place that enters or leaves need not differ by more than chance" in said


def a_run(out: Path, run: str, right: int, names: str = "sums", count: int = 30) -> RunConfig:
    """A run whose answers at the long budget are right on the first `right` of the questions."""
    asked = benchmark(names, count)
    config = replace(sweep_of(benchmarks=(asked,)), out=str(out), run=run, stages=("compare",))
    store = Store(f"{out}/{run}")
    said = ["right" if i < right else "12" for i in range(count)]
    samples = [
        sample(f"{names}-{i}", index, {10: "12", LONG: one})
        for i, one in enumerate(said)
        for index in range(4)
    ]
    generate(config, store, samples)
    reduce_run(config, store)
    write_record(store, as_document(config))
    return config


def test_a_planted_difference_is_told_apart_and_moves_the_frontier(tmp_path: Path):
    config = replace(a_run(tmp_path, "better", 25), compare_with="worse")
    a_run(tmp_path, "worse", 10)
    assert run_stages(config, as_document(config)) == 0
    found = json.loads((tmp_path / "better" / "run_comparison.json").read_text())
    (sums,) = found["benchmarks"]
    apart = {d["token_budget"] for d in sums["differences"] if d["told_apart"]}
    assert apart == {LONG} and sums["told_apart"] == 3
    assert all(d["difference"] == 0.5 for d in sums["differences"] if d["told_apart"])
    moved = [p for f in found["frontiers"] for p in f["points"] if p["change"] == "moved"]
    assert moved and all(p["here"]["expected"] > p["there"]["expected"] for p in moved)


def test_runs_that_asked_other_questions_are_refused_by_name(tmp_path: Path):
    config = a_run(tmp_path, "one", 5)
    a_run(tmp_path, "more", 5, count=32)
    a_run(tmp_path, "others", 5, names="products")
    for other, words in (
        ("more", r"compare_with: .*other questions on sums \(2 questions in one run alone\)"),
        ("others", "compare_with: .* has no benchmark that this run has too"),
        ("none", r"compare_with: .*/none/config.yaml is missing; give a run's name or folder"),
    ):
        with pytest.raises(ConfigError, match=words):
            run_stages(replace(config, compare_with=other), as_document(config))


def test_other_texts_under_the_same_ids_are_refused(tmp_path: Path):
    config = a_run(tmp_path, "one", 5)
    other = a_run(tmp_path, "other", 5)
    record = as_document(other)
    record["identity"]["questions.sums"] = "0123456789abcdef"
    write_record(Store(f"{tmp_path}/other"), record)
    with pytest.raises(ConfigError, match=r"sums \(other texts under the same ids\)"):
        run_stages(replace(config, compare_with="other"), as_document(config))
