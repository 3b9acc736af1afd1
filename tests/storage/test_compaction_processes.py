"""Compaction in a process of its own that is killed at any step, or beside which samples are read."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.compacted_parts import BENCHMARKS, PARTS, a_part, check_whole, filled, names
from support.parts import ENGINE

from raysweep.storage.compaction import compact_engine
from raysweep.storage.part_file import is_compacted, place_of
from raysweep.storage.store import Store

KILLED = """
import os, signal, sys
from raysweep.storage import files
from raysweep.storage.compaction import compact_engine
from raysweep.storage.store import Store

root, step, engine, seen = sys.argv[1], int(sys.argv[2]), sys.argv[3], 0

def counted():
    global seen
    seen += 1
    if seen == step:
        os.kill(os.getpid(), signal.SIGKILL)

replace, remove = os.replace, files.Folder.remove

def published(*names):
    counted()
    replace(*names)
    counted()

def removed(folder, name):
    counted()
    remove(folder, name)
    counted()

os.replace, files.Folder.remove = published, removed
compact_engine(Store(root), engine, {"stream": "sums"})
"""


def compact_until(root: str, step: int) -> int:
    """Compact in a process that kills itself before or after its n-th publishing or removing."""
    ran = subprocess.run(
        [sys.executable, "-c", KILLED, root, str(step), ENGINE],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, sys.path))},
        check=False,
    )
    return ran.returncode


@pytest.mark.slow
def test_killed_at_any_step_nothing_is_lost_or_doubled_and_a_later_look_tidies_up(tmp_path: Path):
    step, ended = 0, -signal.SIGKILL
    while ended == -signal.SIGKILL:
        step += 1
        store = Store(str(tmp_path / str(step)))
        filled(store, list(map(a_part, range(PARTS))))
        ended = compact_until(store.root, step)
        check_whole(store)
        compact_engine(store, ENGINE, BENCHMARKS)
        check_whole(store)
        assert len([name for name in names(store) if name.endswith(".parquet")]) == 1
    assert ended == 0
    assert step == 2 * (1 + PARTS) + 1  # each of the steps was killed before and after


@pytest.mark.slow
def test_a_reader_beside_compaction_always_sees_each_part_once(tmp_path: Path):
    store = Store(str(tmp_path))
    made, wanted = 0, 40
    script = (
        "import sys, time\n"
        "from raysweep.storage.compaction import compact_engine\n"
        "from raysweep.storage.store import Store\n"
        "while True: compact_engine(Store(sys.argv[1]), sys.argv[2], {'stream': 'sums'})\n"
    )
    compacting = subprocess.Popen(
        [sys.executable, "-c", script, store.root, ENGINE],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, sys.path))},
        stderr=subprocess.PIPE,
    )
    try:
        for made in range(wanted):
            filled(store, [a_part(made)])
            found = {part.shard_id: place_of(part) for part in Store(store.root).parts()}
            assert sorted(found) == sorted(f"s{number}" for number in range(made + 1))
            for place in found.values():
                assert store.read_part(place, ["sample_index"]).num_rows == 2
        assert compacting.poll() is None, compacting.stderr and compacting.stderr.read()
    finally:
        compacting.kill()
        compacting.communicate()
    assert any(is_compacted(part.file) for part in store.parts())
