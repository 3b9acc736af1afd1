"""The benchmark runs and says what it measured; its figures are for an idle machine, not for a test."""

from pathlib import Path

import pytest

from benchmarks.actor_overhead import Scale, report


@pytest.mark.slow
def test_the_overhead_of_the_actor_is_measured_beside_vllms_own_generate(tmp_path: Path):
    scale = Scale(traces=6, tokens=16, rows=2, shard_questions=2, forks=2, repeats=1)
    text = report(scale, tmp_path)
    assert text == (tmp_path / "actor_overhead.md").read_text()
    for name in ("LLM.generate: traces", "actor, Ray, Parquet: traces, answers at 2 budgets"):
        assert f"| {name} |" in text
