"""A run opened in a notebook: its tables as pandas, and the study's analyses as data frames."""

from pathlib import Path

import numpy as np
import pytest
from support.hand_made_runs import LONG, MIXED, SHORT, generate, reduce_run, sweep_of

import raysweep
from raysweep.analysis.verdicts import FINDINGS
from raysweep.configuration.identity import as_document
from raysweep.errors import ConfigError
from raysweep.finished_run import FinishedRun
from raysweep.reporting.results import read_candidates
from raysweep.stages.folder import claim_folder
from raysweep.storage.store import Store


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    store = Store(str(tmp_path_factory.mktemp("run")))
    config = sweep_of()
    claim_folder(store, config, {**as_document(config)})
    store.write_text("config.yaml", "identity: {}\n")
    generate(config, store, MIXED)
    reduce_run(config, store)
    return raysweep.open_run(store.root)


def test_the_tables_are_those_of_the_folder(run: FinishedRun):
    assert len(run.scenarios) == 6
    assert len(run.engines) == 1 and len(run.plan) == 4
    assert set(run.frontier.batch_size) == {1, 16}
    assert set(run.frontiers.axis) == {"votes"}
    assert run.summary["samples"] == 8
    assert list(run.thresholds.columns)[:2] == ["benchmark", "batch_size"]
    assert run.inflation.ratio.tolist() == [1]  # the only engine is its own reference
    assert run.findings.finding.tolist() == [*FINDINGS, *FINDINGS]  # at both batch sizes
    assert set(run.findings.verdict) == {"not asked"}  # of a single engine


def test_scores_have_a_row_per_scenario_and_question_and_average_to_the_accuracy(run: FinishedRun):
    assert len(run.scores) == 6 * 2
    long = run.scores.query(f"token_budget == {LONG} and group_size == 1")
    assert dict(zip(long.question_id, long.score, strict=True)) == {"sums-0": 0.5, "sums-1": 0.25}
    means = run.scores.groupby(["token_budget", "group_size"]).score.mean()
    accuracy = run.scenarios.set_index(["token_budget", "group_size"]).accuracy
    assert np.allclose(means.sort_index(), accuracy.sort_index())


def test_what_is_read_back_is_what_was_reduced(run: FinishedRun):
    (candidates,) = read_candidates(run.store).values()
    assert np.allclose(candidates.accuracy, run.scenarios.accuracy)
    assert candidates.scores.shape == (2, 6)


def test_samples_are_read_by_engine(run: FinishedRun):
    samples = run.samples("toy.bf16.full", ["question_id", "sample_index"])
    assert len(samples) == 8


def test_the_studys_questions_are_data_frames(run: FinishedRun):
    assert run.composition("sums").token_budget.tolist() == [SHORT]
    assert len(run.serial_scaling("sums")) == 2
    assert run.theoretical_batches("sums", memory_gb=1e-3).batch_size.min() >= 1
    assert set(run.parallel_scaling("sums").favours) <= {"serial", "parallel", "neither"}
    assert run.eviction_or_bits("sums").empty


def test_differences_are_of_every_scenario_against_one(run: FinishedRun):
    found = run.differences("sums", token_budget=LONG, group_size=1)
    own = found.query(f"token_budget == {LONG} and group_size == 1").iloc[0]
    assert (own.difference, own.difference_lo, own.difference_hi) == (0, 0, 0)
    assert found.difference.max() == 1 - 3 / 8
    with pytest.raises(ConfigError, match="selects 3 scenarios; select exactly one"):
        run.differences("sums", token_budget=LONG)


def test_missing_files_and_unknown_names_are_errors(run: FinishedRun, tmp_path: Path):
    with pytest.raises(ConfigError, match=r"has no config\.yaml, so it is not a run"):
        raysweep.open_run(str(tmp_path))
    (tmp_path / "config.yaml").write_text("identity: {}\n")
    with pytest.raises(ConfigError, match=r"scenarios\.parquet is missing"):
        _ = raysweep.open_run(str(tmp_path)).scenarios
    with pytest.raises(ConfigError, match="'chain' is not a known benchmark"):
        run.candidates("chain")


def test_the_reports_figures_are_drawn_by_name(run: FinishedRun):
    figure = run.figure("composition", "sums", batch_size=16)
    assert figure is not None
    assert len(figure.axes) == 4
    assert run.figure("eviction", "sums") is None  # one KV policy alone
    with pytest.raises(ConfigError, match="'pie' is not a known figure"):
        run.figure("pie", "sums")
