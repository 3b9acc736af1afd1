"""The bytes and products of a token on the torch engine, against sums written out."""

from dataclasses import dataclass, replace

import pytest
from support.nouns import an_engine
from support.qwen_memory import QWEN, TOKEN, TOKENS

from actors.kv.full import Full
from actors.kv.h2o import H2O
from actors.kv.quantized import Quantized
from actors.kv.r_kv import RKV
from actors.kv.snap_kv import SnapKV
from actors.kv.streaming_llm import StreamingLLM
from raysweep.configuration.config import conf_folder
from raysweep.configuration.definitions import Definitions, read_gpu
from raysweep.configuration.models import read_model
from raysweep.kv_policy import Held, Packing
from raysweep.memory import kv_bytes
from raysweep.planning.fit import fit_on
from raysweep.planning.lengths import Lengths
from raysweep.planning.speed import speed
from raysweep.planning.traffic import (
    INSTRUCTIONS_PER_NUMBER,
    Work,
    attention_bytes,
    compaction,
    layer_bytes,
    step_bytes,
)

DEFINITIONS = Definitions((conf_folder(),))
MODEL = read_model(DEFINITIONS, "qwen3-8b", "model")
LAYERS, HEADS, KV_HEADS, HEAD_DIM, VOCABULARY = 36, 32, 8, 128, 151_936


def partials(splits: int) -> int:
    """Bytes of partial sums, written and read."""
    return 2 * LAYERS * HEADS * splits * (HEAD_DIM + 1) * 4


def test_attention_reads_each_held_token_once_and_appends_one():
    full = 15_000 * TOKEN + TOKEN + partials(30)
    assert attention_bytes(QWEN, Full(), Held(15_000)) == full
    window = StreamingLLM(4, 2044)
    assert attention_bytes(QWEN, window, window.held(15_000)) == 2049 * TOKEN + partials(4)


