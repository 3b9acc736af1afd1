"""The stages one by one, on the fake engine without Ray: what they print, write, and return."""

import json
import os
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from support.command import Command, an_outcome, generate_here
from support.nouns import a_benchmark

from raysweep.driver import generate
from raysweep.driver.generate import Outcome
from raysweep.errors import ConfigError
from raysweep.grading import sandbox
from raysweep.run_config import Gpu, Pool
from raysweep.scheduling.losses import Failure
from raysweep.shard import Shard
from raysweep.spec import Question
from raysweep.storage.lease import take_lease
from raysweep.storage.store import Store
from raysweep.system.exit_status import DONE, WORK_REMAINS


def test_reduce_counts_the_samples_that_are_there_whatever_an_earlier_plan_said(run: Command):
    run("plan", "generate", "reduce", samples=2)
    status, said = run("generate", "reduce", samples=4)
    assert status == DONE
    assert "4 scenarios from 12 samples" in said


def test_reduce_of_what_was_not_generated_says_what_is_missing_and_who_makes_it(run: Command):
    run("plan", "generate", "reduce", samples=2, group_sizes=(1, 2))
    status, said = run("reduce", samples=4, group_sizes=(1, 2, 4))
    assert status == WORK_REMAINS
    assert "2 of 4 shards are missing" in said
    assert "2 scenarios could not be computed" in said
    assert "the stage generate makes the missing samples" in said


@pytest.mark.parametrize("content", ["identity: 3", "identity: [a]", "[", "seed: 0", "\xff"])
def test_a_folder_that_cannot_say_what_its_samples_are_is_refused(run: Command, content: str):
    folder = run.out / "test"
    folder.mkdir()
    (folder / "config.yaml").write_bytes(content.encode("latin-1"))
    with pytest.raises(
        ConfigError, match="it is unknown how its samples were made; choose another run"
    ):
        run("plan")


@pytest.mark.parametrize("content", ["", '{"wall_s": 1', "[]", "\xff"])
def test_a_damaged_summary_is_written_anew(run: Command, content: str):
    run("generate")
    (run.out / "test" / "summary.json").write_bytes(content.encode("latin-1"))
    assert run("reduce")[0] == DONE
    assert (run.summary()["samples"], run.summary()["run"]) == (12, "test")


def test_plan_and_engine_tables_are_written_never_read(run: Command):
    run("plan", "generate")
    for name in ("plan.parquet", "engines.parquet"):
        (run.out / "test" / name).write_bytes(b"damaged")
    assert run("generate", "reduce")[0] == DONE


def test_a_path_is_printed_as_it_is_even_if_it_looks_like_markup(run: Command):
    run.out = run.out / "p[" / "y]"
    status, said = run("generate", "reduce", "report")
    assert status == DONE
    assert f"{run.out}/test/report/index.html" in said


def test_a_reason_is_printed_as_it_is_even_if_it_looks_like_markup(
    run: Command, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: Any, **__: Any) -> Outcome:
        return an_outcome(failures=(Failure("aa", "toy[red]", "KeyError: [/a]", "sums"),))

    monkeypatch.setattr(generate, "generate", fail)
    status, said = run("generate")
    assert status == WORK_REMAINS
    assert "1 shard of toy[red] on sums: KeyError: [/a]" in said
    assert "some of 4 shards remain; repeat the same command to continue" in said


@pytest.mark.parametrize(
    ("stopped", "why"),
    [("", "no node had capacity for their engine"), ("StorageError: full [/a]",) * 2],
)
def test_samples_that_never_started_are_counted_with_the_reason_and_the_run_is_not_done(
    run: Command, monkeypatch: pytest.MonkeyPatch, stopped: str, why: str
):
    monkeypatch.setattr(generate, "generate", lambda *_, **__: an_outcome(left=7, stopped=stopped))
    status, said = run("generate")
    assert status == WORK_REMAINS
    assert f"7 samples never started: {why}" in said


