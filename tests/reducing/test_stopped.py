"""What an adaptive run has stopped, in its results: marked, less certain, and compared with nothing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.adaptive_runs import an_adaptive_config, make_here, run_here
from support.candidates import contest, rival

from raysweep.analysis.recommend import recommend
from raysweep.analysis.uncertainty import score_interval
from raysweep.errors import ConfigError
from raysweep.finished_run import open_run
from raysweep.planning.plan import make_plan
from raysweep.reducing.reduce import Reduction
from raysweep.reducing.stopping import Stopping
from raysweep.reporting.results import read_candidates, read_results
from raysweep.run_config import RunConfig
from raysweep.stages.folder_view import FolderView
from raysweep.stages.reduce import reduce_folder
from raysweep.stages.savings import adaptive_summary, every_sample, stopping_of
from raysweep.storage.store import Store

CONFIG = an_adaptive_config(shard_questions=20, shard_samples=16)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The folder of an adaptive run whose rounds are all done."""
    store = Store(str(tmp_path_factory.mktemp("adaptive")))
    run_here(CONFIG, store)
    store.write_text("config.yaml", "identity: {}\n")
    return store


@pytest.fixture(scope="module")
def reduction(store: Store) -> Reduction:
    return reduced(CONFIG, store)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The folder of a run that made every sample."""
    store = Store(str(tmp_path_factory.mktemp("full")))
    make_here(make_plan(every_sample(CONFIG), ()).to_do, store)
    return store


def reduced(config: RunConfig, store: Store) -> Reduction:
    return reduce_folder(FolderView(config, store))


def stopped_rows(reduction: Reduction) -> list[dict]:
    return [row for row in reduction.scenarios.to_pylist() if row["stopped_at"] is not None]


def test_each_stopped_configuration_says_after_how_many_samples_it_was_out(store, reduction):
    rounds = FolderView(CONFIG, store).rounds
    assert rounds is not None
    races = rounds.races
    said = {
        (row["benchmark"], row["engine_id"], row["token_budget"], row["group_size"]): row[
            "stopped_at"
        ]
        for row in reduction.scenarios.to_pylist()
    }
    for name, race in races.items():
        out = {(name, *place): n for place, n in race.stopped_at.items()}
        assert {key: said[key] for key in out.keys() & said.keys()} == {
            key: out[key] for key in out.keys() & said.keys()
        }
        live = [key for key in said if key[0] == name and key not in out]
        assert live and all(said[key] is None for key in live)


def test_a_stopped_one_is_not_complete_and_its_interval_holds_at_all_looks(store, reduction):
    rows = stopped_rows(reduction)
    assert rows and not any(row["complete"] for row in rows)
    scores = {
        tuple(row[name] for name in ("engine_id", "benchmark", "token_budget", "group_size")): row[
            "scores"
        ]
        for row in store.read_table("scores.parquet").to_pylist()
    }
    for row in rows:
        key = (row["engine_id"], row["benchmark"], row["token_budget"], row["group_size"])
        own = np.array(scores[key])
        once, repeated = score_interval(own), score_interval(own, 1 - 0.05 / 3)
        assert (row["accuracy_lo"], row["accuracy_hi"]) == (repeated.low, repeated.high)
        assert repeated.high - repeated.low > once.high - once.low
        assert row["estimate"] is None and not row["on_frontier"]


def test_survivors_are_what_a_full_run_would_show(reduction, full: Store):
    names = ("engine_id", "benchmark", "token_budget", "group_size", "accuracy", "accuracy_hi")
    whole = reduced(every_sample(CONFIG), full).scenarios.to_pylist()
    wanted = {tuple(row[name] for name in names) for row in whole}
    live = [row for row in reduction.scenarios.to_pylist() if row["stopped_at"] is None]
    assert live and all(row["complete"] and row["n_samples"] == 16 for row in live)
    assert {tuple(row[name] for name in names) for row in live} <= wanted


def test_nothing_that_was_stopped_is_compared_with_anything(store, reduction):
    stopped = {
        (row["engine_id"], row["benchmark"], row["token_budget"], row["group_size"])
        for row in stopped_rows(reduction)
    }
    compared = read_results(store).candidates
    everything, opened = read_candidates(store), open_run(store.root)
    for name, candidates in compared.items():
        assert {member.key for member in candidates.members}.isdisjoint(stopped)
        assert opened.candidates(name).members == candidates.members
        best = recommend(everything[name], 1e12)
        assert best.best.key == recommend(candidates, 1e12).best.key
        assert {one.candidate.key for one in best.alternatives}.isdisjoint(stopped)
    for table in ("frontier.parquet", "frontiers.parquet"):
        points = store.read_table(table).to_pylist()
        keys = {
            tuple(p[n] for n in ("engine_id", "benchmark", "token_budget", "group_size"))
            for p in points
        }
        assert keys and keys.isdisjoint(stopped)


def test_samples_that_nobody_wants_any_more_are_not_missing(store, reduction):
    summary = reduction.summary
    assert (summary["shards_missing"], summary["samples_missing"]) == (0, 0)
    assert summary["incomplete"] == {} and summary["scenarios_skipped"] == 0
    assert summary["samples"] < summary["scenarios_stopped"] * 1000
    assert summary["scenarios_stopped"] >= len(stopped_rows(reduction)) > 0


def test_the_folder_goes_on_as_a_full_run(store):
    """Without rounds nothing is stopped, and what was not sampled is missing."""
    folder = FolderView(every_sample(CONFIG), store)
    assert folder.plan.to_do and stopping_of(folder.rounds).at == {}
    assert adaptive_summary(folder) == {"adaptive": None}


def test_the_summary_says_what_was_saved_and_what_is_promised(store):
    found = adaptive_summary(FolderView(CONFIG, store))["adaptive"]
    assert found["done"] and found["guarantee"].startswith("With a probability of 95%")
    assert 0 < found["made"]["tokens"] < 0.9 * found["full_run"]["tokens"]
    for one in found["benchmarks"]:
        assert [decision["samples"] for decision in one["decisions"]] == [4, 8]
        assert one["stopped_engines"] >= 1


def test_the_tokens_of_the_full_run_are_about_those_that_it_takes(store, full: Store):
    took = sum(part.tokens for part in full.parts())
    planned = adaptive_summary(FolderView(CONFIG, store))["adaptive"]["full_run"]["tokens"]
    assert planned == pytest.approx(took, rel=0.1)


def test_nothing_is_promised_before_all_rounds_are_done(tmp_path: Path):
    store = Store(str(tmp_path))
    first = FolderView(CONFIG, store).plan.to_do
    make_here(first[:3], store)
    found = adaptive_summary(FolderView(CONFIG, store))["adaptive"]
    assert not found["done"] and found["guarantee"] is None
    assert not stopping_of(FolderView(CONFIG, store).rounds).at


def test_the_level_of_an_interval_is_shared_by_the_looks():
    assert Stopping(looks=4).level == pytest.approx(1 - 0.05 / 4)
    assert Stopping().level == pytest.approx(0.95)


def test_a_stopped_rival_wins_nothing_however_good_it_looks():
    better = rival(10, 1, 0.9, stopped_at=4)
    found = recommend(contest(rival(10, 1, 0.5), better), 1e12)
    assert found.best.accuracy == 0.5 and found.considered == 1


def test_where_all_are_stopped_nothing_can_be_recommended():
    lost = contest(rival(10, 1, 0.5, stopped_at=4), rival(20, 1, 0.6, stopped_at=0))
    with pytest.raises(ConfigError, match="everything of sums was stopped"):
        recommend(lost, 1e12)


def test_fewer_questions_of_a_stopped_one_do_not_decide_who_is_comparable():
    one = contest(rival(10, 1, 0.5), rival(10, 2, 0.6), rival(10, 3, 0.9, stopped_at=4))
    scores = one.scores.copy()
    scores[0, :2] = np.nan
    assert len(replace(one, scores=scores).comparable) == 2
