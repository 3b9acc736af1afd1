"""How many kernels a step launches per layer, on the meta device, in Qwen3-8B's shape."""

from collections import Counter

import pytest
from support.torch_launches import TorchLaunches

from benchmarks.kernel_launches import POLICIES
from benchmarks.meta_engine import decoding, kernels_on_meta
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