def test_time_and_faults_of_an_interrupted_session_count(
    run: Command, monkeypatch: pytest.MonkeyPatch
):
    def interrupted(*_: Any, ended: Callable[[Outcome], None], **__: Any) -> Outcome:
        ended(an_outcome(wall_s=2.5, faults={"actor": 2, "node": 1}))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(generate, "generate", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run("generate")
    run("generate")
    assert (run.summary()["wall_s"], run.summary()["faults_survived"]) == (3.5, 3)


def test_stages_that_make_no_samples_leave_the_record_of_what_made_them(run: Command):
    run("plan", "generate", samples=2)
    before = run.record()
    run("reduce", samples=8)
    assert run.record() == before
    run("plan", samples=8)
    assert run.record()["configuration"]["sweep"]["samples"] == 8


def test_the_folder_is_checked_whatever_the_stages(run: Command):
    run("plan")
    with pytest.raises(ConfigError, match="seed: 1 differs from 0"):
        run("reduce", seed=1)


def test_versions_on_record_are_those_with_which_samples_were_last_made(run: Command):
    run("plan", "generate", "reduce", samples=2)
    run.version = "2"
    said = run("plan", "generate", "reduce", samples=2)[1]
    assert "nothing to do" in said
    assert run.record()["versions"] == run.summary()["versions"] == {"raysweep": "1"}
    run("generate", "reduce", samples=4)
    assert run.record()["versions"] == run.summary()["versions"] == {"raysweep": "2"}


def test_gpu_hours_are_those_of_the_actors_that_ran(run: Command):
    run("generate", gpus_per_actor=0.5, actors=None)
    assert run.summary()["gpu_hours"] == pytest.approx(1 / 3600)


def test_generate_tidies_up_behind_killed_writers(run: Command):
    leftover = run.out / "test" / "samples" / "engine=toy" / ".shard-aa.parquet.01.tmp"
    leftover.parent.mkdir(parents=True)
    leftover.write_bytes(b"half")
    os.utime(leftover, (0, 0))
    run("generate")
    assert not leftover.exists()


def test_programs_are_not_generated_where_they_could_not_be_graded(
    run: Command, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sandbox, "trouble", lambda: "there is no bwrap")
    tests = json.dumps({"tests": [{"input": "", "output": "42"}]})
    questions = (Question("code-0", "Print 42.", tests),)
    programs = a_benchmark(grader="code", questions=questions)
    with pytest.raises(
        ConfigError, match=r"sweep.benchmarks\[0\].grader: .* there is no bwrap; install"
    ):
        run("generate", benchmarks=(programs,))
    assert not (run.out / "test" / "samples").exists()
    assert (
        run("plan", "reduce", benchmarks=(programs,))[0] == WORK_REMAINS
    )  # These stages run no program.
    unsandboxed = a_benchmark(grader="code_unsandboxed", questions=questions)
    assert run("generate", benchmarks=(unsandboxed,))[0] == DONE


@pytest.mark.parametrize("stage", ["plan", "generate"])
def test_a_gold_answer_that_the_grader_cannot_read_is_named_before_any_engine_starts(
    run: Command, stage: str
):
    questions = (Question("sums-0", "?", "1"), Question("sums-1", "?", "\\frac{1}{0"))
    with pytest.raises(ConfigError) as raised:
        run(stage, benchmarks=(a_benchmark(grader="mathematics", questions=questions),))
    assert "'\\\\frac{1}{0' of sums-1" in str(raised.value)
    assert not (run.out / "test" / "samples").exists()


def test_the_summary_names_the_graders(run: Command):
    run("generate", "reduce")
    assert run.summary()["graders"] == {"sums": "integer-2"}


def test_a_driver_that_is_taken_over_stops_with_3_and_a_line_and_leaves_the_tables_alone(
    run: Command, monkeypatch: pytest.MonkeyPatch
):
    """A retry begins while the first attempt is between two shards."""

    def overtaken(shards: Iterable[Shard], store: Store, *others: Any, **named: Any) -> Outcome:
        first, *rest = shards
        generate_here([first], store, *others, **named)
        take_lease(store.folder)
        store.fence()
        return generate_here(rest, store, *others, **named)

    monkeypatch.setattr(generate, "generate", overtaken)
    status, said = run("plan", "generate", "reduce")
    assert status == WORK_REMAINS
    assert "stopped another driver took over the run (epoch 2, host" in said
    assert len(list(Store(str(run.out / "test")).parts())) == 1
    assert not (run.out / "test" / "scenarios.parquet").exists()


def test_a_retry_takes_over_from_an_attempt_that_was_killed_and_says_so(run: Command):
    take_lease(Store(str(run.out / "test")).folder)
    status, said = run("plan", "generate")
    assert status == DONE
    assert "took over from a driver that had not ended (epoch 1, host" in said
    assert "took over" not in run("plan", "generate")[1]


def test_redoing_the_analysis_leaves_a_driver_alone_and_names_it(run: Command):
    run("plan", "generate", "reduce")
    driving = take_lease(Store(str(run.out / "test")).folder)
    status, said = run("reduce")
    assert status == DONE
    assert "note a driver of this run is running, or was killed (epoch 2, host" in said
    driving.check()


def test_bad_input_takes_nothing_over(run: Command):
    run("plan", "generate")
    driving = take_lease(Store(str(run.out / "test")).folder)
    with pytest.raises(ConfigError, match="seed: 1 differs"):
        run("plan", "generate", seed=1)
    driving.check()


# CUDA alone takes more than the first has.
SMALL = Pool(Gpu("small", 10**9, 1e12, 1e14))
LARGE = Pool(Gpu("large", 10**11, 1e12, 1e14))


def test_engines_that_no_gpu_holds_are_refused_unless_they_are_skipped(run: Command):
    with pytest.raises(ConfigError, match=r"no node of small holds toy\.bf16\.full"):
        run("generate", pools=(SMALL,), gpus_per_actor=None)
    assert not list(Store(str(run.out / "test")).parts())


def test_a_sweep_in_which_only_skipped_work_is_left_ends_with_3_and_larger_gpus_finish_it(
    run: Command,
):
    changes = {"gpus_per_actor": None, "unfit": "skip"}
    status, said = run("generate", pools=(SMALL,), **changes)
    assert status == WORK_REMAINS
    assert "skipped 4 shards of 1 engine that no node of the cluster holds: toy.bf16.full" in said
    assert run("status", pools=(SMALL,), **changes)[0] == WORK_REMAINS
    status, said = run("generate", pools=(LARGE,), **changes)
    assert status == DONE and "skipped" not in said
    assert run("generate", pools=(SMALL,), **changes)[0] == DONE
