"""The rounds of a run and their records: decided from whole rounds, restored, compared and replaced."""

import json
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from support.adaptive_runs import a_sampling, an_adaptive_config, make_here, run_here

from raysweep.adaptive.records import agree
from raysweep.adaptive.rounds import restored
from raysweep.planning.plan import make_plan
from raysweep.run_config import Adaptive
from raysweep.stages.folder_view import FolderView
from raysweep.storage.store import Store
from raysweep.upkeep.verify_tables import check_tables

CONFIG = an_adaptive_config()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that has ended."""
    folder = tmp_path_factory.mktemp("finished")
    run_here(CONFIG, Store(str(folder)))
    return folder


def a_copy(finished: Path, tmp_path: Path) -> Store:
    import shutil

    shutil.copytree(finished, tmp_path / "run")
    return Store(str(tmp_path / "run"))


def records(store: Store) -> dict[str, str]:
    folder = Path(store.root) / "adaptive"
    return {path.name: path.read_text() for path in sorted(folder.glob("*.json"))}


def cells(store: Store) -> Counter:
    return Counter(
        (part.engine_id, part.stream_id, *cell) for part in store.parts() for cell in part.cells
    )


def test_each_look_but_the_last_is_decided_and_recorded(finished):
    assert sorted(path.name for path in (finished / "adaptive").iterdir()) == [
        f"{name}-{n:05}.{ending}"
        for name in ("others", "sums")
        for n in (4, 8)
        for ending in ("json", "parquet")
    ]


def test_engines_that_are_out_are_sampled_no_more_and_the_others_to_the_end(finished):
    store = Store(str(finished))
    made = Counter()
    for engine_id, _, _, index in cells(store):
        made[engine_id] = max(made[engine_id], index + 1)
    assert made["toy-4.bf16.full"] == 4
    assert made["toy-8.bf16.full"] == made["toy-1.bf16.full"] == 16
    whole = sum(shard.samples for shard in make_plan(CONFIG, ()).to_do)
    assert sum(cells(store).values()) < 0.85 * whole


def test_later_commands_know_the_decisions_without_samples(finished, tmp_path):
    store = a_copy(finished, tmp_path)
    before = a_sampling(CONFIG, store)
    before.begin()
    for part in Path(store.root).glob("samples/*/*"):
        part.unlink()
    rounds = restored(CONFIG, store, before.engines)
    assert all(map(agree, rounds.looks, before.rounds.looks))
    assert rounds.demands() == before.rounds.demands()
    assert rounds.done and len(rounds.looks) == 4


def test_a_folder_s_plan_wants_what_its_rounds_want(finished):
    folder = FolderView(CONFIG, Store(str(finished)))
    assert folder.plan.to_do == ()
    whole = FolderView(replace(CONFIG, sweep=replace(CONFIG.sweep, adaptive=None)), folder.store)
    assert whole.plan.to_do


def test_another_order_of_work_makes_the_same_samples_and_decisions(finished, tmp_path):
    store, dice = Store(str(tmp_path)), random.Random(1)

    def shuffled(shards):
        return dice.sample(shards, len(shards) // 2 + 1)

    run_here(CONFIG, store, shuffled)
    assert records(store) == records(Store(str(finished)))
    assert cells(store) == cells(Store(str(finished)))


def test_a_record_that_agrees_is_not_written_again(finished, tmp_path):
    store = a_copy(finished, tmp_path)
    files = {path: path.stat().st_mtime_ns for path in Path(store.root).glob("adaptive/*")}
    told = []
    a_sampling(CONFIG, store, tell=told.append).begin()
    assert {path: path.stat().st_mtime_ns for path in files} == files and told == []


@pytest.mark.parametrize("name", ["sums-00004.json", "sums-00004.parquet"])
def test_a_record_that_was_half_written_is_none(finished, tmp_path, name):
    store = a_copy(finished, tmp_path)
    whole = records(store)
    (Path(store.root) / "adaptive" / name).unlink()
    rounds = restored(CONFIG, store, FolderView(CONFIG, store).plan.grid)
    assert {look.benchmark for look in rounds.looks} == {"others"}
    a_sampling(CONFIG, store).begin()
    assert records(store) == whole


def test_a_table_of_another_decision_is_no_part_of_a_record(finished, tmp_path):
    store = a_copy(finished, tmp_path)
    folder = Path(store.root) / "adaptive"
    (folder / "sums-00004.parquet").write_bytes((folder / "sums-00008.parquet").read_bytes())
    rounds = restored(CONFIG, store, FolderView(CONFIG, store).plan.grid)
    assert {look.benchmark for look in rounds.looks} == {"others"}


def test_other_rules_replace_the_records_and_the_samples_are_used_again(finished, tmp_path):
    store = a_copy(finished, tmp_path)
    before, told = cells(store), []
    strict = replace(CONFIG.sweep, adaptive=Adaptive(epsilon=1e-6, delta=0.001))
    config = replace(CONFIG, sweep=strict)
    assert restored(config, store, FolderView(config, store).plan.grid).looks == ()
    sampling = a_sampling(config, store, tell=told.append)
    sampling.begin()
    assert "made by other rules" in told[0]
    run_here(config, store)
    assert not before - cells(store)
    assert json.loads(records(store)["sums-00004.json"])["rules"]["epsilon"] == 1e-6


def test_without_rules_the_same_folder_goes_on_to_the_whole_run(finished, tmp_path):
    store = a_copy(finished, tmp_path)
    config = replace(CONFIG, sweep=replace(CONFIG.sweep, adaptive=None))
    make_here(make_plan(config, tuple(store.parts())).to_do, store)
    assert make_plan(config, tuple(store.parts())).to_do == ()


def test_a_decision_whose_samples_have_changed_is_made_anew(finished, tmp_path):
    store, told = a_copy(finished, tmp_path), []
    name = Path(store.root) / "adaptive" / "sums-00004.json"
    document = json.loads(name.read_text())
    name.write_text(json.dumps({**document, "inputs": "others"}))
    a_sampling(CONFIG, store, tell=told.append).begin()
    assert told == ["sums: the samples have changed since the decision after 4; it is made anew"]
    assert records(store) == records(Store(str(finished)))


def test_a_round_that_lacks_a_sample_is_not_decided(tmp_path):
    store = Store(str(tmp_path))
    sampling = a_sampling(CONFIG, store)
    first, *others = sampling.to_do("sums", ())
    make_here(others, store)
    assert not sampling.advance("sums") and records(store) == {}
    make_here([first], store)
    assert sampling.advance("sums") and list(records(store)) == ["sums-00004.json"]


def test_each_benchmark_goes_on_by_itself(tmp_path):
    store = Store(str(tmp_path))
    sampling = a_sampling(CONFIG, store)
    make_here(sampling.to_do("others", ()), store)
    assert sampling.advance("others") and not sampling.advance("sums")
    assert {shard.sample_start for shard in sampling.to_do("others", ())} == {4}
    assert {shard.sample_start for shard in sampling.to_do("sums", ())} == {0}


def test_nothing_is_given_again_that_the_schedule_holds(tmp_path):
    sampling = a_sampling(CONFIG, Store(str(tmp_path)))
    held, *others = sampling.to_do("sums", ())
    assert list(sampling.to_do("sums", [held])) == others


def test_an_engine_that_fits_nowhere_takes_no_part(tmp_path):
    store = Store(str(tmp_path))
    sampling = a_sampling(CONFIG, store)
    sampling.leave_out({"toy-8.bf16.full"})
    make_here(sampling.to_do("sums", ()), store)
    assert sampling.advance("sums")
    grid = FolderView(CONFIG, store).plan.grid
    rounds = restored(CONFIG, store, grid)
    (look,) = rounds.looks
    assert "toy-8.bf16.full" not in look.budgets and look.budgets
    assert rounds.demands()["toy-8.bf16.full", "sums"][-1].stop == 4
    # With it, as on larger GPUs, all is decided anew.
    with_it = a_sampling(CONFIG, store)
    assert not with_it.advance("sums")
    assert any(s.engine.engine_id == "toy-8.bf16.full" for s in with_it.to_do("sums", ()))


def test_verify_checks_every_byte_of_the_records(finished, tmp_path):
    store = a_copy(finished, tmp_path)
    assert list(check_tables(store)) == []
    folder = Path(store.root) / "adaptive"
    for name in ("sums-00004.parquet", "sums-00008.json"):
        data = bytearray((folder / name).read_bytes())
        data[len(data) // 2] ^= 0xFF
        (folder / name).write_bytes(bytes(data))
    (folder / "others-00004.parquet").write_bytes((folder / "others-00008.parquet").read_bytes())
    (folder / "others-00008.parquet").unlink()
    found = {problem.name: problem.text for problem in check_tables(store)}
    assert set(found) == {
        "adaptive/sums-00004.parquet",
        "adaptive/sums-00008.json",
        "adaptive/others-00004.parquet",
        "adaptive/others-00008.json",
    }
    assert all(problem.mended for problem in check_tables(store))
