"""Fencing: only the newest of all drivers on a run's folder writes, whatever the others believe."""

import itertools
import json
import pickle
import random
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.parts import PART, rows

from raysweep.errors import ConfigError
from raysweep.storage import lease as leases
from raysweep.storage.files import Folder
from raysweep.storage.lease import Lease, LeaseLost, holder, take_lease, watch
from raysweep.storage.store import Store


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(str(tmp_path / "run"))


def is_lost(lease: Lease) -> bool:
    try:
        lease.check()
    except LeaseLost:
        return True
    return False


def note(folder: Folder) -> dict[str, Any]:
    held = holder(folder)
    assert held is not None
    return held


def test_a_newer_driver_takes_over_and_the_older_one_notices_at_its_next_look(folder):
    older = take_lease(folder)
    older.check()
    newer = take_lease(folder)
    assert (older.epoch, newer.epoch) == (1, 2)
    with pytest.raises(
        LeaseLost, match=r"another driver took over the run \(epoch 2, host .*, pid \d+"
    ):
        older.check()
    newer.check()


def test_a_driver_that_slept_through_a_take_over_notices_when_it_wakes(folder):
    sleeper = take_lease(folder)
    take_lease(folder).release()  # another came, worked, and ended
    assert is_lost(sleeper)


def test_clocks_decide_nothing(folder, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 4e9)
    older = take_lease(folder)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    newer = take_lease(folder)
    assert is_lost(older) and not is_lost(newer)


def test_a_clean_end_releases_and_says_so(folder):
    first = take_lease(folder)
    held = note(folder)
    assert held == {**(first.note or {}), "renewed_at": held["renewed_at"]}
    first.release()
    assert holder(folder) is None
    assert take_lease(folder).displaced is None


def test_a_driver_that_was_taken_over_releases_nothing(folder):
    older, newer = take_lease(folder), take_lease(folder)
    assert newer.displaced and newer.displaced["epoch"] == 1
    older.release()
    newer.check()
    assert note(folder)["epoch"] == 2


def test_who_makes_no_samples_disturbs_no_driver_and_stops_when_one_begins_or_ends(folder):
    early = watch(folder)
    driver = take_lease(folder)
    assert is_lost(early)
    beside = watch(folder)
    beside.check()
    driver.check()
    driver.release()
    assert is_lost(beside) and not is_lost(watch(folder))


def test_looks_are_no_more_frequent_than_asked_for(folder):
    older = take_lease(folder)
    take_lease(folder)
    older.check(every_s=3600)
    assert is_lost(older)


def test_a_lease_travels_to_an_actor_which_checks_and_does_not_renew(folder, monkeypatch):
    monkeypatch.setattr(leases, "RENEW_EVERY_S", 0.0)
    driver = take_lease(folder)
    lent = pickle.loads(pickle.dumps(driver.lent()))
    (file,) = Path(folder.address, "leases").iterdir()
    file.write_text("{}")
    lent.check()
    assert file.read_text() == "{}"
    driver.check()
    assert json.loads(file.read_text())["epoch"] == 1
    take_lease(folder)
    assert is_lost(lent)


def test_a_loss_survives_pickling_as_ray_does_it(folder):
    lost = pickle.loads(pickle.dumps(LeaseLost("another driver")))
    assert isinstance(lost, LeaseLost) and str(lost) == "another driver"


def test_files_of_others_among_the_leases_are_no_leases(folder):
    own = take_lease(folder)
    for name in ("zzz.json", "epoch-9999999-zzzz.json", ".epoch-0000009-00000000.json.0.tmp"):
        folder.write(f"leases/{name}", b"{}")
    own.check()


def test_a_lease_whose_file_is_damaged_is_held_all_the_same(folder):
    older = take_lease(folder)
    newer = take_lease(folder)
    folder.write(newer.name, b"\xff not JSON")
    newer.check()
    with pytest.raises(LeaseLost, match="epoch 2"):
        older.check()


@pytest.mark.parametrize("seed", range(5))
def test_of_drivers_that_take_at_once_in_any_interleaving_exactly_one_holds(
    folder, monkeypatch, seed
):
    """Each step of each driver (look, write, look) happens in a random order."""
    rng = random.Random(seed)
    for _ in range(10):
        steps = [d for d in range(4) for _ in range(2)]
        rng.shuffle(steps)
        looked: dict[int, int] = {}
        taken: list[Lease] = []
        for driver in steps:
            if driver not in looked:
                looked[driver] = leases._epoch(leases._newest(folder))
                continue
            epoch = looked[driver] + 1
            name = f"leases/epoch-{epoch:07}-{rng.getrandbits(32):08x}.json"
            taken.append(Lease(folder, name, epoch, {"epoch": epoch}))
            taken[-1]._write()
        assert sum(not is_lost(lease) for lease in taken) == 1


def test_a_store_with_a_lost_lease_publishes_no_table_and_no_part(folder, monkeypatch):
    monkeypatch.setattr("raysweep.storage.store.LOOK_EVERY_S", 0.0)
    older = Store(folder.address, take_lease(folder))
    older.write_part(PART, rows(2))
    newer = Store(folder.address, take_lease(folder))
    for write in (
        lambda: older.write_text("summary.json", "{}"),
        lambda: older.write_table("plan.parquet", rows(1)),
        lambda: older.write_part(replace(PART, shard_id="bb"), rows(2)),
    ):
        with pytest.raises(LeaseLost):
            write()
    assert not newer.exists("summary.json") and not newer.exists("plan.parquet")
    assert [part.shard_id for part in newer.parts()] == ["aa"]


def test_parts_carry_the_epoch_of_the_driver_that_wrote_them(folder):
    for shard_id, epoch in (("aa", 1), ("bb", 2)):
        Store(folder.address, take_lease(folder)).write_part(
            replace(PART, shard_id=shard_id), rows(2)
        )
        assert [part.epoch for part in Store(folder.address).parts()][-1] == epoch
    # A store without a lease keeps the epoch of the driver that made the part, as regrading does.
    Store(folder.address).write_part(replace(PART, epoch=2), rows(2))
    assert next(Store(folder.address).parts()).epoch == 2


def test_epochs_grow_past_any_number_of_restarts(folder):
    for expected in itertools.islice(itertools.count(1), 12):
        assert take_lease(folder).epoch == expected


def test_a_lease_that_nobody_took_locks_no_folder(folder):
    folder.write("leases/epoch-9999999-deadbeef.json", b"{}")
    lease = take_lease(folder)
    assert lease.epoch == 10_000_000 and not is_lost(lease)
    lease.release()
    following = take_lease(folder)
    assert following.epoch == 10_000_001 and following.displaced is None


def test_a_lease_of_the_last_epoch_is_named_with_the_way_out(folder):
    folder.write(f"leases/epoch-{leases.LAST_EPOCH}-deadbeef.json", b"{}")
    with pytest.raises(ConfigError, match=r"epoch-999999999999999-deadbeef.* remove that file"):
        take_lease(folder)
    folder.write(f"leases/epoch-{10**15}-deadbeef.json", b"{}")
    folder.remove(f"leases/epoch-{leases.LAST_EPOCH}-deadbeef.json")
    assert take_lease(folder).epoch == 1


def test_a_folder_that_cannot_be_written_is_bad_input(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError):
        take_lease(Folder(str(tmp_path / "file" / "run")))
