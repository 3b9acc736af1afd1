"""Part 2: decoding by random models in Qwen3's shape, beside what the plan says of speed and memory.

Rows are put at some thousands of tokens without decoding them: their extents are set, and their caches are
filled with random numbers. Lengths are spread, so that rows are compacted at different times, as in a run.
Then the engine takes steps, first recorded ones, then eager ones.
"""

import gc
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import torch

from actors.engine import TraceRequest
from actors.kv.full import Full
from actors.kv.quantized import Quantized
from actors.kv.r_kv import RKV
from actors.kv.streaming_llm import StreamingLLM
from actors.kv_cache.cache import Extent
from actors.torch_engine import engine as engine_module
from actors.torch_engine.engine import TorchEngine
from actors.torch_engine.graphs import Graphs
from actors.torch_engine.model import Decoder
from benchmarks.check_gpu.device import device_of, peak_bytes, recorder, reset_peak, synchronize
from benchmarks.check_gpu.random_qwen3 import random_model, write_folder
from benchmarks.check_gpu.rows import Case, Row, not_run
from benchmarks.check_gpu.setting import Setting
from benchmarks.check_gpu.vllm_process import vllm_tokens_s
from raysweep import catalogue
from raysweep.kv_policy import KVPolicy
from raysweep.planning.backends import vllm_installed
from raysweep.planning.fit import Fit, capped, fit_on
from raysweep.planning.lengths import Lengths
from raysweep.planning.speed import speed
from raysweep.spec import (
    BF16,
    Architecture,
    Checkpoint,
    Decoding,
    EngineSpec,
    ModelSpec,
    Sampling,
    WeightSpec,
)
from raysweep.system.quantities import human_bytes

PROMPT = "s*7=r;h=09;h-2=s;r?"
CLOSING, ANSWER_TOKENS = "\n", 1
SLOWEST = 0.5  # share of the planned speed that is expected at least
NO_SLOWER = 0.95  # share of the eager steps' speed that recorded ones have at least; they are faster if small


@dataclass(frozen=True)
class Scale:
    """What is decoded.

    kinds    precisions and policies of each model
    tokens   that the shortest row has seen
    spread   tokens over which the rows' lengths are spread
    rows     at most
    warm_up  steps before the timed ones
    steps, eager_steps  that are timed
    """

    models: tuple[ModelSpec, ...]
    kinds: tuple[tuple[WeightSpec, KVPolicy], ...]
    tokens: int
    spread: int
    rows: int
    warm_up: int
    steps: int
    eager_steps: int
    sampling: Sampling

    @property
    def longest(self) -> int:
        """Tokens of the longest row at the end."""
        steps = self.steps + self.eager_steps + 2 * self.warm_up
        return self.tokens + self.spread + steps + len(PROMPT) + 16

    @property
    def mean_tokens(self) -> int:
        return self.tokens + (self.spread + self.steps) // 2


def real_scale() -> Scale:
    names = ("full", "streaming_llm-2048", "r_kv-2048", "quantized-8", "quantized-4", "quantized-2")
    return Scale(
        tuple(map(catalogue.model, ("qwen3-8b", "qwen3-0.6b"))),
        tuple(product(map(catalogue.weights, ("bf16", "gptq-4")), map(catalogue.kv_policy, names))),
        *(4096, 128, 64, 2, 64, 16, Sampling(0.6, top_p=0.95, top_k=20)),
    )


def tiny_scale() -> Scale:
    """What the interpreter can run in seconds."""
    a = Architecture(64, 1, 2, 1, 32, 64, 300, True, 512)
    tiny = replace(catalogue.model("qwen3-0.6b"), name="tiny", architecture=a)
    packing = Quantized(4, group_size=16, residual=16)
    policies = (Full(), StreamingLLM(4, 28), RKV(budget=32, window=4, buffer=4), packing)
    kinds = (*((BF16, policy) for policy in policies), (WeightSpec("gptq", 4, 32), Full()))
    return Scale((tiny,), kinds, *(64, 4, 2, 0, 1, 1, Sampling(0)))


