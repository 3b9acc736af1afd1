"""The stage traces: which engines it writes, what it says first, and a question in the terminal."""

from pathlib import Path

import pytest
from support.hand_made_runs import LONG, SHORT
from support.traced_run import (
    ENGINE,
    ESCAPES,
    HOSTILE,
    SHOWN,
    THOUGHT,
    TWIN,
    staged,
    store_of,
    traced_run,
)

from raysweep.errors import ConfigError
from raysweep.reporting.results import read_results
from raysweep.reporting.trace_choice import chosen_engines, read_choice
from raysweep.reporting.traces_page import traces_address
from raysweep.run_config import RunConfig
from raysweep.run_config.outputs import Traces
from raysweep.storage.store import Store


@pytest.fixture(scope="module")
def reduced(tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    return traced_run(tmp_path_factory.mktemp("reduced"), "reduce")


def test_a_question_is_printed_with_cuts_answers_and_votes(
    reduced: RunConfig, capsys: pytest.CaptureFixture[str]
):
    capsys.readouterr()
    staged(reduced, "traces", traces=Traces((ENGINE,), 1, "sums-0"))
    said = capsys.readouterr().out
    lines = said.splitlines()
    assert lines[0] == "question  sums-0 of sums"
    assert f"What is this? {HOSTILE}{SHOWN}" in lines
    assert not set(ESCAPES) & set("\x1b\x07\u202e") & set(said)
    assert f"vote      of the first 1 at {LONG}: right, right, by 1 vote" in lines
    assert (
        f"vote      of the first 4 at {SHORT}: 12, wrong, by 2 votes; right has 1; 1 unanswered"
        in lines
    )
    assert (
        f"vote      of the first 4 at {LONG}: a tie of 2, right, right, and 13, wrong, by 1 vote each; "
        "1 cut off; 1 error" in lines
    )
    first = lines.index(THOUGHT[:SHORT])
    assert lines[first + 1] == f"──────── after {SHORT} tokens"
    assert lines[first + 2] == f"budget    {SHORT}, closed by force: wrong 12"
    assert "sample    1" not in said and TWIN not in said


def test_without_a_choice_the_engine_with_the_best_estimate_is_printed(
    reduced: RunConfig, capsys: pytest.CaptureFixture[str]
):
    capsys.readouterr()
    staged(reduced, "traces", traces=Traces((), 1, "sums-1"))
    said = capsys.readouterr().out
    assert said.count("\nengine    ") == 1
    assert "traces.engines=['PATTERN'] chooses other engines" in said


def test_engines_of_a_frontier_and_the_full_cache_are_chosen_unless_patterns_are_given(
    reduced: RunConfig,
):
    choice = read_choice(store_of(reduced))
    others = [ENGINE, "toy.bf16.streaming_llm-8", TWIN]
    assert chosen_engines((), others, choice, "sums") == [ENGINE, TWIN]
    assert chosen_engines(("*.streaming*",), others, choice, "sums") == ["toy.bf16.streaming_llm-8"]
    with pytest.raises(ConfigError, match=r"'none\.\*' matches no engine of the run"):
        chosen_engines(("none.*",), others, choice, "sums")


def test_the_size_is_said_before_the_files_are_written(
    reduced: RunConfig, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    def refuse(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Store, "write_text", refuse)
    capsys.readouterr()
    with pytest.raises(KeyboardInterrupt):
        staged(reduced, "traces")
    said = capsys.readouterr().out
    assert "sums: 2 engines, 2 questions, the texts of 2 of 4 samples: about" in said
    assert ", 9 files" in said


def test_the_report_links_to_the_pages_once_they_are_there(tmp_path: Path):
    config = traced_run(tmp_path, "reduce")
    store = store_of(config)
    assert traces_address(read_results(store), store) is None
    staged(config, "traces")
    assert traces_address(read_results(store), store) == "traces/"
    assert store.exists("report/traces/sums.html")


def test_traces_of_a_run_that_is_not_reduced_are_refused(tmp_path: Path):
    config = traced_run(tmp_path, "plan")
    with pytest.raises(
        ConfigError, match=r"scores\.parquet is missing; run the stage 'reduce' first"
    ):
        staged(config, "traces")


def test_a_damaged_part_is_named_and_the_others_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    config = traced_run(tmp_path, "reduce")
    damaged = sorted(Path(config.out).glob("test/samples/engine=toy.*/*.parquet"))[0]
    damaged.write_bytes(damaged.read_bytes()[:-9])
    assert staged(config, "traces", traces=Traces((ENGINE,), 4, "sums-0")) == 0
    assert staged(config, "traces", traces=Traces((ENGINE,), 4, "sums-1")) == 0
    said = capsys.readouterr().out
    assert said.count("it was set aside") == 1
    assert said.count("\nsample    ") == 6