def test_packed_tokens_are_read_as_they_are():
    policy = Quantized(4)
    held = policy.held(15_000)
    read = attention_bytes(QWEN, policy, held) - TOKEN - partials(1 + -(-held.packed // 2048))
    assert read == kv_bytes(QWEN, policy, 15_000)


def test_observed_queries_are_written_and_attention_is_summed():
    query = LAYERS * HEADS * HEAD_DIM * 2
    assert attention_bytes(QWEN, RKV(2048), Held(2100)) == 2101 * TOKEN + query + partials(5)
    sums = 2100 * LAYERS * (2 * KV_HEADS * 4 + 2 * HEADS * 4)
    assert attention_bytes(QWEN, H2O(2048), Held(2100)) == 2101 * TOKEN + sums + partials(5)


def test_a_step_adds_the_layers_vectors_and_the_logits():
    layer = 2 * (8 * 4096 + 4 * 4096 + 4 * 1024 + 6 * 12288)
    assert layer_bytes(QWEN) == layer
    attention = attention_bytes(QWEN, Full(), Held(500))
    assert step_bytes(QWEN, Full(), 500) == attention + 36 * layer + 5 * 2 * VOCABULARY


# Compactions


def test_policies_that_never_compact_have_no_compactions():
    for policy in (Full(), StreamingLLM(4, 2044), StreamingLLM(4, 28)):
        assert compaction(QWEN, policy, TOKENS) == Work()
    assert compaction(QWEN, RKV(8192), 8192 + 127) == Work()


def test_r_kv_compares_each_pair_of_keys_once():
    held = 8192 + 128
    times = (TOKENS - 8192) // 128 / TOKENS * LAYERS * KV_HEADS
    work = compaction(QWEN, RKV(8192), TOKENS)
    assert work.flops == pytest.approx(times * held**2 * HEAD_DIM)
    moved = held**2 / 2 / 256 * HEAD_DIM * 2 + 8 * held * HEAD_DIM * 2
    assert work.moved == pytest.approx(times * moved, rel=1e-3)


def test_other_evicting_policies_read_keys_and_move_what_stays():
    held = 2048 + 64
    times = (TOKENS - 2048) // 64 / TOKENS * LAYERS * KV_HEADS
    expected = Work(times * held * HEAD_DIM * 2 * (4 + 2 * 2))
    for policy in (SnapKV(2048, buffer=64), H2O(2048, buffer=64)):
        found = compaction(QWEN, policy, TOKENS)
        assert found.moved == pytest.approx(expected.moved) and found.flops == 0


def test_packing_reads_a_block_writes_it_packed_and_moves_the_residual():
    token = 2 * HEAD_DIM * 2
    packed = 2 * (64 * HEAD_DIM * 4 // 8) + 2 * HEAD_DIM * 2 * 2
    times = (TOKENS - 128) // 64 / TOKENS * LAYERS * KV_HEADS
    work = compaction(QWEN, Quantized(4), TOKENS)
    assert work.moved == pytest.approx(times * (64 * token + packed + 2 * 128 * token))


def test_a_policy_that_packs_and_evicts_does_both():
    packs, evicts = Quantized(4, axis=1), Quantized(4, axis=1, evict=RKV(1024))
    assert compaction(QWEN, evicts, 1000) == compaction(QWEN, packs, 1000)
    more = compaction(QWEN, evicts, TOKENS)
    assert more.moved > compaction(QWEN, packs, TOKENS).moved and more.flops > 0
    assert compaction(QWEN, packs, TOKENS).flops == 0


@dataclass(frozen=True)
class Half:
    """A user's policy that says what it holds, and nothing of how."""

    slug = "half"
    packing: Packing | None = None
    observed_queries = 0
    scores_attention = False

    def held(self, tokens: int) -> Held:
        return Held(tokens // 2)

    def reserved(self, tokens: int) -> Held:
        return Held(tokens)


def test_a_policy_that_only_says_what_it_holds_is_priced_by_that():
    assert compaction(QWEN, Half(), TOKENS) == Work()
    half = attention_bytes(QWEN, Half(), Half().held(15_000))
    assert half == 7501 * TOKEN + partials(15)


# Speed


def row_s(policy, backend: str = "torch", gpu: str | None = "h100-80") -> float:
    spec = an_engine(model=MODEL, kv_policy=policy, backend=backend)
    kind = read_gpu(DEFINITIONS, gpu or "h100-80", "gpu")
    fit = fit_on(spec, kind, 1, Lengths(TOKENS))
    fit = replace(fit, gpus=1 if gpu else 0, spread_bytes=0)  # no rows wait for memory
    return speed(spec, kind if gpu else None, fit, TOKENS).row_s


def test_a_row_takes_as_long_as_its_bytes_and_its_share_of_compactions():
    bandwidth, flops = 3350e9 * 0.7, 989e12 * 0.5
    work = compaction(QWEN, RKV(2048), TOKENS)
    step = step_bytes(QWEN, RKV(2048), TOKENS // 2)
    expected = step / bandwidth + max(work.moved / bandwidth, work.flops / flops)
    assert row_s(RKV(2048)) == pytest.approx(expected)


def test_the_torch_engine_moves_more_than_is_held_but_little_more():
    for policy in (Full(), StreamingLLM(4, 2044), RKV(4096), RKV(8192), Quantized(8)):
        assert 1 < row_s(policy) / row_s(policy, "vllm") < 1.3
    rows = [row_s(Quantized(bits)) for bits in (2, 4, 8)]
    assert rows == sorted(rows) and rows[-1] < row_s(Full())


@pytest.mark.parametrize(
    ("gpu", "bits", "unpacks_longer"),
    [("h100-80", 8, False), ("h100-80", 2, False), ("a100-80", 8, True), ("a100-80", 2, True)],
)
def test_packed_numbers_take_the_time_of_reading_or_of_unpacking_whichever_is_longer(
    gpu: str, bits: int, unpacks_longer: bool
):
    policy, kind = Quantized(bits), read_gpu(DEFINITIONS, gpu, "gpu")
    numbers = 2 * LAYERS * KV_HEADS * HEAD_DIM * policy.held(TOKENS // 2).packed
    unpacking = numbers * INSTRUCTIONS_PER_NUMBER[bits] / (kind.fp32_flops_s / 2 * 0.6)
    bandwidth = kind.bandwidth_bytes_s * 0.7
    reading = step_bytes(QWEN, policy, TOKENS // 2) / bandwidth
    packing = compaction(QWEN, policy, TOKENS).moved / bandwidth
    assert row_s(policy, gpu=gpu) == pytest.approx(max(unpacking, reading) + packing)
    assert (unpacking > reading) == unpacks_longer


def test_unpacking_takes_no_time_on_a_gpu_whose_rate_of_instructions_is_unknown():
    spec = an_engine(model=MODEL, kv_policy=Quantized(2), backend="torch")
    kind = replace(read_gpu(DEFINITIONS, "a100-80", "gpu"), fp32_flops_s=0.0)
    found = speed(spec, kind, fit_on(spec, kind, 1, Lengths(TOKENS)), TOKENS)
    assert 0 < found.row_s < row_s(Quantized(2), gpu="a100-80")


def test_a_nominal_cpu_and_vllm_count_what_is_held():
    for policy in (Full(), RKV(2048)):
        assert row_s(policy, "torch", None) == row_s(policy, "vllm", None)
