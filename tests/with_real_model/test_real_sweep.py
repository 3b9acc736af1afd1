"""A sweep of a real model on the torch engine: from the definition to the report."""

from pathlib import Path

import pytest
from with_real_model.real_model import ARCHITECTURE
from with_real_model.sweeps import TRACES, engines, samples, summary, sweep

from raysweep import catalogue, memory

POLICY = "streaming_llm-64"  # of fewer tokens than a prompt has


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path) -> Path:
    out = tmp_path_factory.mktemp("sweep")
    sweep(out, "sweep.backend=torch", f"sweep.kv_policies=[{POLICY}]")
    return out


def test_every_engine_answers_every_question_and_nothing_fails(out: Path):
    assert {engine["backend"] for engine in engines(out)} == {"torch"}
    assert {engine["weight_bits"] for engine in engines(out)} == {16, 4}
    counts = summary(out)
    assert counts["samples"] == len(samples(out)) == len(engines(out)) * TRACES
    assert counts["outcomes"]["error"] == 0
    assert counts["outcomes"]["correct"] > 0
    assert counts["outcomes"]["wrong"] > counts["outcomes"]["cut_off"]


def test_recorded_bytes_are_those_of_the_memory_model(out: Path):
    rows = samples(out)
    for prompt_tokens, answers in zip(rows["prompt_tokens"], rows["answers"], strict=True):
        for answer in answers:
            tokens = prompt_tokens + answer["thinking_tokens"]
            expected = memory.kv_bytes(ARCHITECTURE, catalogue.kv_policy(POLICY), tokens)
            assert answer["kv_bytes"] == expected


def test_the_report_names_the_model_its_precisions_and_both_benchmarks(out: Path):
    page = (out / "real" / "report" / "index.html").read_text()
    for name in ("smollm2-135m", "gptq4-g64", POLICY, "arithmetic", "general"):
        assert name in page
