"""How many actors a machine can hold."""

from pathlib import Path

import pytest

from raysweep.system import machine

GB = 10**9


@pytest.fixture
def container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with 16 CPUs and 32 GB available, by /proc and an empty folder of limits."""
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    monkeypatch.setattr(machine, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda _: range(16), raising=False)
    (tmp_path / "meminfo").write_text("MemTotal: 99999999 kB\nMemAvailable:   31250000 kB\n")
    return tmp_path


def test_there_are_no_more_actors_than_shards(container: Path):
    assert [machine.affordable_actors(shards, GB) for shards in (1, 5, 40)] == [1, 5, 16]


def test_a_cpu_quota_limits_the_actors(container: Path):
    (container / "cpu.max").write_text("250000 100000")
    assert machine.affordable_actors(40, GB) == 3
    (container / "cpu.max").write_text("max 100000")
    assert machine.affordable_actors(40, GB) == 16


def test_actors_share_what_is_available_or_left_of_the_limit(container: Path):
    (container / "meminfo").write_text("MemAvailable: 4000000 kB")
    assert machine.affordable_actors(40, GB) == 4
    (container / "memory.max").write_text(str(5 * GB))
    (container / "memory.stat").write_text(f"anon {2 * GB}\nfile {3 * GB}\n")
    assert machine.affordable_actors(40, GB) == 3
    (container / "memory.stat").write_text(f"anon {5 * GB}\n")
    assert machine.affordable_actors(40, GB) == 1


def test_what_the_machine_does_not_tell_limits_nothing(container: Path):
    (container / "meminfo").unlink()
    assert machine.affordable_actors(40, GB) == 16
