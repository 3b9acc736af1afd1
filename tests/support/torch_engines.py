"""Torch engines on the shipped models, and the questions that tests ask them."""

import torch
from my_study.largest_keys import LargestKeys
from support.tiny_models import (
    MODELS,
    architecture,
)

from actors.kv.full import Full
from actors.kv.h2o import H2O
from actors.kv.quantized import Quantized
from actors.kv.r_kv import RKV
from actors.kv.snap_kv import SnapKV
from actors.kv.streaming_llm import StreamingLLM
from actors.torch_engine.engine import TorchEngine
from raysweep.benchmarks import chain, facts
from raysweep.kv_policy import KVPolicy

POLICIES = [
    Full(),
    StreamingLLM(sinks=4, window=28),
    RKV(budget=32, window=8, buffer=16),
    SnapKV(budget=32, window=8, buffer=16),
    H2O(budget=32, window=16, buffer=8),
    Quantized(8, group_size=16, residual=16),
    Quantized(4, group_size=16, residual=16, layout="kivi"),
    Quantized(4, group_size=16, residual=16, layout="symmetric", sinks=4),
    Quantized(4, 16, 16, axis=1, sinks=4, evict=RKV(budget=48, window=8, buffer=16)),
    LargestKeys(budget=40, buffer=16),
]


QUESTIONS = [*chain.questions(10, seed=1), *facts.questions(3, seed=1)]


def make_engine(
    name: str, policy: KVPolicy, max_rows: int = 32, storage: torch.dtype = torch.bfloat16
) -> TorchEngine:
    return TorchEngine(str(MODELS / name), architecture(name), policy, max_rows, storage)
