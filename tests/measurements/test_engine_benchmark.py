"""The benchmark runs and says what it measured; its figures are for an idle machine, not for a test."""

from dataclasses import replace

import pandas as pd
import pytest

from benchmarks import reduce
from benchmarks.engine import REAL, Scale, report
from benchmarks.subject import ARCHITECTURE, Measured, Work


def test_the_engine_benchmark_measures_every_subject_and_writes_table_and_figure(tmp_path):
    scale = Scale(
        batches=(1, 2), short=4, short_budget=80, long=24, long_budget=80, long_batch=1, repeats=1
    )
    text = report(scale, tmp_path)
    assert text == (tmp_path / "engine.md").read_text()
    for name in (
        "transformers bf16",
        "full",
        "r_kv-80-b20",
        "quantized-2-r40",
        "r_kv-80-b20_quantized-4-r40",
    ):
        assert text.count(f"| {name} |") == (1 if "transformers" in name else 2)
    assert {path.name for path in tmp_path.iterdir()} == {"engine.md", "engine.svg", "engine.png"}


def test_a_model_of_real_size_is_compared_with_the_full_cache_alone(tmp_path):
    asked: list[Work] = []

    def measured_by(works, repeats, folder):
        asked.extend(works)
        return {work: [Measured(48 * work.batch, 1.0, 1, 0)] * repeats for work in works}

    text = report(replace(REAL, architecture=ARCHITECTURE), tmp_path, measured_by)
    assert {work.name for work in asked} == {"transformers bf16", "transformers fp32", "full"}
    assert "| full / faster transformers | **1.00 ×** | **1.00 ×** | **1.00 ×** |  |" in text
    assert REAL.architecture.vocab_size == 49152


@pytest.mark.slow
def test_the_reduce_benchmark_finds_both_subjects_in_agreement_and_writes_a_table(tmp_path):
    text = reduce.report(samples=20_000, shared=20_000, repeats=1, out=tmp_path)
    assert text == (tmp_path / "reduce.md").read_text()
    for words in (
        "| raysweep reduce |",
        "| pandas groupby |",
        "pandas / raysweep",
        "224 scenarios",
    ):
        assert words in text


def test_subjects_that_disagree_are_no_comparison():
    accuracy = pd.Series([0.5, 0.25])
    with pytest.raises(AssertionError):
        reduce.check_agreement({"one": accuracy, "other": accuracy + 1e-6})
