"""The configuration of the cluster: kinds of GPU, the number of each, and what an actor gets."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.util.accelerators import accelerators
from support.configurations import read, valid_configuration, write_definition

from raysweep.configuration.cluster import known_gpus
from raysweep.configuration.config import conf_folder
from raysweep.errors import ConfigError
from raysweep.run_config import Cluster


def cluster(mine: Path, **keys: Any) -> Cluster:
    configuration = valid_configuration()
    configuration["cluster"].update(keys)
    return read(configuration, mine).cluster


def test_without_a_kind_of_gpu_actors_have_cpus_unless_a_number_is_given(mine: Path):
    assert cluster(mine, gpus_per_actor=None).gpus_per_actor == 0
    assert not cluster(mine, gpus_per_actor=None).on_gpus
    assert cluster(mine, gpus_per_actor=2).on_gpus


def test_with_a_kind_of_gpu_the_memory_model_decides_unless_a_number_is_given(mine: Path):
    found = cluster(mine, gpus_per_actor=None, gpu="h100-80", gpus=8)
    assert (found.gpus_per_actor, found.on_gpus) == (None, True)
    (pool,) = found.pools
    assert (pool.gpu.name, pool.gpus) == ("h100-80", 8)
    assert pool.gpu.bandwidth_bytes_s == 3.35e12 and pool.gpu.flops_s == 989e12
    assert cluster(mine, gpus_per_actor=0.5, gpu="h100-80").gpus_per_actor == 0.5


def test_several_kinds_each_have_their_number(mine: Path):
    kinds = ["h100-80", {"name": "l4-24", "usd_per_hour": 0.3}]
    pools = cluster(mine, gpu=kinds, gpus=[64, None], gpus_per_actor=None).pools
    assert [(pool.gpu.name, pool.gpus) for pool in pools] == [("h100-80", 64), ("l4-24", None)]
    assert pools[1].gpu.usd_per_hour == 0.3 and pools[1].gpu.memory_bytes == 23034 * 2**20
    assert [pool.gpus for pool in cluster(mine, gpu=kinds).pools] == [None, None]


def test_a_kind_of_ones_own_needs_no_price_and_no_label(mine: Path):
    own = {"name": "own", "memory_mib": 1024, "bandwidth_gb_s": 100, "bf16_tflops": 2}
    (pool,) = cluster(mine, gpu=own).pools
    assert (pool.gpu.accelerator_type, pool.gpu.usd_per_hour) == ("", 0)


def test_a_node_of_each_kind_has_a_number_of_gpus_or_one_number_stands_for_all(mine: Path):
    kinds = ["h100-80", "l4-24"]
    both = cluster(mine, gpu=kinds, gpus=[64, None], gpus_per_node=8).pools
    assert [pool.per_node for pool in both] == [8, 8]
    assert [pool.together for pool in both] == [8, 8]
    each = cluster(mine, gpu=kinds, gpus=[2, 1], gpus_per_node=[8, None]).pools
    assert [pool.per_node for pool in each] == [8, None]
    assert [pool.together for pool in each] == [2, 1]
    assert cluster(mine, gpus_per_node=1).pools == ()


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (
            {"gpu": "h100-80", "autoscaling": True},
            "cluster.gpus_per_node: missing, and nodes that are still to come cannot be asked; write",
        ),
        ({"gpu": ["h100-80", "l4-24"], "gpus_per_node": [8]}, "[8] does not match cluster.gpu"),
        ({"gpu": "h100-80", "gpus_per_node": 0}, "cluster.gpus_per_node: 0 is out of range"),
        ({"gpu": ["h100-80", "l4-24"], "gpus": 8}, "8 does not match cluster.gpu, which names 2"),
        ({"gpu": ["h100-80", "l4-24"], "gpus": [8]}, "[8] does not match cluster.gpu"),
        ({"gpu": "h100-80", "gpus": 0}, "cluster.gpus: 0 is out of range; write 1 or more"),
        ({"gpu": "h100-80", "gpus": [0]}, "cluster.gpus: [0] is not a whole number"),
        ({"gpu": "h100"}, "cluster.gpu: 'h100' is not a known kind of GPU"),
        ({"gpu": {"name": "h100-80", "usd_per_hour": -1}}, "usd_per_hour: -1 is out of range"),
    ],
)
def test_what_is_no_cluster_is_refused(mine: Path, keys: dict[str, Any], words: str):
    with pytest.raises(ConfigError) as raised:
        cluster(mine, **keys)
    assert words in str(raised.value)


def test_an_engine_for_cuda_alone_is_refused_where_actors_have_no_gpu(mine: Path):
    configuration = valid_configuration()
    configuration["sweep"].update(backend="vllm", kv_policies=["int8_per_token_head"])
    with pytest.raises(ConfigError, match=r"on a CPU; give its actors GPUs"):
        read(configuration, mine)
    configuration["cluster"].update(gpu="h100-80", gpus_per_actor=None)
    assert read(configuration, mine).cluster.on_gpus


@pytest.mark.parametrize("file", sorted((conf_folder() / "cluster").glob("*.yaml")), ids=str)
def test_every_shipped_cluster_is_valid(mine: Path, file: Path):
    found = cluster(mine, **yaml.safe_load(file.read_text()))
    assert found.autoscaling == (file.stem == "kuberay")
    assert found.gpus_per_actor == (None if found.pools else 0)


def test_every_known_gpu_is_labelled_as_ray_labels_its_nodes(tmp_path: Path):
    labels = {value for name, value in vars(accelerators).items() if name.startswith("NVIDIA_")}
    gpus = known_gpus([conf_folder()])
    assert {gpu.accelerator_type for gpu in gpus} - labels == {"GeForce-RTX-4090"}
    assert [gpu.memory_bytes for gpu in gpus] == sorted(gpu.memory_bytes for gpu in gpus)
    keys = {"memory_mib": 9, "bandwidth_gb_s": 1, "bf16_tflops": 1}
    write_definition(tmp_path, "gpu", "own", **keys)
    assert known_gpus([conf_folder(), tmp_path])[0].name == "own"
