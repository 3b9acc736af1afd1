"""Reading and refusing the request for a recommendation."""

from pathlib import Path
from typing import Any

import pytest
from support.configurations import changed, read, valid_configuration, write_models

from raysweep.errors import ConfigError
from raysweep.memory import CONTEXT_BYTES
from raysweep.run_config import Requirements


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_models(tmp_path_factory.mktemp("user"), "small", "large")


def wished(**values: Any) -> dict[str, Any]:
    configuration = {**valid_configuration(), "stages": ["recommend"]}
    configuration["recommend"] = {**configuration["recommend"], "memory_gb": 24, **values}
    return configuration


def test_gigabytes_become_bytes_and_no_benchmark_means_each(mine: Path):
    assert read(wished(), mine).recommend == Requirements(24e9, 1, None, None)
    wish = read(wished(memory_gb=0.5, batch_size=16, benchmark="facts"), mine).recommend
    assert wish == Requirements(0.5e9, 16, "facts", None)
    assert read(wished(max_token_budget=32), mine).recommend.max_token_budget == 32


def test_without_the_stage_no_memory_is_needed(mine: Path):
    assert read(valid_configuration(), mine).recommend.memory_bytes is None


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"memory_gb": None}, "recommend.memory_gb: missing, and the stage 'recommend' needs it"),
        ({"memory_gb": "24GB"}, "recommend.memory_gb: '24GB' is not a number"),
        ({"memory_gb": -1}, "recommend.memory_gb: -1 is out of range"),
        ({"batch_size": 0}, "recommend.batch_size: 0 is out of range"),
        (
            {"benchmark": "chains"},
            "recommend.benchmark: 'chains' is not a known benchmark; did you mean",
        ),
        ({"max_token_budget": 1.5}, "recommend.max_token_budget: 1.5 is not a whole number"),
        (
            {"gpu": "a100-80"},
            "recommend.gpu: 'a100-80' is given together with memory_gb = 24; keep one of the two",
        ),
        ({"gpu": "a100", "memory_gb": None}, "recommend.gpu: 'a100' is not a known kind of GPU"),
    ],
)
def test_a_bad_wish_is_refused_with_field_value_and_way_out(values, words: str, mine: Path):
    with pytest.raises(ConfigError) as error:
        read(wished(**values), mine)
    assert words in str(error.value)


def test_the_stage_comes_last(mine: Path):
    configuration = changed("stages", ["recommend", "report"])
    configuration["recommend"]["memory_gb"] = 1
    with pytest.raises(ConfigError, match=r"is out of order; write \['report', 'recommend'\]"):
        read(configuration, mine)


def test_the_memory_may_be_that_of_a_gpu_beside_what_cuda_takes(mine: Path):
    configuration = changed("recommend.gpu", "a100-80")
    wished = read(configuration, mine).recommend.memory_bytes
    assert wished == 81920 * 2**20 - CONTEXT_BYTES
