"""A plan says in two lines per number of questions what they can decide, and what more would buy."""

from typing import Any

import pytest
from support.nouns import a_benchmark, a_model, a_run_config

from raysweep.planning import power as planning
from raysweep.planning.plan import make_plan
from raysweep.planning.power import Simulated
from raysweep.reporting.power_text import chance, power_lines


@pytest.fixture(autouse=True)
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = (Simulated(30, 16, 40, 0), Simulated(60, 16, 40, 13), Simulated(500, 16, 40, 40))
    for module in (planning, __import__("raysweep.reporting.power_text", fromlist=["_"])):
        monkeypatch.setattr(module, "simulated", lambda: rows)


def said(**changes: Any) -> list[str]:
    models = tuple(a_model(f"toy-{layers}", layers=layers) for layers in (1, 2, 3))
    grid = {
        "models": models,
        "samples": 16,
        "group_sizes": (1, 2),
        "benchmarks": (a_benchmark(30),),
    }
    config = a_run_config(**{**grid, **changes})
    return [f"{line.label}|{line.text}" for line in power_lines(config, make_plan(config, ()))]


def test_a_benchmark_has_two_lines_between_what_they_are_and_what_they_assume():
    assert said() == [
        "power|± of an accuracy, ± between two models, chance to decide a threshold",
        "|sums, 30 questions × 16 samples: ±12.2, ±7.9, <10%",
        "|60 questions: ±8.6, ±5.4, 30%; 32 samples: ±11.9, ±7.0, <10%",
        "|95% intervals in points at 50% accuracy, for typical questions",
        f"|chances by 40 simulated runs: {planning.WORLD}",
    ]


def test_benchmarks_of_one_size_share_their_lines():
    own = tuple(a_benchmark(count, name=name) for name, count in (("a", 30), ("b", 60), ("c", 30)))
    lines = said(benchmarks=own)
    assert [line.split(":")[0] for line in lines[1:5:2]] == [
        "|a, c, 30 questions × 16 samples",
        "|b, 60 questions × 16 samples",
    ]
    assert len(lines) == 7


def test_fewer_than_three_sizes_cannot_be_asked_for_a_threshold():
    lines = said(models=(a_model("toy-1", layers=1), a_model("toy-2", layers=2)))
    assert not any("threshold" in line for line in lines[:-1])
    assert lines[1] == "|sums, 30 questions × 16 samples: ±12.2, ±7.9"
    assert lines[-1] == "|no threshold can be asked: 2 effective sizes, and 3 are needed"


def test_one_number_of_tokens_cannot_be_asked_for_a_threshold():
    lines = said(token_budgets=(8,), group_sizes=(1,))
    assert "no threshold can be asked: only one number of tokens" in lines[-1]


def test_a_single_question_says_so():
    assert (
        said(benchmarks=(a_benchmark(1),))[1] == "|sums: a single question says nothing of others"
    )


@pytest.mark.parametrize(
    ("share", "words"),
    [(0.0, "<10%"), (0.04, "<10%"), (0.36, "40%"), (0.97, ">90%"), (1.0, ">90%")],
)
def test_a_chance_is_told_in_steps_of_ten_percent(share: float, words: str):
    assert chance(share) == words
