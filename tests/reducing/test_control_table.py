"""A control is compared with its engine question by question, and no other result knows of it."""

from dataclasses import replace
from pathlib import Path

import pytest
from support.hand_made_runs import (
    LONG,
    SHORT,
    benchmark,
    polls,
    reduce_run,
    sweep_of,
    to_do,
    write_part,
)

from actors.kv.full import Full
from actors.kv.streaming_llm import StreamingLLM
from raysweep.planning import backends
from raysweep.reducing.reduce import Reduction
from raysweep.run_config import RunConfig
from raysweep.storage import result_files
from raysweep.storage.comparison_schemas import CONTROLS
from raysweep.storage.store import Store

QUESTIONS = benchmark("sums", 4)
RIGHT, WRONG = ("right",) * 4, ("12",) * 4
OF_VLLM = {
    "sums-0": RIGHT,
    "sums-1": RIGHT,
    "sums-2": ("right", "right", "12", "12"),
    "sums-3": WRONG,
}
OF_TORCH = {"sums-0": RIGHT, "sums-1": WRONG, "sums-2": WRONG, "sums-3": WRONG}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(backends, "vllm_installed", lambda: True)
    return Store(str(tmp_path))


def a_config(control: bool = True) -> RunConfig:
    on_gpus = sweep_of(
        backend="auto",
        control=control,
        kv_policies=(Full(), StreamingLLM(4, 60)),
        benchmarks=(QUESTIONS,),
    )
    return replace(on_gpus, cluster=replace(on_gpus.cluster, gpus_per_actor=1.0))


def reduced(config: RunConfig, store: Store, leave_out: tuple[str, ...] = ()) -> Reduction:
    for shard in to_do(config, store):
        if shard.engine.control and shard.questions[0].question_id in leave_out:
            continue
        says = OF_TORCH if shard.engine.backend == "torch" else OF_VLLM
        write_part(store, shard, polls(says))
    return reduce_run(config, store)


def control_at(reduction: Reduction, token_budget: int, group_size: int) -> dict:
    (row,) = (
        row
        for row in reduction.tables[result_files.CONTROLS].to_pylist()
        if (row["token_budget"], row["group_size"]) == (token_budget, group_size)
    )
    return row


def test_the_difference_of_two_backends_is_paired_by_question(store: Store):
    row = control_at(reduced(a_config(), store), LONG, 1)
    assert (row["backend"], row["control_backend"]) == ("vllm", "torch")
    assert row["engine_id"] == "toy.bf16.full" and row["control_id"] == "toy.bf16.full.control"
    assert (row["accuracy"], row["control_accuracy"]) == (2.5 / 4, 1 / 4)
    # By question the differences are 0, 1, 1/2 and 0. Student's quantile for 3 degrees of freedom is 3.182.
    error = ((2 * 0.375**2 + 0.625**2 + 0.125**2) / 3 / 4) ** 0.5
    assert row["difference"] == 0.375
    assert row["difference_hi"] - 0.375 == pytest.approx(3.182 * error, rel=0.01)
    assert 0.375 - row["difference_lo"] == pytest.approx(3.182 * error, rel=0.01)
    assert row["n_questions"] == 4 and row["complete"]


def test_every_token_budget_and_group_size_has_a_row_in_the_columns_of_the_contract(store: Store):
    reduction = reduced(a_config(), store)
    table = reduction.tables[result_files.CONTROLS]
    assert table.schema == CONTROLS and table.num_rows == 2 * 3
    assert store.read_table("controls.parquet").to_pylist() == table.to_pylist()
    alike = control_at(reduction, SHORT, 4)  # at the short budget every answer is right
    assert (alike["difference_lo"], alike["difference_hi"]) == (0, 0)


def test_only_questions_that_both_have_answered_are_compared(store: Store):
    row = control_at(reduced(a_config(), store, leave_out=("sums-1",)), LONG, 1)
    assert row["n_questions"] == 3 and not row["complete"]
    assert (row["accuracy"], row["control_accuracy"]) == pytest.approx((1.5 / 3, 1 / 3))


def test_no_other_result_knows_of_a_control(store: Store):
    without = reduced(a_config(control=False), store)
    reduction = reduced(a_config(), store)
    for name in result_files.REDUCED.keys() - {result_files.CONTROLS}:
        assert reduction.tables[name].equals(without.tables[name]), name
    assert without.tables[result_files.CONTROLS].num_rows == 0
    counted = ("scenarios", "scenarios_skipped", "thresholds")
    assert [reduction.summary[key] for key in counted] == [without.summary[key] for key in counted]
    assert (without.summary["samples"], reduction.summary["samples"]) == (32, 48)
