"""The roofline against sums written out, and properties that hold for every engine and GPU."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.nouns import a_model, an_engine

from actors.kv.full import Full
from actors.kv.quantized import Quantized
from actors.kv.streaming_llm import StreamingLLM
from raysweep.configuration.config import conf_folder
from raysweep.configuration.definitions import Definitions, read_gpu
from raysweep.configuration.models import read_model
from raysweep.memory import kv_bytes, weights_bytes
from raysweep.planning.fit import Fit, fit_on, placed
from raysweep.planning.lengths import Lengths
from raysweep.planning.speed import prefill_s, speed
from raysweep.run_config import Gpu
from raysweep.spec import EngineSpec, WeightSpec

DEFINITIONS = Definitions((conf_folder(),))
H100, L4 = (read_gpu(DEFINITIONS, name, "gpu") for name in ("h100-80", "l4-24"))
TOKENS = 30_000


def engine(name: str = "qwen3-8b", bits: int = 16, **changes) -> EngineSpec:
    weights = WeightSpec("bf16", 16) if bits == 16 else WeightSpec("gptq", bits, 128)
    model = read_model(DEFINITIONS, name, name)
    return replace(an_engine(), model=model, weights=weights, kv_policy=Full(), **changes)


def on(spec: EngineSpec, gpu: Gpu, gpus: int = 1) -> Fit:
    return fit_on(spec, gpu, gpus, Lengths(TOKENS))


def test_a_step_of_qwen3_8b_on_an_h100_by_hand():
    found = speed(engine(), H100, on(engine(), H100), TOKENS)
    read = 16.381e9 - 151_936 * 4096 * 2  # all weights, but for the embedding
    assert found.step_s == pytest.approx(read / (3350e9 * 0.7), rel=1e-3)
    cache = 15_000 * 36 * 8 * 128 * 2 * 2  # bytes of a row at its mean length
    assert found.row_s == pytest.approx(cache / (3350e9 * 0.7))
    assert found.load_s == pytest.approx(30 + 16.4, abs=0.1)
    assert found.tokens_s(1) == pytest.approx(1 / (found.step_s + found.row_s))
    assert found.tokens_s() == found.tokens_s(found.rows)


def test_a_toy_on_round_numbers_by_hand():
    # The model has 2 layers, hidden size 8, 2 heads and 1 KV head of 4, FFN size 16, vocabulary 32.
    toy = an_engine(model=a_model())
    gpu = Gpu("round", 2**34, 1e9, 1e12)
    found = speed(toy, gpu, Fit(1, 1000, 0, 4), tokens=10)
    assert found.step_s == pytest.approx(1000 / 0.7e9)  # a tied embedding is the head: all is read
    assert found.row_s == pytest.approx(5 * (2 * 1 * 4 * 2 * 2) / 0.7e9)
    slow = speed(toy, replace(gpu, flops_s=1e9), Fit(1, 1000, 0, 4), tokens=10)
    layer = 8 * (2 * 8 + 2 * 4 + 3 * 16)
    flops = 2 * (2 * layer + 32 * 8) + 4 * 2 * 8 * 5
    assert slow.row_s == pytest.approx(flops / 0.5e9)  # there the products take longer


def test_fewer_bits_make_a_step_shorter_and_a_packed_or_evicted_cache_a_row():
    by_bits = [speed(engine(bits=b), H100, on(engine(bits=b), H100), TOKENS) for b in (16, 8, 4)]
    steps = [found.step_s for found in by_bits]
    assert steps == sorted(steps, reverse=True) and steps[0] > 2.5 * steps[2]
    rows = [
        speed(replace(engine(), kv_policy=policy), H100, on(engine(), H100), TOKENS).row_s
        for policy in (Full(), Quantized(8), Quantized(4), StreamingLLM(4, 2044))
    ]
    assert rows == sorted(rows, reverse=True)


def test_the_cache_of_an_evicting_policy_stops_growing():
    evicting = replace(engine(), kv_policy=StreamingLLM(4, 2044))
    short, long = (speed(evicting, H100, on(evicting, H100), n).row_s for n in (10_000, 30_000))
    assert short == long
    bytes_read = kv_bytes(evicting.model.architecture, evicting.kv_policy, 5_000)
    assert long == pytest.approx(bytes_read / (3350e9 * 0.7))


def test_half_a_gpu_is_half_as_fast():
    whole = on(engine(), H100)
    full, half = (speed(engine(), H100, replace(whole, gpus=g), TOKENS) for g in (1, 0.5))
    assert half.step_s == pytest.approx(2 * full.step_s)
    assert half.row_s == pytest.approx(2 * full.row_s)


def test_two_gpus_lose_a_tenth_of_their_speed_and_four_a_fifth():
    found = [speed(engine(), H100, on(engine(), H100, n), TOKENS) for n in (1, 2, 4)]
    for count, split in zip((2, 4), found[1:], strict=True):
        kept = count * 0.9 ** (count // 2)
        assert split.row_s == pytest.approx(found[0].row_s / kept)
        assert split.step_s == pytest.approx(found[0].step_s / kept, rel=1e-2)
    assert found[2].load_s == found[0].load_s


def test_without_a_gpu_engines_can_still_be_compared():
    small, large = (
        speed(engine(name), None, fit, TOKENS)
        for name in ("qwen3-0.6b", "qwen3-8b")
        if (fit := placed(engine(name), None, 8, Lengths(TOKENS)))
    )
    assert small.gpus == 0 and small.rows == 8
    assert small.tokens_s() > large.tokens_s() > 0
    assert small.load_s < large.load_s


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(["qwen3-0.6b", "qwen3-4b", "qwen3-14b"]),
    st.sampled_from([16, 8, 4]),
    st.sampled_from([Full(), StreamingLLM(4, 508), Quantized(2)]),
    st.sampled_from([H100, L4]),
    st.integers(1, 128),
    st.integers(16, 38_000),
)
def test_more_rows_never_make_fewer_tokens_and_no_memory_is_read_faster_than_it_can(
    name, bits, policy, gpu, rows, tokens
):
    spec = replace(engine(name, bits), kv_policy=policy)
    fit = placed(spec, gpu, rows, Lengths(tokens))
    if fit is None:
        return
    found = speed(spec, gpu, fit, tokens)
    assert 1 <= found.rows <= rows
    rates = [found.tokens_s(count) for count in range(1, found.rows + 1)]
    assert rates == sorted(rates)
    least = 0.9 * weights_bytes(spec.model, spec.weights) / 2  # the embedding is less than half
    assert found.step_s > least / (gpu.bandwidth_bytes_s * max(found.gpus, 1))


@settings(deadline=None)
@given(
    st.sampled_from(["qwen3-0.6b", "qwen3-8b", "qwen3-32b"]),
    st.sampled_from([16, 4]),
    st.sampled_from([H100, L4, None]),
    st.integers(1, TOKENS),
)
def test_to_compute_a_begun_trace_at_once_takes_no_longer_than_to_decode_it_again(
    name: str, bits: int, gpu: Gpu | None, tokens: int
):
    spec = engine(name, bits)
    fit = Fit(1, weights_bytes(spec.model, spec.weights), 0, 64)
    again_s = tokens / speed(spec, gpu, fit, tokens).tokens_s()
    assert 0 < prefill_s(spec, gpu, fit, tokens) <= again_s
