"""How to serve a recommended configuration: by vLLM where it can, otherwise by raysweep's engine.

vLLM serves the full cache and its own KV formats. It neither evicts tokens nor packs them as raysweep's
policies do, so those run on raysweep's engine. vLLM limits thinking by a token budget of its own, and
closes it with the family's closing token.
"""

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from raysweep import memory
from raysweep.analysis.candidates import Candidate
from raysweep.analysis.configurations import Configuration
from raysweep.checkpoints.hub import repository_of
from raysweep.errors import shown
from raysweep.kv_policy import method_of, parameters
from raysweep.planning.backends import kv_cache_dtype
from raysweep.spec import Benchmark, Checkpoint, EngineSpec, Family, WeightSpec, sequence_tokens
from raysweep.system.override_text import override_text

# The kernels that vLLM chooses on an NVIDIA GPU, by the method of the weights.
QUANTIZATION = {"gptq": "gptq_marlin", "awq": "awq_marlin", "fp8": "fp8"}

# vLLM allocates its cache in blocks of this many tokens.
BLOCK_TOKENS = 16


@dataclass(frozen=True)
class Serving:
    """How to serve a configuration.

    backend  `vllm` or `torch`
    request  the parameters of every request
    notes    how it differs from what was measured, or why vLLM cannot serve it
    """

    backend: str
    command: str
    request: Mapping[str, Any]
    notes: tuple[str, ...]


def serving(
    engine: EngineSpec,
    benchmark: Benchmark,
    candidate: Candidate,
    batch_size: int,
    checkpoint: Checkpoint,
) -> Serving:
    """How to serve a candidate to a batch of questions.

    engine      the candidate's engine
    checkpoint  the files of the engine's weights at its precision
    """
    if kv_cache_dtype(engine.kv_policy) is None:
        return _by_torch(engine, candidate.configuration, batch_size, checkpoint)
    return _by_vllm(engine, benchmark, candidate, batch_size, checkpoint)


def _by_vllm(
    engine: EngineSpec,
    benchmark: Benchmark,
    candidate: Candidate,
    batch_size: int,
    checkpoint: Checkpoint,
) -> Serving:
    family, chosen = engine.model.family, candidate.configuration
    budget = chosen.token_budget
    # A closing of n bytes in UTF-8 has at most n tokens.
    closing = len((family.think_close + benchmark.answer_opener).encode())
    tokens = sequence_tokens(candidate.prompt_tokens, budget, closing, benchmark.answer_tokens)
    blocks = -(-tokens // BLOCK_TOKENS)
    rows = batch_size * chosen.group_size
    longest = memory.kv_bytes(engine.model.architecture, engine.kv_policy, blocks * BLOCK_TOKENS)
    quantization = QUANTIZATION.get(engine.weights.method)
    repository = repository_of(checkpoint.path)
    options = {
        **({"--revision": checkpoint.revision} if repository else {}),
        "--dtype": "bfloat16",
        **({"--quantization": quantization} if quantization else {}),
        "--max-model-len": blocks * BLOCK_TOKENS,
        "--max-num-seqs": rows,
        "--kv-cache-dtype": kv_cache_dtype(engine.kv_policy),
        "--kv-cache-memory-bytes": rows * longest,
        **_reasoning(family),
    }
    words = [word for option, value in options.items() for word in (option, str(value))]
    return Serving(
        "vllm",
        shlex.join(["vllm", "serve", repository or checkpoint.path, *words]),
        {
            "n": chosen.group_size,
            **({"thinking_token_budget": budget} if family.think_close else {}),
            "max_tokens": tokens - candidate.prompt_tokens,
            "temperature": family.sampling.temperature,
            "top_p": family.sampling.top_p,
            "top_k": family.sampling.top_k,
            **({"chat_template_kwargs": dict(family.template)} if family.template else {}),
        },
        (_difference(family, benchmark, budget), *_asking(family)),
    )


def _reasoning(family: Family) -> dict[str, str]:
    """The option that tells vLLM how thinking is marked; none for a family without a closing."""
    if not family.think_close:
        return {}
    marks = {
        "reasoning_start_str": family.think_open.strip(),
        "reasoning_end_str": family.think_close,
    }
    return {"--reasoning-config": json.dumps(marks)}


def _difference(family: Family, benchmark: Benchmark, budget: int) -> str:
    """How vLLM's answers differ from the measured ones."""
    opened = f"the measured accuracy had the answer opened with {benchmark.answer_opener!r}"
    if not family.think_close:
        return f"vLLM cannot open an answer after {budget} tokens without a think_close; {opened}"
    return f"vLLM closes thinking with {family.think_close!r} only; {opened} as well"


def _asking(family: Family) -> Iterator[str]:
    """What the measured prompts had and a server does not add by itself."""
    if family.system is not None:
        yield f"each question was asked after the system message {shown(family.system)}; send it too"
    if family.prompt_date is not None:
        yield (
            f"the chat template was told {family.prompt_date} as today; a server tells it the day of "
            "the request"
        )


def _by_torch(
    engine: EngineSpec, chosen: Configuration, batch_size: int, checkpoint: Checkpoint
) -> Serving:
    model, weights, policy = engine.model, engine.weights, engine.kv_policy
    group_size = chosen.group_size
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
        f"sweep.models=[{override_text(source)}]",
        f"sweep.weights=[{override_text(_described(weights))}]",
        f"sweep.kv_policies=[{override_text(described)}]",
        f"sweep.token_budgets=[{chosen.token_budget}]",
        f"sweep.group_sizes=[{group_size}]",
        f"sweep.samples={group_size}",
        f"generation.max_rows={batch_size * group_size}",
    ]
    return Serving(
        "torch",
        shlex.join(["python", "-m", "raysweep", *overrides]),
        {},
        (f"vLLM has no KV policy {policy.slug}, so raysweep's own engine runs the benchmark",),
    )


def _described(weights: WeightSpec) -> dict[str, Any]:
    return {"method": "bf16", "bits": 16} if weights.bits == 16 else asdict(weights)