def cases(setting: Setting) -> Sequence[Case]:
    """By policy for each model at each precision; then vLLM, which takes longer to load."""
    scale = tiny_scale() if setting.dry else real_scale()
    models = Models(device_of(setting))
    specs = [
        EngineSpec(model, weights, policy, "torch", Checkpoint("", ""))
        for model in scale.models
        for weights, policy in scale.kinds
    ]
    ours = [Case(s.engine_id, partial(check, s, scale, models, setting)) for s in specs]
    full = [spec for spec in specs if spec.kv_policy.slug == "full"]
    theirs = [
        Case(f"vLLM, {s.engine_id}", partial(check_vllm, s, scale, models, setting)) for s in full
    ]
    return [*ours, *theirs]


class Models:
    """The model that was used last, with its weights on the device, and the speeds that were found."""

    def __init__(self, device: torch.device):
        self.device = device
        self.key: Any = None
        self.decoder: Decoder | None = None
        self.tokens_s: dict[str, float] = {}

    def get(self, spec: EngineSpec) -> Decoder:
        key = (spec.model.name, spec.weights)
        if self.key != key or self.decoder is None:
            self.drop()
            model = random_model(spec.model.architecture, spec.weights, self.device)
            self.decoder, self.key = Decoder(model, torch.bfloat16, self.device), key
        return self.decoder

    def drop(self) -> None:
        self.decoder = None
        free(self.device)


