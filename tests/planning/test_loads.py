"""How long engines take to load, before any was loaded and afterwards."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from support.nouns import a_model, a_run_config, an_engine
from support.scheduling_cases import a_job, a_schedule, an_option, decide

from raysweep.planning.estimate import estimates
from raysweep.planning.loads import (
    NO_LOADS,
    LoadTime,
    as_noted,
    loads_of,
    modelled_load_s,
    noted_loads,
)
from raysweep.planning.plan import make_plan
from raysweep.progress.sessions import note_session
from raysweep.run_config import Gpu, Pool
from raysweep.storage.store import Store
from raysweep.storage.summary import SUMMARY

A, B, C = (an_engine(model=a_model(name), backend="vllm") for name in "abc")
ON_TORCH = replace(A, model=a_model("d"), backend="torch")


def test_a_cold_vllm_compiles_and_captures_for_minutes_on_a_gpu():
    assert modelled_load_s(A, on_gpu=True) == pytest.approx(120, abs=0.1)
    assert modelled_load_s(ON_TORCH, on_gpu=True) == pytest.approx(30, abs=0.1)
    assert modelled_load_s(A, on_gpu=False) < modelled_load_s(A, on_gpu=True)


def test_an_engine_loads_as_it_did_and_another_as_the_middle_one_of_its_backend():
    times = {
        ("H100", A.engine_id): LoadTime(2, 120.0),
        ("H100", B.engine_id): LoadTime(1, 180.0),
        ("L4", A.engine_id): LoadTime(1, 900.0),
    }
    loads = loads_of(times, [A, B, C, ON_TORCH])
    assert loads.seconds(A, "H100", 120.0) == 60 and loads.seconds(B, "H100", 120.0) == 180
    assert loads.seconds(C, "H100", 120.0) == pytest.approx(120, rel=1e-3)  # of ½ and 1½
    assert loads.seconds(ON_TORCH, "H100", 30.0) == 30  # no engine of its backend was loaded
    assert loads.seconds(C, "L4", 120.0) == pytest.approx(900, rel=1e-3)
    assert NO_LOADS.seconds(A, "H100", 120.0) == 120


def test_sessions_add_up_their_loads(tmp_path: Path):
    store = Store(str(tmp_path))
    assert noted_loads(store) == {}
    for seconds in (10.0, 30.0):
        note_session(store, 1.0, 1.0, {}, loads={("H100", "a"): LoadTime(1, seconds)})
    note_session(store, 1.0, 1.0, {})
    assert noted_loads(store) == {("H100", "a"): LoadTime(2, 40.0)}
    assert noted_loads(store)["H100", "a"].mean_s == 20


@pytest.mark.parametrize(
    "entry",
    [
        "text",
        {"device": "", "engine_id": "a", "loads": 0, "seconds": 0},
        {"device": 1, "engine_id": "a", "loads": 1, "seconds": 1},
        {"device": "", "engine_id": "a", "loads": 1},
    ],
)
def test_loads_that_cannot_be_read_are_left_out(entry: object, tmp_path: Path):
    good = as_noted({("", "b"): LoadTime(1, 2.0)})
    (tmp_path / SUMMARY).write_text(json.dumps({"loads": [entry, *good]}))
    assert noted_loads(Store(str(tmp_path))) == {("", "b"): LoadTime(1, 2.0)}
    (tmp_path / SUMMARY).write_text(json.dumps({"loads": 3}))
    assert noted_loads(Store(str(tmp_path))) == {}


def test_a_plan_counts_the_measured_load():
    gpu = Gpu("fast", 80 * 10**9, 2e12, 1e14, "F1")
    config = a_run_config(
        pools=(Pool(gpu),), gpus_per_actor=None, models=(a_model("a"),), actors=None
    )
    plan = make_plan(config, [])
    (engine,) = plan.engines
    loads = loads_of({("F1", engine.engine_id): LoadTime(1, 3600.0)}, plan.engines)
    (before,), (after,) = estimates(config, plan), estimates(config, plan, loads)
    assert before.placement and after.placement
    more_s = 3600 - modelled_load_s(engine, on_gpu=True)
    hours = before.gpu_hours(before.whole), after.gpu_hours(after.whole)
    assert hours[0] is not None and hours[1] is not None
    assert hours[1] - hours[0] == pytest.approx(more_s * after.placement.fit.gpus / 3600)


def test_a_schedule_notes_the_seconds_that_an_actor_says_and_not_those_that_it_waited():
    schedule = a_schedule(a_job("a", options=(an_option(rows=64),)))
    decide(schedule, 5.0)
    (place,) = schedule.places.values()
    schedule.loaded(place, 42.0)
    schedule.loaded(place)  # an actor that fails later
    key = place.spot.need.kind, place.queue.engine.engine_id
    assert schedule.loads == {key: LoadTime(1, 42.0)} and place.loaded


def test_a_load_that_rounds_to_no_time_at_all_is_one_too(tmp_path: Path):
    store = Store(str(tmp_path))
    note_session(store, 1.0, 1.0, {}, loads={("", "fake"): LoadTime(1, 1e-6)})
    assert noted_loads(store) == {("", "fake"): LoadTime(1, 0.0)}
