"""The rough model of what quantising takes, against the figures that it is made from."""

from dataclasses import replace

import pytest

from raysweep import catalogue
from raysweep.configuration.config import conf_folder
from raysweep.configuration.definitions import Definitions, read_gpu
from raysweep.configuration.preparation import read_calibration
from raysweep.planning.quantising import BATCH, Work, best_gpu, slowness, work_of
from raysweep.recipe import Recipe
from raysweep.run_config import Cluster, Gpu, Pool

DEFINITIONS = Definitions((conf_folder(),))
TEXTS = read_calibration(DEFINITIONS, "general", "calibration")


def gpu(name: str) -> Gpu:
    return read_gpu(DEFINITIONS, name, "gpu")


def work(model: str, **changes) -> Work:
    texts = replace(TEXTS, **changes)
    return work_of(Recipe(catalogue.model(model), catalogue.weights("gptq-4"), texts))


def test_the_time_of_the_gptq_paper_comes_out():
    """OPT-175B: 96 layers of hidden size 12,288, with 128 texts of 2,048 tokens, 4 hours on an A100."""
    hidden, layers, tokens = 12_288, 96, 128 * 2048
    weights = 12 * hidden**2
    squares = 5 * hidden**2 + (4 * hidden) ** 2
    forward, hessians = 4.0 * layers * weights * tokens, 2.0 * layers * squares * tokens
    paper = Work(forward, hessians, layers * weights, kept_bytes=0, layer_bytes=0)
    assert paper.seconds(gpu("a100-80")) / 3600 == pytest.approx(4, rel=0.05)


def test_smollm2_on_two_cores_takes_about_as_long_as_measured():
    a = replace(
        catalogue.model("qwen3-0.6b").architecture,
        hidden_size=576, layers=30, heads=9, kv_heads=3, head_dim=64, intermediate_size=1536,
    )  # fmt: skip
    model = replace(catalogue.model("qwen3-0.6b"), architecture=a)
    assert TEXTS.published is not None
    texts = replace(TEXTS, tokens=512, published=replace(TEXTS.published, count=32))
    smollm2 = work_of(Recipe(model, catalogue.weights("gptq-4"), texts))
    assert smollm2.seconds(None, cpus=2) == pytest.approx(109, rel=0.3)
    assert 0.79e9 < smollm2.host_bytes(on_gpu=False) < 1.6e9  # its peak was 0.79 GB


def test_a_layer_of_the_largest_model_fits_a_card_of_24_gb_and_the_host_holds_the_rest():
    largest = work("qwen3-32b")
    assert largest.gpu_bytes < gpu("rtx4090-24").memory_bytes
    assert largest.gpu_bytes > gpu("t4-16").memory_bytes
    activations = 2 * 512 * 2048 * 5120 * 2
    assert largest.host_bytes(on_gpu=True) > 65e9 + activations
    assert largest.host_bytes(on_gpu=False) > largest.host_bytes(on_gpu=True)


def test_the_fastest_kind_that_holds_a_layer_is_chosen():
    pools = tuple(Pool(gpu(name)) for name in ("t4-16", "l4-24", "h100-80"))
    cluster = Cluster("auto", None, 1, None, pools)
    assert best_gpu(work("qwen3-32b"), cluster) == gpu("h100-80")
    assert best_gpu(work("qwen3-32b"), replace(cluster, pools=pools[:1])) is None
    assert best_gpu(work("qwen3-0.6b"), replace(cluster, gpus_per_actor=0.0)) is None


def test_measured_times_correct_the_model_by_their_median():
    assert slowness([]) == 1
    assert slowness([(20, 10), (30, 10), (500, 10), (7, 0)]) == 3


def test_the_batch_is_the_one_that_gptqmodel_is_given():
    from actors import quantize

    assert quantize.BATCH is BATCH
