"""Qwen3-8B, policies of all kinds and the study's lengths, for sums of bytes that are written out."""

from actors.kv.full import Full
from actors.kv.h2o import H2O
from actors.kv.quantized import Quantized
from actors.kv.r_kv import RKV
from actors.kv.snap_kv import SnapKV
from actors.kv.streaming_llm import StreamingLLM
from raysweep import catalogue

QWEN = catalogue.model("qwen3-8b").architecture
TOKEN = 36 * 8 * 128 * 2 * 2  # bytes of a native token
QUERY = 36 * 32 * 128 * 2  # bytes of an observed query
TOKENS, AHEAD = 31_000, 1_100

POLICIES = [
    Full(),
    StreamingLLM(4, 2044),
    SnapKV(2048),
    RKV(2048),
    H2O(1024, buffer=64),
    Quantized(2),
    Quantized(4, layout="kivi", group_size=48, residual=100),
    Quantized(8, axis=1, sinks=4),
    Quantized(4, axis=1, evict=RKV(1024)),
    Quantized(4, axis=1, sinks=4, evict=StreamingLLM(4, 1020)),
    Quantized(4, axis=1, evict=H2O(1024)),
]
