"""The benchmark runs and says what it measured; its figures are for an idle machine, not for a test."""

import pandas as pd
import pytest
from support.tiny_models import MODELS

from benchmarks import decode, reduce
from benchmarks.engine import Scale, report


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


def test_decoding_a_model_is_measured_in_turns_and_compared_with_the_faster_transformers(tmp_path):
    folder = MODELS / "tiny-60k"
    chosen = [subject for subject in decode.subjects(folder, None) if subject.way != "vllm"]
    seconds = decode.measure(chosen, repeats=1)
    assert {name for name, _ in seconds} == {"transformers bf16", "transformers fp32", "raysweep"}
    assert all(len(found) == 1 for found in seconds.values())


def test_a_ratio_of_speeds_is_that_of_medians_to_the_faster_transformers():
    seconds = {
        (name, batch): [median / 2, median, 3 * median]
        for batch in decode.STEPS
        for name, median in (
            ("transformers bf16", 0.2),
            ("transformers fp32", 0.1),
            ("raysweep", 0.05),
        )
    }
    (*_, line) = decode.table(seconds)
    assert line == ["raysweep", *["50 (25–150), **2.00 ×**"] * len(decode.STEPS)]


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
