"""The stage recommend: a readable answer, a file, and one line for bad input."""

import json
from dataclasses import replace
from typing import Any

import pytest
from support.candidates import contest, rival
from support.command import Command

import raysweep
from raysweep.analysis.recommend import recommend
from raysweep.errors import ConfigError
from raysweep.reporting.recommendation_text import ServedRecommendation
from raysweep.reporting.serving import Serving
from raysweep.run_config import Requirements
from raysweep.system.exit_status import DONE

SERVING = Serving(backend="vllm", command="vllm serve toy", request={}, notes=())


def wish(**changes: Any) -> Requirements:
    wanted = {"memory_bytes": 1e6, "batch_size": 2, "benchmark": None, "max_token_budget": None}
    return Requirements(**{**wanted, **changes})


@pytest.fixture
def reduced(run: Command) -> Command:
    run("plan", "generate", "reduce")
    return run


def test_it_says_what_is_best_what_it_rests_on_and_how_to_serve_it(reduced: Command):
    status, said = reduced("recommend", recommend=wish())
    assert status == DONE
    assert "sums within 1 MB for a batch of 2 questions:" in said
    assert "toy bf16, full KV" in said
    assert "chosen from 4 that fit" in said
    assert "vllm serve models/toy" in said
    assert f"{reduced.out}/test/recommendation.json" in said


def test_the_file_has_the_numbers_of_the_answer(reduced: Command):
    reduced("recommend", recommend=wish())
    (answer,) = json.loads((reduced.out / "test" / "recommendation.json").read_text())
    assert (answer["benchmark"], answer["batch_size"], answer["considered"]) == ("sums", 2, 4)
    best = answer["best"]
    assert best["memory_bytes"] == best["weights_bytes"] + 2 * best["kv_bytes"]
    assert answer["accuracy_lo"] <= answer["accuracy"] <= answer["accuracy_hi"]
    assert answer["compared"] == 3
    assert answer["serving"]["backend"] == "vllm"
    table = raysweep.open_run(str(reduced.out / "test")).scenarios
    assert answer["measured"] == pytest.approx(table.accuracy.max())


def test_it_says_how_many_were_compared_and_which_of_them_measured_better():
    found = recommend(
        contest(rival(10, 2, 0.5), rival(10, 1, 0.5, token_budget=50), noise=0.2, seed=1), 1e3
    )
    (other,) = found.alternatives
    ahead = replace(
        found, alternatives=(replace(other, behind=-0.02, behind_lo=-0.1, behind_hi=0.06),)
    )
    for one, side in ((found, "worse"), (ahead, "better")):
        said = ServedRecommendation(one, SERVING).text().plain
        assert (
            "1 of 1 other is statistically indistinguishable by a test of all comparisons" in said
        )
        assert f"points {side} (95% interval" in said
    assert "2.0 points better (95% interval −6.0 to 10.0)" in said
    none = replace(found, alternatives=())
    said = ServedRecommendation(none, SERVING).text().plain
    assert "the other configuration is significantly worse" in said


def test_a_neighbour_that_gains_nothing_is_said_to_in_place_of_an_interval():
    found = recommend(contest(rival(10, 1, 0.5), rival(20, 1, 0.6)), 15)
    assert found.more is not None
    nothing = replace(found.more, gain=0.0, gain_lo=0.0, gain_hi=0.0)
    said = ServedRecommendation(replace(found, less=nothing, more=nothing), SERVING).text().plain
    assert "expected 60.0%, no gain expected" in said
    assert "expected 60.0%, no loss expected" in said
    last = ServedRecommendation(replace(found, more=None), SERVING).text().plain
    assert "with more memory: no other has a better estimate" in last


def test_too_little_memory_names_the_smallest_configuration(reduced: Command):
    with pytest.raises(
        ConfigError, match=r"recommend\.memory_gb: no configuration of sums fits in 1e-08 GB"
    ):
        reduced("recommend", recommend=wish(memory_bytes=10))


def test_results_that_are_not_there_are_to_be_made_first(run: Command):
    with pytest.raises(ConfigError, match=r"scores\.parquet is missing; run the stage 'reduce'"):
        run("recommend", recommend=wish())


def test_a_benchmark_without_scenarios_says_which_stages_make_them(run: Command):
    run("plan", "reduce")
    with pytest.raises(
        ConfigError, match=r"'sums' has no scenarios yet; run the stages 'generate'"
    ):
        run("recommend", recommend=wish())
