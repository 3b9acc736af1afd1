"""Reading and refusing `sweep.adaptive`: what a run may stop for, and how sure that must be."""

from pathlib import Path
from typing import Any

import pytest
from support.configurations import read, valid_configuration, write_models

from raysweep.configuration.identity import as_document, identity
from raysweep.errors import ConfigError
from raysweep.memory import CONTEXT_BYTES
from raysweep.run_config import Adaptive

OFF = {
    "goal": None,
    "epsilon": 0.01,
    "delta": 0.05,
    "memory_gb": None,
    "gpu": None,
    "batch_size": 1,
    "max_usd": None,
    "max_gpu_hours": None,
}
GPUS = {"gpu": "a100-80", "gpus_per_actor": None}


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_models(tmp_path_factory.mktemp("user"), "small", "large")


def asking(samples: int = 32, cluster: dict[str, Any] | None = None, **values: Any):
    configuration = valid_configuration()
    configuration["sweep"] |= {"samples": samples, "adaptive": {**OFF, **values}}
    configuration["cluster"] |= cluster or {}
    return configuration


def test_without_a_goal_every_sample_is_made(mine: Path):
    assert read(asking(), mine).sweep.adaptive is None
    configuration = asking()
    configuration["sweep"]["adaptive"] = None
    assert read(configuration, mine).sweep.adaptive is None


def test_a_goal_or_a_memory_alone_turns_it_on(mine: Path):
    assert read(asking(goal="frontier"), mine).sweep.adaptive == Adaptive(0.01, 0.05)
    within = read(asking(memory_gb=24, batch_size=16), mine).sweep.adaptive
    assert within == Adaptive(0.01, 0.05, memory_bytes=24e9, batch_size=16)
    of_a_gpu = read(asking(gpu="rtx4090-24"), mine).sweep.adaptive
    assert of_a_gpu is not None and of_a_gpu.memory_bytes == 24564 * 2**20 - CONTEXT_BYTES


def test_a_memory_ends_in_a_recommendation_within_it(mine: Path):
    config = read(asking(memory_gb=24, batch_size=16), mine)
    assert config.stages[-1] == "recommend"
    assert (config.recommend.memory_bytes, config.recommend.batch_size) == (24e9, 16)
    assert "recommend" not in read(asking(goal="frontier"), mine).stages
    planning = asking(memory_gb=24) | {"stages": ["plan"]}
    assert read(planning, mine).stages == ("plan",)


def test_who_names_other_requirements_gets_those(mine: Path):
    configuration = asking(memory_gb=24, batch_size=16)
    configuration["recommend"] |= {"memory_gb": 8, "batch_size": 1}
    wish = read(configuration, mine).recommend
    assert (wish.memory_bytes, wish.batch_size) == (8e9, 1)


def test_it_is_no_part_of_what_a_folder_is_and_stands_in_its_record(mine: Path):
    plain, adaptive = read(asking(), mine), read(asking(goal="frontier"), mine)
    assert identity(plain) == identity(adaptive)
    assert as_document(adaptive)["configuration"]["sweep"]["adaptive"]["epsilon"] == 0.01


def test_ceilings_need_a_known_kind_of_gpu(mine: Path):
    ceilings = {"goal": "frontier", "max_usd": 100, "max_gpu_hours": 50}
    assert read(asking(cluster=GPUS, **ceilings), mine).sweep.adaptive == Adaptive(
        0.01, 0.05, max_usd=100, max_gpu_hours=50
    )


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"goal": "frontiers"}, "sweep.adaptive.goal: 'frontiers' is not a known goal of an"),
        (
            {"goal": "frontier", "memory_gb": 24},
            "sweep.adaptive.goal: 'frontier' is given together with memory_gb = 24, which asks for",
        ),
        (
            {"goal": "frontier", "gpu": "l4-24"},
            "sweep.adaptive.goal: 'frontier' is given together with gpu = 'l4-24'",
        ),
        (
            {"memory_gb": 24, "gpu": "l4-24"},
            "sweep.adaptive.gpu: 'l4-24' is given together with memory_gb = 24; keep one of the two",
        ),
        ({"gpu": "rtx4090"}, "sweep.adaptive.gpu: 'rtx4090' is not a known kind of GPU; did you"),
        ({"memory_gb": 1e-6}, "sweep.adaptive.memory_gb: no engine fits in 1e-06 GB; the smallest"),
        ({"epsilon": 1}, "sweep.adaptive.epsilon: 1 is out of range; write a number from 0 to"),
        ({"epsilon": -0.1}, "sweep.adaptive.epsilon: -0.1 is out of range; write a number 0 or"),
        ({"delta": 0}, "sweep.adaptive.delta: 0 is out of range; write a number between 0 and 1"),
        ({"delta": 1.0}, "sweep.adaptive.delta: 1 is out of range; write a number between"),
        (
            {"goal": "frontier", "batch_size": 16},
            "sweep.adaptive.batch_size: 16 belongs to a memory, and none is given; write",
        ),
        ({"max_usd": 9}, "sweep.adaptive.max_usd: 9 ends the rounds of an adaptive run, and this"),
        (
            {"goal": "frontier", "max_usd": 9},
            "sweep.adaptive.max_usd: 9 cannot be kept, since what a round costs is known for named",
        ),
        (
            {"memory_gb": 24, "max_gpu_hours": 9},
            "sweep.adaptive.max_gpu_hours: 9 cannot be kept, since what a round costs",
        ),
        ({"goal": "frontier", "samples": 4}, "sweep.samples: 4 leaves no sample to save after the"),
        ({"epslion": 0.1}, "sweep.adaptive: 'epslion' is not a known key; did you mean 'epsilon'"),
    ],
)
def test_contradictions_are_refused_by_field_value_and_way_out(
    values: dict[str, Any], words: str, mine: Path
):
    with pytest.raises(ConfigError) as error:
        read(asking(**values), mine)
    assert words in str(error.value)


def test_dollars_need_the_price_of_every_kind(mine: Path):
    free = {**GPUS, "gpu": {"name": "a100-80", "usd_per_hour": 0}}
    with pytest.raises(ConfigError, match="cannot be kept without the price of a100-80; write"):
        read(asking(cluster=free, goal="frontier", max_usd=9), mine)
    assert read(asking(cluster=free, goal="frontier", max_gpu_hours=9), mine).sweep.adaptive
