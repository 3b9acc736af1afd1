"""An adaptive run in words: plan, status, what was stopped and saved, and what is guaranteed."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from support.adaptive_runs import an_adaptive_config, run_here
from support.report_page import RESULTS

from raysweep.adaptive.course import BenchmarkCourse, Decision, StoppedEngine, course_of
from raysweep.planning import saving
from raysweep.planning.cost import Cost
from raysweep.planning.saving import Simulated, expected_share
from raysweep.reporting.adaptive_page import adaptive_section
from raysweep.reporting.adaptive_plan import rounds_lines
from raysweep.reporting.adaptive_text import (
    adaptive_lines,
    asked_for,
    course_from,
    course_lines,
    guarantee,
    never_judged,
    other_than_sampled,
    stopped_in_words,
)
from raysweep.reporting.page import render
from raysweep.run_config import Adaptive, Requirements
from raysweep.stages.folder_view import FolderView
from raysweep.storage.store import Store

CONFIG = an_adaptive_config(shard_questions=20, shard_samples=16)
FRONTIER = Adaptive(0.01, 0.05)
COURSE = BenchmarkCourse(
    benchmark="chain",
    samples=32,
    engines=4,
    configurations=40,
    decisions=(Decision(4, 3.1, 500, 10, 30, 3), Decision(8, 3.2, 300, 5, 25, 2)),
    done=True,
    never_judged=3,
    stopped_engines=2,
    largest=(
        StoppedEngine("big.full", 4, ("big.full", 64, 1), ("small.full", 32, 2), 0.003),
        StoppedEngine("huge.full", 0),
    ),
)


def summary(**changes: Any) -> dict[str, Any]:
    noted = {
        "epsilon": 0.01,
        "delta": 0.05,
        "memory_bytes": None,
        "batch_size": 1,
        "samples": 32,
        "done": True,
        "benchmarks": [asdict(COURSE)],
        "made": {"tokens": 300, "gpu_hours": 1.5, "usd": 3.0},
        "full_run": {"tokens": 1000, "gpu_hours": 6.0, "usd": 12.0},
        "guarantee": guarantee(FRONTIER, 32, 1),
        "never_judged": never_judged(3),
    }
    return {"adaptive": {**noted, **changes}}


def test_the_guarantee_is_a_sentence_on_the_full_runs_samples_and_not_on_other_questions():
    said = guarantee(FRONTIER, 32, 1)
    assert said.startswith(
        "With a probability of 95%, the frontier of these questions is within 1 point of the one that all "
        "32 samples would show; this is about the chance of sampling"
    )
    assert said.count(".") == 1 and "other questions" in said
    assert "on each benchmark" in guarantee(FRONTIER, 32, 2)


def test_of_a_memory_it_is_that_nothing_within_it_is_better():
    said = guarantee(Adaptive(0.02, 0.1, memory_bytes=24e9, batch_size=16), 16, 1)
    assert said.startswith(
        "With a probability of 90%, no configuration within 24 GB for 16 questions at once is better by more "
        "than 2 points than the best of those that were sampled to the end, by all 16 samples"
    )


def test_without_an_epsilon_nothing_is_lost():
    assert "is no worse than the one" in guarantee(Adaptive(0.0, 0.05), 8, 1)
    assert "is better than the best" in guarantee(Adaptive(0.0, 0.05, memory_bytes=1e9), 8, 1)


@pytest.mark.parametrize(("count", "words"), [(1, "1 configuration that was"), (9, "9 configu")])
def test_it_says_how_many_were_never_judged(count: int, words: str):
    assert words in never_judged(count)
    assert never_judged(0) == ""


def test_what_is_asked_for():
    assert asked_for(None, 1, 0.01, 0.05) == "the frontier up to 1 point, with a probability of 95%"
    assert asked_for(24e9, 16, 0.005, 0.05).startswith(
        "the best within 24 GB for 16 questions at once up to 0.5 points"
    )


def test_status_says_the_round_and_which_engines_are_out_and_why():
    assert [text for _, text in course_lines([COURSE], 32)] == [
        "chain: 32 of 32 samples per question, every decision is made; 2 of 4 engines and 15 of 40 "
        "configurations are out",
        "  big.full after 4 samples: at 64 tokens and G = 1, small.full with 32 tokens and G = 2 is at "
        "most 0.3 points worse",
        "  huge.full never starts: it does not fit the memory",
    ]


def test_a_negative_margin_says_that_the_other_is_better():
    beaten = replace(COURSE.largest[0], margin=-0.021)
    assert stopped_in_words(beaten).endswith("is at least 2.1 points better")


def test_reduce_says_what_was_stopped_and_saved_and_promises():
    lines = [line.text for line in adaptive_lines(summary()["adaptive"])]
    assert lines[:3] == [
        "15 of 40 configurations stopped early",
        "300 tokens, 30.0% of the 1k of a full run",
        "1.50 GPU-hours, 25.0% of 6.00, by the cost model, $9.00 less",
    ]
    assert lines[3].startswith("With a probability of 95%") and lines[4].startswith("It does not")


def test_before_the_end_nothing_is_promised():
    unfinished = summary(done=False, guarantee=None, never_judged="")["adaptive"]
    said = [line.text for line in adaptive_lines(unfinished)]
    assert said[-1].startswith("not all rounds are done, so nothing is guaranteed")
    section = adaptive_section({"adaptive": unfinished})
    assert section is not None and section.promise == (
        "Not all rounds are done, so nothing is guaranteed yet.",
    )


def test_what_summary_json_holds_is_the_course():
    (one,) = course_from(summary()["adaptive"]["benchmarks"])
    assert one == COURSE


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(str(tmp_path_factory.mktemp("course")))
    run_here(CONFIG, store)
    return store


def test_the_course_counts_what_the_rounds_decided(store: Store):
    rounds = FolderView(CONFIG, store).rounds
    assert rounds is not None
    for one in course_of(rounds):
        race = rounds.races[one.benchmark]
        assert [d.samples for d in one.decisions] == [4, 8] and one.done
        assert sum(d.stopped for d in one.decisions) == len(race.stopped_at) == one.stopped
        assert one.decisions[-1].engines == len(race.looks[-1].budgets)
        assert one.stopped_engines == one.engines - one.decisions[-1].engines
        for engine in one.largest:
            assert engine.out is not None and engine.out[0] == engine.engine_id
            assert engine.samples in (4, 8)


def test_a_plan_says_when_it_decides_and_what_that_costs(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(saving, "simulated", lambda: (Simulated("frontier", 0.01, 30, 0.3),))
    lines = list(rounds_lines(CONFIG, Cost(2_880_000, 12.0, 80.0), Cost(23_000_000, 96.0, 640.0)))
    assert [line.text for line in lines] == [
        "decisions after 4, 8 of 16 samples of each question",
        "for the frontier up to 2 points, with a probability of 95%",
        "the rounds so far take ≤ 2.88M tokens, 12 GPU-hours, $80",
        "every sample would take ≤ 23M tokens, 96 GPU-hours, $640",
        "simulated runs like the study's needed 30% of the GPU-seconds",
    ]
    assert all(len(line.text) <= 70 for line in lines)


def test_the_expected_saving_is_that_of_no_larger_epsilon_and_between_numbers_of_questions(
    monkeypatch: pytest.MonkeyPatch,
):
    rows = (
        Simulated("frontier", 0.01, 10, 0.4),
        Simulated("frontier", 0.01, 1000, 0.2),
        Simulated("frontier", 0.05, 10, 0.1),
        Simulated("memory", 0.01, 10, 0.05),
    )
    monkeypatch.setattr(saving, "simulated", lambda: rows)
    share = expected_share(CONFIG.sweep)  # epsilon is 0.02, with 20 and 10 questions
    assert share is not None and 0.35 < share < 0.4
    tighter = replace(CONFIG.sweep, adaptive=Adaptive(0.001, 0.05))
    assert expected_share(tighter) is None
    memory = replace(CONFIG.sweep, adaptive=Adaptive(0.01, 0.05, memory_bytes=1e9))
    assert expected_share(memory) == pytest.approx(0.05)


def test_the_page_has_the_rounds_the_guarantee_and_what_was_stopped():
    html = render(replace(RESULTS, summary={**RESULTS.summary, **summary()}))
    assert "What was stopped early" in html and "With a probability of 95%" in html
    assert "25 of 40" in html and "huge.full never starts" in html
    assert "What was stopped early" not in render(RESULTS)


def test_a_recommendation_for_another_memory_says_what_was_sampled_for():
    memory = Adaptive(0.01, 0.05, memory_bytes=24e9)
    config = replace(CONFIG, sweep=replace(CONFIG.sweep, adaptive=memory))
    same = replace(config, recommend=Requirements(24e9, 1, None, None))
    assert other_than_sampled(same) == "" == other_than_sampled(CONFIG)
    said = other_than_sampled(replace(config, recommend=Requirements(8e9, 1, None, None)))
    assert said.startswith("the run sampled for the best within 24 GB up to 1 point")


def test_a_memorys_page_says_that_its_frontier_is_not_a_full_runs():
    section = adaptive_section(summary(memory_bytes=24e9))
    assert section is not None and section.alone.startswith("Only the best within 24 GB was asked")


def test_nothing_of_a_run_that_is_not_adaptive(tmp_path: Path):
    assert adaptive_section({}) is None and adaptive_section({"adaptive": None}) is None
