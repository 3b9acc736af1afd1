"""How many kernels a step launches per layer, on the meta device, in Qwen3-8B's shape."""

from collections import Counter
from collections.abc import Callable
from unittest import mock

import pytest
from support.torch_launches import TorchLaunches

from actors.kv_cache.cache import Extent
from actors.torch_engine import gpu_step
from actors.torch_engine.graphs import Graphs
from benchmarks.kernel_launches import POLICIES
from benchmarks.meta_engine import a_batch, a_step, decoding, kernels_on_meta
from benchmarks.recorded_launches import recorded
from raysweep.kv_policy import KVPolicy
from raysweep.spec import BF16, WeightSpec

GPTQ = WeightSpec("gptq", 4, 128)
by_policy = pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.slug)


def launched(policy: KVPolicy, rows: int, weights: WeightSpec, layers: int) -> list[str]:
    with kernels_on_meta():
        step = decoding(policy, rows, weights, layers)
        with recorded() as launches, TorchLaunches() as torchs:
            step()
    return [*(launch.file for launch in launches), *torchs.names]


def per_layer(policy: KVPolicy, rows: int, weights: WeightSpec) -> Counter[str]:
    """What a layer adds to a step."""
    few, more = (Counter(launched(policy, rows, weights, layers)) for layers in (2, 3))
    return more - few


@by_policy
def test_a_layer_takes_at_most_twelve_launches(policy):
    assert per_layer(policy, 16, BF16).total() <= 12


@by_policy
@pytest.mark.parametrize("rows", [1, 16, 128])
def test_packed_weights_take_no_more(policy, rows):
    assert per_layer(policy, rows, GPTQ).total() == per_layer(policy, rows, BF16).total()


class ReplayedOnMeta:
    """A recording's twin, which runs again what was recorded."""

    def __init__(self, once: Callable[[], None]):
        once()
        self.replay = once


@by_policy
def test_all_steps_of_a_wave_of_30_000_tokens_are_served_by_what_was_recorded_at_load(policy):
    with kernels_on_meta():
        step, rows = a_step(policy, 54), 54
        step.graphs = Graphs(lambda: ReplayedOnMeta)
        with mock.patch.object(gpu_step, "_reader", return_value=list):
            step.record()
            made = dict(step.graphs.recordings)
            for seen in range(1, 30_000, 1_500):
                held = policy.held(seen)
                step.cache.extents = [Extent(seen, held.native, held.packed)] * 54
                rows = max(1, rows - 3)
                step(a_batch(rows), None)
    assert step.graphs.recordings == made
    assert len(made) <= 10
