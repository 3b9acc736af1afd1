"""The stage compare: a finished run of Qwen3 beside the published figures, in words and as a file."""

import json
from dataclasses import replace
from typing import Any

import pytest
from support.hand_made_runs import benchmark, generate, reduce_run, sample, sweep_of

import raysweep
from actors.kv.full import Full
from raysweep import catalogue
from raysweep.configuration.identity import as_document
from raysweep.errors import ConfigError
from raysweep.published.comparing import (
    AGREES,
    ANOTHER,
    DIFFERS,
    UNDECIDED,
)
from raysweep.run_config import RunConfig
from raysweep.spec import BF16
from raysweep.stages import run_stages
from raysweep.storage.record import write_record
from raysweep.storage.store import Store
from raysweep.system.exit_status import DONE


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
    assert "not decided KV quantized-8, KV quantized-4 0.0 points (0.0 to 0.0)" in said
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