def free(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def check(spec: EngineSpec, scale: Scale, models: Models, setting: Setting) -> Iterable[Row]:
    """Three rows: speed, memory, and what recordings save."""
    fit = planned(spec, scale, setting)
    if not fit.rows:
        return [not_run(spec.engine_id, f"it does not fit on {setting.gpu.name}")]
    free(models.device)
    decoder = models.get(spec)
    reset_peak(models.device)
    with running(spec, fit.rows, scale, decoder) as engine:
        step: Any = engine.decode
        graphs, before = step.graphs, len(step.graphs.recordings)
        place(engine, scale)
        recorded_s = seconds_per_step(engine, scale.warm_up, scale.steps)
        peak, later = peak_bytes(models.device), len(graphs.recordings) - before
        step.graphs = None
        eager_s = seconds_per_step(engine, scale.warm_up, scale.eager_steps)
    tokens_s = models.tokens_s[spec.engine_id] = fit.rows / recorded_s
    name = f"{spec.engine_id}, {fit.rows} rows"
    return [
        speed_row(name, tokens_s, spec, fit, scale, setting),
        memory_row(name, peak, fit, setting),
        recordings_row(name, eager_s / recorded_s, before, later, setting),
    ]


def planned(spec: EngineSpec, scale: Scale, setting: Setting) -> Fit:
    """The engine alone on the GPU, with as many rows as fit."""
    lengths = Lengths(scale.longest, len(PROMPT), len(CLOSING) + ANSWER_TOKENS)
    return capped(fit_on(spec, setting.gpu, 1, lengths), scale.rows)


@contextmanager
def running(spec: EngineSpec, rows: int, scale: Scale, decoder: Decoder) -> Iterator[TorchEngine]:
    """An engine all of whose rows run. No text ends before its budget."""
    a = spec.model.architecture
    with TemporaryDirectory() as folder:
        write_folder(Path(folder), a, spec.weights)
        with mock.patch.object(engine_module, "load_decoder", return_value=decoder):
            engine = TorchEngine(folder, a, spec.kv_policy, rows, longest=scale.longest)
    engine.texts.end = frozenset()
    budget = scale.longest - len(PROMPT) - len(CLOSING) - ANSWER_TOKENS
    way = Decoding(*(0, scale.sampling, "", "", CLOSING, ANSWER_TOKENS, (budget,)), end_closes=True)
    for key in range(rows):
        engine.add(TraceRequest(PROMPT, key, way), lambda _: None)
    step: Any = engine.decode
    if step.graphs is None:  # in a dry run
        step.graphs = Graphs(partial(recorder, engine.decoder.device))
    engine.step()
    yield engine


def place(engine: TorchEngine, scale: Scale) -> None:
    """Give each row the extent of one that has seen so many tokens, and random keys and values."""
    cache, rows = engine.cache, len(engine.running)
    for row, sequence in enumerate(engine.running):
        seen = scale.tokens + row * scale.spread // rows
        held = cache.policy.held(seen)
        cache.extents[row] = Extent(seen, held.native, held.packed)
        sequence.seen = seen - len(engine.launched)
    packed = {} if cache.packed is None else cache.packed.lanes
    for name, lane in (*cache.native.lanes.items(), *packed.items()):
        fill(name, lane.tensor)
    cache.queries.normal_()


def fill(name: str, lane: torch.Tensor) -> None:
    """Random numbers of about 1."""
    if name.endswith("codes"):
        lane.random_(0, 256)
    elif name.endswith(("scales", "zeros")):
        lane.uniform_(0.01, 0.02)
    elif name != "attention":
        lane.normal_()


def seconds_per_step(engine: TorchEngine, warm_up: int, steps: int) -> float:
    """The mean over some steps, after others that warm up."""
    for _ in range(warm_up):
        engine.step()
    synchronize(engine.decoder.device)
    began = time.perf_counter()
    for _ in range(steps):
        engine.step()
    synchronize(engine.decoder.device)
    return (time.perf_counter() - began) / steps


def predicted(spec: EngineSpec, fit: Fit, scale: Scale, setting: Setting) -> float:
    """Tokens per second of traces whose mean length, half of a trace, is that of the rows."""
    return speed(spec, setting.gpu, fit, 2 * scale.mean_tokens).tokens_s()


def speed_row(
    name: str, tokens_s: float, spec: EngineSpec, fit: Fit, scale: Scale, setting: Setting
) -> Row:
    plan = predicted(spec, fit, scale, setting)
    ok = None if setting.dry else tokens_s >= SLOWEST * plan
    numbers = {"tokens_s": tokens_s, "planned_tokens_s": plan, "rows": fit.rows}
    said = f"{tokens_s:,.0f} tokens/s, {tokens_s / plan:.2f} × planned"
    return Row(name, said, f"planned {plan:,.0f}, at least {SLOWEST} ×", ok, numbers)


def memory_row(name: str, peak: int, fit: Fit, setting: Setting) -> Row:
    most = fit.peak_bytes(fit.rows)
    numbers = {"peak_bytes": peak, "planned_bytes": most}
    ok = None if setting.dry else peak <= most
    return Row(f"{name}, memory", human_bytes(peak), f"at most {human_bytes(most)}", ok, numbers)


def recordings_row(name: str, ratio: float, before: int, later: int, setting: Setting) -> Row:
    """All steps are to be recorded before tokens are decoded."""
    said = f"{before} recorded, {later} later; {ratio:.2f} × as fast as eager"
    ok = later == 0 and (setting.dry or ratio >= NO_SLOWER)
    numbers = {"recordings": before, "later": later, "recorded_over_eager": ratio}
    return Row(f"{name}, recordings", said, f"none later, at least {NO_SLOWER} ×", ok, numbers)


def check_vllm(spec: EngineSpec, scale: Scale, models: Models, setting: Setting) -> Iterable[Row]:
    """vLLM with as many rows and tokens, beside the torch engine where that has been timed."""
    name, fit = f"vLLM, {spec.engine_id}", planned(spec, scale, setting)
    if setting.dry or not vllm_installed():
        return [not_run(name, "vLLM needs a GPU" if setting.dry else "vLLM is not installed here")]
    if not fit.rows:
        return [not_run(name, f"it does not fit on {setting.gpu.name}")]
    models.drop()
    with TemporaryDirectory() as folder:
        write_folder(Path(folder), spec.model.architecture, spec.weights)
        tokens_s = vllm_tokens_s(Path(folder), fit.rows, scale.mean_tokens, scale.steps)
    said, numbers = f"{tokens_s:,.0f} tokens/s", {"tokens_s": tokens_s, "rows": fit.rows}
    if ours := models.tokens_s.get(spec.engine_id):
        said += f"; the torch engine {ours / tokens_s:.2f} ×"
        numbers["torch_over_vllm"] = ours / tokens_s
    return [Row(f"{name}, {fit.rows} rows", said, numbers=numbers)]
