"""Samples are added to a folder only with the prompts that its samples have."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from support import tiny_models
from support.command import Command
from support.nouns import a_benchmark
from support.parts import read_file

from raysweep.benchmarks import chain
from raysweep.configuration import checkpoint_folder
from raysweep.errors import ConfigError
from raysweep.spec import Benchmark, ModelSpec
from raysweep.storage.part import Part, prompt_name
from raysweep.storage.store import Store
from raysweep.system.exit_status import DONE, WORK_REMAINS

BENCHMARK = a_benchmark()
MORE = 6  # samples, of which the folder has four


def parts_of(run: Command) -> list[Part]:
    return list(Store(str(run.out / "test")).parts())


def rewrite(run: Command, **changes: Any) -> None:
    """Change what each part says of itself."""
    store = Store(str(run.out / "test"))
    for name in store.part_names():
        part, table = read_file(store, name)
        store.write_part(replace(part, **changes), table)


@pytest.fixture
def older(run: Command) -> Command:
    """A complete run whose parts have schema version 1."""
    run("generate")
    rewrite(run, version=1, prompts={}, golds={})
    return run


def test_a_part_names_the_prompt_of_each_question(run: Command):
    run("generate")
    prompts = {q.question_id: prompt_name(q.prompt) for q in BENCHMARK.questions}
    for part in parts_of(run):
        assert part.version == 2
        assert part.prompts == {question_id: prompts[question_id] for question_id in part.questions}


@pytest.mark.parametrize("stage", ["plan", "generate"])
def test_no_sample_is_added_beside_those_of_another_prompt(run: Command, stage: str):
    run("generate")
    first = next(iter(parts_of(run)[0].questions))
    rewrite(run, prompts={q.question_id: prompt_name("Hm") for q in BENCHMARK.questions})
    with pytest.raises(ConfigError) as raised:
        run(stage, samples=MORE)
    assert str(raised.value) == (
        f"run: the chat template of toy now renders another prompt for {first} of sums than the one with "
        f"which the samples in {run.out}/test were made; choose another run=NAME, or restore the model's "
        "tokenizer files (stages=[show] prints the prompt)"
    )


def test_two_prompts_of_a_question_are_never_reduced_together(run: Command):
    run("generate")
    first = Store(str(run.out / "test")).part_names()[0]
    store = Store(str(run.out / "test"))
    part, table = read_file(store, first)
    store.write_part(replace(part, prompts=dict.fromkeys(part.questions, "another")), table)
    with pytest.raises(ConfigError, match=r"have samples of sums-. with different prompts; remove"):
        run("reduce")


@pytest.mark.parametrize("stage", ["plan", "generate"])
def test_no_sample_is_added_to_an_older_folder(older: Command, stage: str):
    with pytest.raises(ConfigError) as raised:
        older(stage, samples=MORE)
    assert str(raised.value) == (
        f"run: samples are missing, but none can be added to {older.out}/test, because those in it have "
        "schema version 1 and do not name their prompts; choose another run=NAME, or use what it has "
        "with stages=[reduce,report]"
    )


def test_an_older_folder_that_is_complete_is_used_as_before(older: Command):
    status, said = older("plan", "regrade", "generate", "reduce", "verify")
    assert status == DONE and "nothing to do" in said and "no problem found" in said


def test_an_older_folder_that_is_incomplete_is_reduced(older: Command):
    status, said = older("reduce", samples=MORE)
    assert status == WORK_REMAINS and "another run=NAME can make them" in said


def test_a_part_that_is_graded_again_keeps_its_version(older: Command):
    corrected = replace(BENCHMARK.questions[0], gold="7")
    questions = (corrected, *BENCHMARK.questions[1:])
    older("regrade", benchmarks=(replace(BENCHMARK, questions=questions),))
    assert {(part.version, *part.prompts) for part in parts_of(older)} == {(1,)}


DATED = "{{ strftime_now('%d %B') }}<|im_start|>user\n{{ messages[0].content }}<|im_end|>\n"
SHORT = Benchmark("chain", tuple(chain.questions(2, seed=3)), "integer", "\nThe answer is", 4)


def a_dated_model(folder: Path) -> ModelSpec:
    """The smallest shipped model with the day in its prompts."""
    tiny_models.copy_naming(folder, tiny_models.smallest(), "<|im_end|>", [2], 2)
    (folder / "chat_template.jinja").write_text(DATED)
    family = replace(tiny_models.FAMILY, prompt_date="2026-02-03")
    found = checkpoint_folder.inspect(folder, "model")
    return ModelSpec("dated", family, str(folder), found.revision, found.architecture)


def clock_at(day: int) -> type[datetime]:
    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2030, 1, day)

    return Clock


@pytest.fixture
def on_day(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sets the clock of all that renders chat templates in this process."""

    def set_day(day: int) -> None:
        monkeypatch.setattr("raysweep.configuration.chat_template.datetime", clock_at(day))
        monkeypatch.setattr("transformers.utils.chat_template_utils.datetime", clock_at(day))

    return set_day


def samples_of(run: Command) -> dict[tuple[str, int], list[int]]:
    store = Store(str(run.out / "test"))
    rows = [row for name in store.part_names() for row in store.read_table(name).to_pylist()]
    return {(row["question_id"], row["sample_index"]): row["token_ids"] for row in rows}


def test_a_run_that_goes_on_tomorrow_has_the_samples_of_a_calm_one(
    run: Command, tmp_path: Path, on_day: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
):
    grid = {"models": (a_dated_model(tmp_path / "dated"),), "benchmarks": (SHORT,)}
    made = {**grid, "backend": "torch", "token_budgets": (8, 16)}
    calm = Command(tmp_path / "calm", run.capsys)
    on_day(7)
    assert calm("generate", **made)[0] == DONE
    assert run("generate", **made, samples=2)[0] == DONE
    on_day(8)
    status, said = run("generate", "reduce", "verify", **made)
    assert status == DONE and "no problem found" in said
    assert samples_of(run) == samples_of(calm)
