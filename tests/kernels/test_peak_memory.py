"""The peak of an engine's memory on a GPU against what the plan counts, on the meta device.

The whole engine runs: prompts, steps, forks of all rows at one budget, a compaction of each within its
answer, and the way back. Only numbers are missing, so tokens are given. The rows are those that the plan
gives an H100 for the study's grid. Models have two of their layers, in the formulas too, but one has all.
"""

from dataclasses import replace
from functools import cache

import pytest
import torch
from support.live_bytes import LiveBytes
from support.tiny_models import MODELS, rendered

from actors import kernels
from actors.engine import TraceRequest
from actors.kv_cache.cache import Extent
from actors.torch_engine import engine as engine_module
from actors.torch_engine import gpu_step
from actors.torch_engine.engine import TorchEngine
from actors.torch_engine.model import Decoder
from benchmarks.configured import configured
from benchmarks.meta_engine import META, a_model
from raysweep.configuration.config import conf_folder
from raysweep.configuration.definitions import Definitions, read_gpu
from raysweep.kv_policy import KVPolicy
from raysweep.memory import CONTEXT_BYTES, reserved_bytes
from raysweep.planning.fit import placed
from raysweep.planning.grid import planned_engines
from raysweep.planning.lengths import Lengths
from raysweep.planning.torch_memory import fixed_bytes, row_bytes
from raysweep.spec import BF16, Architecture, Decoding, EngineSpec, Sampling

H100 = read_gpu(Definitions((conf_folder(),)), "h100-80", "gpu")
BUDGETS, ANSWER, PROMPT = (29_000, 30_000), 24, 1_900
LENGTHS = Lengths(PROMPT + 200 + BUDGETS[-1] + ANSWER, PROMPT + 200, ANSWER + 30)
TOKEN = 9  # that every row draws: it ends neither thinking nor text


@cache
def grid() -> dict[str, EngineSpec]:
    """The bf16 engines of the study: six sizes with ten policies."""
    engines, *_ = planned_engines(
        configured("+sweep=full", "stages=[plan]", "sweep.backend=torch"), ()
    )
    return {one.engine_id: one for one in engines if one.weights.method == "bf16"}


@pytest.fixture(autouse=True)
def on_meta(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "DEVICES", {"meta"})
    monkeypatch.setattr(engine_module, "fastest_device", lambda: META)
    monkeypatch.setattr(gpu_step, "_reader", lambda drawn: lambda: [TOKEN] * len(drawn))
    given = lambda logits, *_: torch.full([len(logits)], TOKEN)  # noqa: E731
    monkeypatch.setattr(engine_module, "draw_each", given)


def decoding() -> Decoding:
    closing = "</think>\nThe answer is"
    return Decoding(0, Sampling(1.0), "<think>\n", "</think>", closing, ANSWER, BUDGETS)


@cache
def decoder_of(a: Architecture) -> Decoder:
    return Decoder(a_model(a, BF16), torch.bfloat16, META)


def near_budget(policy: KVPolicy, first: int) -> Extent:
    """A row of at least `first` tokens that is compacted soon, if it ever is."""
    compacts_at = getattr(policy, "compacts_at", 0)
    seen = first
    while compacts_at and policy.held(seen).native < compacts_at - ANSWER:
        seen += 1
    held = policy.held(seen)
    return Extent(seen, held.native, held.packed)


def peak_bytes(a: Architecture, policy: KVPolicy, rows: int) -> int:
    """The most bytes beside the weights while all rows answer at a budget and go on."""
    decoder = decoder_of(a)
    with pytest.MonkeyPatch.context() as patch, LiveBytes() as live, torch.inference_mode():
        patch.setattr(engine_module, "load_decoder", lambda *_: decoder)
        engine = TorchEngine(str(MODELS / "tiny-60k"), a, policy, rows, longest=LENGTHS.row)
        for number in range(rows):
            question = rendered("1+" * (PROMPT // 2) + str(3 * number // rows))
            engine.add(TraceRequest(question, number, decoding()), lambda trace: None)
        engine.step()
        engine.launched.clear()
        for row, sequence in enumerate(engine.running):
            extent = near_budget(policy, sequence.seen + BUDGETS[0])
            sequence.seen, sequence.thinking_tokens = extent.seen, BUDGETS[0] - 3
            engine.cache.extents[row] = extent
        while any(sequence.thinking_tokens < BUDGETS[0] + 5 for sequence in engine.running):
            engine.step()
    return live.peak


def check(a: Architecture, policy: KVPolicy, rows: int) -> None:
    peak = peak_bytes(a, policy, rows)
    counted = rows * row_bytes(a, policy, LENGTHS) + fixed_bytes(a, policy, LENGTHS) - CONTEXT_BYTES
    assert peak <= counted, f"{peak / 1e9:.2f} of {counted / 1e9:.2f} GB with {rows} rows"
    least = rows * reserved_bytes(a, policy, LENGTHS.row)
    assert peak > least, "what is reserved is not even counted"


def planned_rows(spec: EngineSpec) -> int:
    fit = placed(spec, H100, 128, LENGTHS)
    assert fit is not None
    return fit.rows


@pytest.mark.parametrize("engine_id", sorted(grid()))
def test_no_engine_of_the_studys_grid_takes_more_than_the_plan_counts(engine_id: str):
    spec = grid()[engine_id]
    two_layers = replace(spec.model.architecture, layers=2)
    check(two_layers, spec.kv_policy, planned_rows(spec))


def test_nor_does_one_with_all_of_its_layers():
    spec = grid()["qwen3-8b.bf16.r_kv-8192"]
    check(spec.model.architecture, spec.kv_policy, planned_rows(spec))
