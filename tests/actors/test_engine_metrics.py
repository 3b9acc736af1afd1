"""What an actor says of its engine: rarely, in few words, and nothing at all without Ray."""

from dataclasses import replace

import pytest
from support.nouns import an_engine
from support.tiny_models import MODELS, architecture, decoding, requests, smallest
from support.torch_engines import POLICIES, QUESTIONS

from actors.engine import Usage
from actors.engine_metrics import ActorMetrics, gpu_memory
from actors.torch_engine.engine import TorchEngine
from raysweep.monitoring.metric_names import METRICS
from raysweep.monitoring.ray_metrics import Exporter, Recorder, engine_labels
from raysweep.monitoring.snapshot import EngineProgress, Snapshot


class Book(Recorder):
    """Writes down what would go to Ray."""

    def __init__(self):
        super().__init__("actor")
        self.written = []

    def set(self, name, value, labels=None):
        self.written.append((name, value, dict(labels or {})))

    add = set


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def some_metrics():
    clock = Clock()
    metrics = ActorMetrics(an_engine(), clock)
    metrics.record = Book()
    return metrics, metrics.record.written, clock


def test_what_is_costly_is_asked_once_a_second_however_many_steps_there_are():
    metrics, written, clock = some_metrics()
    asked = []

    def usage():
        asked.append(clock.now)
        return Usage(rows=3, kv_bytes=100, modelled_kv_bytes=90)

    for step in range(1000):
        clock.now = step / 400
        metrics.stepped(usage)
    assert asked == [0.0, 1.0, 2.0]
    assert [(name, value) for name, value, _ in written[:3]] == [
        ("raysweep_rows", 3),
        ("raysweep_kv_bytes", 100),
        ("raysweep_kv_modelled_bytes", 90),
    ]


def test_tokens_that_answers_followed_add_up_until_they_are_told():
    metrics, written, clock = some_metrics()
    metrics.prefix(10, 2)
    metrics.prefix(5, 0)
    assert written == []
    metrics.stepped(lambda: Usage(0, 0, 0))
    told = {labels["cache"]: value for _, value, labels in written if "cache" in labels}
    assert told == {"reused": 15, "recomputed": 2}
    clock.now = 1.0
    before = len(written)
    metrics.stepped(lambda: Usage(0, 0, 0))
    assert not any("cache" in labels for _, _, labels in written[before:])


def test_an_engine_that_has_become_idle_says_so_at_once():
    metrics, written, _ = some_metrics()
    metrics.stepped(lambda: Usage(8, 80, 80))
    metrics.idle(lambda: Usage(0, 0, 0), gpu_bytes=lambda: 5)
    assert written[-4:] == [
        ("raysweep_rows", 0, metrics.labels),
        ("raysweep_kv_bytes", 0, metrics.labels),
        ("raysweep_kv_modelled_bytes", 0, metrics.labels),
        ("raysweep_gpu_memory_bytes", 5, metrics.labels),
    ]


def test_everything_that_is_recorded_stands_in_the_table_with_its_labels():
    metrics, written, _ = some_metrics()
    metrics.loaded(1.5)
    metrics.prefix(1, 1)
    metrics.graded(0.5, 7)
    metrics.stepped(lambda: Usage(1, 1, 1), gpu_bytes=lambda: 1)
    exporter = Exporter()
    exporter.record = Book()
    exporter.record.total = exporter.record.set
    exporter(a_snapshot())
    table = {(metric.name, metric.labels) for metric in METRICS}
    recorded = [*written, *exporter.record.written]
    assert {(name, tuple(labels)) for name, _, labels in recorded} == table


def test_without_ray_nothing_happens():
    metrics = ActorMetrics(an_engine())
    metrics.loaded(1.0)
    metrics.graded(1.0, 2)
    metrics.stepped(lambda: Usage(1, 1, 1))
    Exporter()(a_snapshot())


def test_a_total_is_handed_on_as_what_has_come_since():
    record = Recorder("driver")
    added = []
    record.add = lambda name, value, labels=None: added.append(value)
    for total in (5, 5, 12):
        record.total("raysweep_retries", total)
    assert added == [5, 0, 7]


def test_an_actor_without_a_gpu_says_nothing_of_its_memory():
    assert gpu_memory(0.0) is None
    metrics, written, _ = some_metrics()
    metrics.stepped(lambda: Usage(1, 1, 1), gpu_memory(0.0))
    assert not any(name == "raysweep_gpu_memory_bytes" for name, *_ in written)


def test_labels_say_what_an_engine_is():
    engine = an_engine()
    labels = engine_labels(engine)
    assert labels["engine"] == engine.engine_id
    assert labels["engine"] == f"{labels['model']}.{labels['weights']}.{labels['kv_policy']}"


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.slug)
def test_live_bytes_are_the_memory_models_at_every_step(policy):
    name = smallest()
    engine = TorchEngine(str(MODELS / name), architecture(name), policy, max_rows=4)
    for request in list(requests(QUESTIONS[:2], decoding(), samples=3).values()):
        engine.add(request, lambda trace: None)
    peak = 0
    while engine.waiting or engine.running:
        engine.step()
        usage = engine.usage()
        assert usage.rows == len(engine.running)
        assert usage.kv_bytes == usage.modelled_kv_bytes
        peak = max(peak, usage.kv_bytes)
    assert peak > 0
    assert engine.usage() == Usage(0, 0, 0)


def a_snapshot(**changes) -> Snapshot:
    labels = engine_labels(an_engine())
    engine = EngineProgress(
        engine_id=labels["engine"],
        model=labels["model"],
        weights=labels["weights"],
        kv_policy=labels["kv_policy"],
        benchmark="chain",
        shards_done=3,
        shards_running=2,
        shards_waiting=4,
        samples=96,
        tokens=5000,
        tokens_left=7000,
    )
    snapshot = Snapshot((engine,), actors=2, tokens_s=250.0, faults={"actor": 1}, retries=1)
    return replace(snapshot, **changes)
