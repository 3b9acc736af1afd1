"""What a task that makes a checkpoint asks Ray for, on clusters that are only described."""

from dataclasses import replace

import pytest

from actors.quantize import settings_of
from raysweep import catalogue
from raysweep.configuration.config import conf_folder
from raysweep.configuration.definitions import Definitions, read_gpu
from raysweep.driver.prepare import environment
from raysweep.driver.prepare_needs import MOST_CPUS, Ask, Host, ask_of
from raysweep.planning.quantising import Work
from raysweep.run_config import Cluster, Gpu, Pool

GB = 10**9
WORK = Work(1.0, 1.0, 1, kept_bytes=60 * GB, layer_bytes=20 * GB)


def gpu(name: str) -> Gpu:
    return read_gpu(Definitions((conf_folder(),)), name, "gpu")


H100, L4 = gpu("h100-80"), gpu("l4-24")
CLUSTER = Cluster("auto", None, 1, None, (Pool(H100),))
NODE = Host(cpus=96, gpus=8, kind=H100.accelerator_type, memory_bytes=1000 * GB)


def test_a_making_gets_a_gpu_the_hosts_memory_and_its_share_of_the_cpus():
    ask = ask_of(WORK, H100, CLUSTER, [NODE])
    assert ask == Ask(cpus=12, gpus=1, memory_bytes=60 * GB)
    assert isinstance(ask, Ask)
    assert ask.options == {"num_cpus": 12, "num_gpus": 1, "memory": 60 * GB}


def test_on_a_cpu_the_host_holds_the_layer_too_and_no_gpu_is_asked_for():
    ask = ask_of(WORK, None, replace(CLUSTER, pools=(), gpus_per_actor=0.0), [NODE])
    assert ask == Ask(cpus=MOST_CPUS, gpus=0, memory_bytes=80 * GB)


def test_of_several_kinds_the_chosen_one_is_asked_for_by_its_label():
    cluster = replace(CLUSTER, pools=(Pool(H100), Pool(L4)))
    small = replace(NODE, kind=L4.accelerator_type, cpus=8)
    ask = ask_of(WORK, H100, cluster, [small, NODE])
    assert isinstance(ask, Ask) and ask.cpus == 12
    assert ask.options["label_selector"] == {"ray.io/accelerator-type": H100.accelerator_type}


def test_what_no_node_can_hold_is_said_instead_of_waited_for():
    said = ask_of(WORK, H100, CLUSTER, [replace(NODE, memory_bytes=32 * GB)])
    assert said == (
        "no Ray node has 1 CPUs, 1 GPUs and 60 GB of memory; the nodes have 96 CPUs, 8 GPUs, 32 GB; take a "
        "larger node, fewer calibration texts, or published files"
    )


def test_where_nodes_may_come_no_memory_is_asked_for_as_nobody_knows_theirs():
    ask = ask_of(WORK, H100, replace(CLUSTER, autoscaling=True), [])
    assert ask == Ask(cpus=1, gpus=1, memory_bytes=0)


@pytest.mark.parametrize(("share", "asked"), [(0.25, 0.25), (2.0, 1.0), (None, 1.0)])
def test_a_making_never_takes_more_than_one_gpu(share: float | None, asked: float):
    ask = ask_of(WORK, H100, replace(CLUSTER, gpus_per_actor=share), [NODE])
    assert isinstance(ask, Ask) and ask.gpus == asked


def test_gptqmodel_gets_a_worker_for_each_cpu_and_at_least_two():
    many, one = environment(Ask(12, 1, 0)), environment(Ask(1, 0, 0))
    assert many["GPTQMODEL_CPU_WORKERS"] == "12" and "CUDA_VISIBLE_DEVICES" not in many
    assert one["GPTQMODEL_CPU_WORKERS"] == "2" and one["CUDA_VISIBLE_DEVICES"] == ""


def test_one_layer_at_a_time_is_on_the_gpu_and_the_texts_stay_with_the_host():
    """gptqmodel keeps these settings as they are given."""
    gptqmodel = pytest.importorskip("gptqmodel")
    given = settings_of(catalogue.weights("gptq-4"))
    settings = gptqmodel.QuantizeConfig(**given)
    for name in ("calibration_data_device", "auto_forward_data_parallel", "offload_to_disk"):
        assert str(getattr(settings, name)) == str(given[name])
    assert (settings.bits, settings.group_size) == (4, 128)
    assert (settings.sym, settings.desc_act) == (True, False)
