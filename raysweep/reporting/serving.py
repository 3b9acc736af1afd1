"""How a recommended configuration is served: vLLM's command where vLLM can do it, else raysweep's engine.

vLLM neither evicts tokens nor stores them as raysweep's packed policies do: the full cache and vLLM's own
formats are served by vLLM, the rest by raysweep's engine. Thinking is limited by vLLM's own token budget,
which ends it with the family's closing token.
"""

import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from raysweep import memory
from raysweep.checkpoints.hub import repository_of
from raysweep.kv_policy import method_of, parameters
from raysweep.planning.backends import kv_cache_dtype
from raysweep.spec import Benchmark, Checkpoint, EngineSpec, WeightSpec, sequence_tokens

# By weight method: the kernels that vLLM chooses for such checkpoints on an NVIDIA GPU.
QUANTIZATION = {"gptq": "gptq_marlin", "awq": "awq_marlin", "fp8": "fp8"}
BLOCK_TOKENS = 16  # vLLM gives out its cache in blocks


@dataclass(frozen=True)
class Serving:
    """How to serve a configuration. `backend` is vllm or torch; `request` goes with every question.

    notes  what will differ from what was measured, or why it is not vLLM
    """

    backend: str
    command: str
    request: Mapping[str, Any]
    notes: tuple[str, ...]


def serving(
    engine: EngineSpec,
    benchmark: Benchmark,
    scenario: Mapping[str, Any],
    batch_size: int,
    checkpoint: Checkpoint,
) -> Serving:
    """How `scenario`, a row of scenarios.parquet, is served to a batch of questions.

    checkpoint  the files of the engine's weights at its precision
    """
    if kv_cache_dtype(engine.kv_policy) is None:
        return _by_torch(engine, scenario, batch_size, checkpoint)
    return _by_vllm(engine, benchmark, scenario, batch_size, checkpoint)


def _by_vllm(
    engine: EngineSpec,
    benchmark: Benchmark,
    scenario: Mapping[str, Any],
    batch_size: int,
    checkpoint: Checkpoint,
) -> Serving:
    family, budget = engine.model.family, scenario["token_budget"]
    # A closing of n characters has at most n tokens in UTF-8 bytes.
    closing = len((family.think_close + benchmark.answer_opener).encode())
    tokens = sequence_tokens(scenario["prompt_tokens"], budget, closing, benchmark.answer_tokens)
    blocks = -(-tokens // BLOCK_TOKENS)
    rows = batch_size * scenario["group_size"]
    longest = memory.kv_bytes(engine.model.architecture, engine.kv_policy, blocks * BLOCK_TOKENS)
    quantization = QUANTIZATION.get(engine.weights.method)
    reasoning = {
        "reasoning_start_str": family.think_open.strip(),
        "reasoning_end_str": family.think_close,
    }
    repository = repository_of(checkpoint.path)
    options = {
        **({"--revision": checkpoint.revision} if repository else {}),
        "--dtype": "bfloat16",
        **({"--quantization": quantization} if quantization else {}),
        "--max-model-len": blocks * BLOCK_TOKENS,
        "--max-num-seqs": rows,
        "--kv-cache-dtype": kv_cache_dtype(engine.kv_policy),
        "--kv-cache-memory-bytes": rows * longest,
        "--reasoning-config": json.dumps(reasoning),
    }
    words = [word for option, value in options.items() for word in (option, str(value))]
    return Serving(
        "vllm",
        shlex.join(["vllm", "serve", repository or checkpoint.path, *words]),
        {
            "n": scenario["group_size"],
            "thinking_token_budget": budget,
            "max_tokens": tokens - scenario["prompt_tokens"],
            "temperature": family.sampling.temperature,
            "top_p": family.sampling.top_p,
            "top_k": family.sampling.top_k,
        },
        (
            f"vLLM closes thinking with {family.think_close!r} alone; what was measured opens the "
            f"answer with {benchmark.answer_opener!r} too",
        ),
    )


def _by_torch(
    engine: EngineSpec, scenario: Mapping[str, Any], batch_size: int, checkpoint: Checkpoint
) -> Serving:
    model, weights, policy = engine.model, engine.weights, engine.kv_policy
    group_size = scenario["group_size"]
    described = {"method": method_of(policy), **parameters(policy)}
    repository = repository_of(checkpoint.path)
    place = (
        {"hub": repository, "revision": checkpoint.revision}
        if repository
        else {"path": checkpoint.path}
    )
    source = {"name": model.name, "family": model.family.name, **place}
    overrides = [
        "run=recommended",
        "stages=[plan,generate]",
        f"sweep.models=[{_flow(source)}]",
        f"sweep.weights=[{_flow(_described(weights))}]",
        f"sweep.kv_policies=[{_flow(described)}]",
        f"sweep.token_budgets=[{scenario['token_budget']}]",
        f"sweep.group_sizes=[{group_size}]",
        f"sweep.samples={group_size}",
        f"generation.max_rows={batch_size * group_size}",
    ]
    return Serving(
        "torch",
        shlex.join(["python", "-m", "raysweep", *overrides]),
        {},
        (f"vLLM has no {policy.slug}: this is raysweep's own engine, which runs a benchmark",),
    )


def _described(weights: WeightSpec) -> dict[str, Any]:
    return {"method": "bf16", "bits": 16} if weights.bits == 16 else asdict(weights)


def _flow(value: Any) -> str:
    """A value as a configuration override has it: `{method: r_kv, budget: 4096}`."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(entry)}" for key, entry in value.items()) + "}"
    return (
        "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    )
