"""The real model on the vLLM engine: a sweep to its report, and what a batch does to a sample."""

from pathlib import Path

from support.tiny_models import run
from with_real_model.real_model import ARCHITECTURE, FOLDER, requests
from with_real_model.sweeps import TRACES, engines, samples, summary, sweep
from with_vllm.engines import MakeEngine


def test_a_sweep_runs_to_its_report(tmp_path: Path):
    sweep(tmp_path, "sweep.backend=vllm", "sweep.weights=[bf16]", "sweep.kv_policies=[full]")
    assert [engine["backend"] for engine in engines(tmp_path)] == ["vllm"]
    assert summary(tmp_path)["outcomes"]["error"] == 0
    assert len(samples(tmp_path)) == TRACES
    assert (tmp_path / "real" / "report" / "index.html").exists()


def test_a_batch_changes_samples_in_16_bit_and_none_is_called_batch_invariant(
    make_engine: MakeEngine,
):
    """A tiny model hides what rounding does. Here two tokens are often nearly as likely."""
    wanted = requests(32, temperature=1.0)
    together, alone = (
        run(make_engine("smollm2", rows, path=str(FOLDER), architecture=ARCHITECTURE), wanted)
        for rows in (len(wanted), 1)
    )
    changed = [k for k in wanted if together[k].token_ids != alone[k].token_ids]
    assert changed
    assert {trace.reproducible for trace in (*together.values(), *alone.values())} == {"seeded"}
