"""Each table names its reduction; where nothing is new nothing is written; two are not read together."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.command import Command
from support.hand_made_runs import MIXED, generate, polls, reduce_run, sweep_of

import raysweep
from raysweep.errors import ConfigError
from raysweep.finished_run import open_run
from raysweep.reporting.results import read_candidates, read_results
from raysweep.storage.reductions import check_one_reduction, reductions
from raysweep.storage.result_files import FRONTIER, REDUCED, SCENARIOS, SCORES
from raysweep.storage.store import Store
from raysweep.storage.summary import add_to_summary, read_summary
from raysweep.system.exit_status import DONE

OTHERS = polls({"sums-0": ("right",) * 4, "sums-1": ("right",) * 4})

# Reduces the folder, and is killed when it has written this number of tables.
KILLED = """
import os, signal, sys
from support.hand_made_runs import reduce_run, sweep_of
from raysweep.storage.result_files import REDUCED
from raysweep.storage.store import Store
write, left = Store.write_bytes, int(sys.argv[2])
def killed(self, name, data):
    global left
    if name in (*REDUCED, "summary.json"):
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
    write(self, name, data)
Store.write_bytes = killed
reduce_run(sweep_of(), Store(sys.argv[1]))
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "run"))


def files(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file with the time of its writing and its bytes."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in paths}


def test_all_tables_and_the_summary_name_one_reduction(store: Store):
    generate(sweep_of(), store, MIXED)
    reduce_run(sweep_of(), store)
    found = reductions(store)
    assert found.keys() == REDUCED.keys()
    assert set(found.values()) == {read_summary(store)["reduction"]} != {None}


def test_equal_results_have_one_name_and_others_another(tmp_path: Path):
    names = []
    for place, samples in (("one", MIXED), ("two", MIXED), ("three", OTHERS)):
        store = Store(str(tmp_path / place))
        generate(sweep_of(), store, samples)
        reduce_run(sweep_of(), store)
        names.append(reductions(store)[SCORES])
    assert names[0] == names[1] != names[2]


def test_where_nothing_is_new_reduce_says_the_same_and_writes_nothing(run: Command):
    run("plan", "generate", "reduce")
    first = run("reduce")
    before = files(run.out)
    assert run("reduce") == first
    assert first[0] == DONE and "scenarios from" in first[1]
    assert files(run.out) == before


@pytest.mark.parametrize("lost", [SCENARIOS, FRONTIER, "summary.json"])
@pytest.mark.parametrize("how", ["removed", "damaged", "of another reduction"])
def test_a_table_that_is_not_of_this_reduction_is_written_again(
    store: Store, tmp_path: Path, lost: str, how: str
):
    other = Store(str(tmp_path / "other"))
    for one, samples in ((store, MIXED), (other, OTHERS)):
        generate(sweep_of(), one, samples)
        reduce_run(sweep_of(), one)
    whole = store.read_bytes(lost)
    if how == "removed":
        store.folder.remove(lost)
    else:
        store.write_bytes(lost, whole[:-9] if how == "damaged" else other.read_bytes(lost))
    reduce_run(sweep_of(), store)
    assert set(reductions(store).values()) == {read_summary(store)["reduction"]}
    assert lost == "summary.json" or store.read_bytes(lost) == whole


@pytest.mark.parametrize("tables", [1, 5, len(REDUCED)])
def test_tables_that_a_kill_has_mixed_are_refused_until_they_are_written_again(
    store: Store, tables: int
):
    generate(sweep_of(), store, MIXED, lost=1)
    reduce_run(sweep_of(), store)
    generate(sweep_of(), store, MIXED)
    root = Path(raysweep.__file__).parents[1]
    paths = os.pathsep.join([str(root), str(root / "tests")])
    command = [sys.executable, "-c", KILLED, store.root, str(tables)]
    ended = subprocess.run(command, env={**os.environ, "PYTHONPATH": paths}, timeout=300)
    assert ended.returncode == -signal.SIGKILL
    store.write_text("config.yaml", "run: test\n")
    for read in (read_results, read_candidates, lambda one: open_run(one.root).scenarios):
        with pytest.raises(ConfigError, match=r"belong to 2 reductions.*stages=\[reduce\]"):
            read(store)
    reduce_run(sweep_of(), store)
    check_one_reduction(store)
    assert len(read_results(store).scenarios) == 6


def test_tables_of_an_older_version_name_no_reduction_and_are_read(store: Store):
    generate(sweep_of(), store, MIXED)
    reduce_run(sweep_of(), store)
    summary = {k: v for k, v in read_summary(store).items() if not k.startswith("reduc")}
    for name in REDUCED:
        store.write_table(name, store.read_table(name))
    store.folder.remove("summary.json")
    add_to_summary(store, summary)
    assert set(reductions(store).values()) == {None}
    assert len(read_results(store).scenarios) == 6
