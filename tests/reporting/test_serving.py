"""A configuration's command: vLLM's where vLLM can do it, and what it leaves out is said."""

import json
import shlex
from dataclasses import replace
from typing import Any

import pytest
from support.candidates import rival
from support.nouns import a_benchmark, an_engine

from actors.kv.quantized import Quantized
from actors.kv.r_kv import RKV
from raysweep.configuration.composition import compose
from raysweep.memory import kv_bytes_per_token
from raysweep.reporting.serving import Serving, serving
from raysweep.spec import Checkpoint, WeightSpec

CANDIDATE = rival(1000, 10, 0.5, prompt_tokens=21, token_budget=100, group_size=4)


def served(**changes: Any) -> Serving:
    return serving(
        an_engine(**changes),
        a_benchmark(),
        CANDIDATE,
        batch_size=3,
        checkpoint=Checkpoint("/data/toy", "1"),
    )


def options(command: str) -> dict[str, str]:
    words = shlex.split(command)
    assert words[:3] == ["vllm", "serve", "/data/toy"]
    return dict(zip(words[3::2], words[4::2], strict=True))


def test_the_full_cache_is_served_by_vllm_with_room_for_prompt_thinking_and_answer():
    found = served()
    given = options(found.command)
    closing = len("</think>\nThe answer is")
    length = int(given["--max-model-len"])
    assert 21 + 100 + closing + 4 <= length < 21 + 100 + closing + 4 + 16
    assert given["--max-num-seqs"] == "12"
    per_token = kv_bytes_per_token(an_engine().model.architecture)
    assert int(given["--kv-cache-memory-bytes"]) == 12 * length * per_token
    assert json.loads(given["--reasoning-config"])["reasoning_end_str"] == "</think>"
    assert "--quantization" not in given
    assert (found.request["n"], found.request["thinking_token_budget"]) == (4, 100)
    assert "The answer is" in found.notes[0]


def test_quantised_weights_name_their_kernels():
    found = served(weights=WeightSpec("gptq", 4, 128))
    assert options(found.command)["--quantization"] == "gptq_marlin"


@pytest.mark.parametrize("policy", [RKV(budget=64), Quantized(4, axis=1, evict=RKV(budget=512))])
def test_what_vllm_cannot_do_is_run_by_raysweeps_own_engine(policy, monkeypatch):
    found = served(kv_policy=policy)
    assert found.backend == "torch"
    assert policy.slug in found.notes[0]
    words = shlex.split(found.command)
    assert words[:3] == ["python", "-m", "raysweep"]
    monkeypatch.setattr("sys.argv", words[2:])
    composed = compose()
    assert composed is not None
    sweep = composed.values["sweep"]
    assert sweep["token_budgets"] == [100] and sweep["samples"] == 4
    assert sweep["kv_policies"][0]["method"] in ("r_kv", "quantized")
    assert sweep["models"] == [{"name": "toy", "family": "toys", "path": "/data/toy"}]


def test_sampling_is_that_of_the_family():
    model = an_engine().model
    family = replace(model.family, sampling=replace(model.family.sampling, top_p=0.95, top_k=20))
    found = served(model=replace(model, family=family))
    assert (found.request["top_p"], found.request["top_k"]) == (0.95, 20)
