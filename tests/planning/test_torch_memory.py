"""What the torch engine takes on a GPU, against sums written out, and that it gets no more than one GPU."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.nouns import a_cluster, a_run_config, an_engine
from support.qwen_memory import AHEAD, POLICIES, QUERY, QWEN, TOKEN, TOKENS
from support.unfit_engines import skipped

from actors.kv.full import Full
from actors.kv.h2o import H2O
from actors.kv.quantized import Quantized
from actors.kv.r_kv import RKV
from actors.kv.snap_kv import SnapKV
from actors.kv.streaming_llm import StreamingLLM
from benchmarks.configured import configured
from raysweep import memory
from raysweep.configuration.config import conf_folder
from raysweep.configuration.definitions import Definitions, read_gpu
from raysweep.configuration.models import read_model
from raysweep.errors import ConfigError
from raysweep.kv_policy import KVPolicy
from raysweep.memory import COMPACTION_BYTES, fork_bytes, reserved_bytes, reserved_slots
from raysweep.planning import backends
from raysweep.planning.fit import fit_of, least_fit
from raysweep.planning.grid import planned_engines
from raysweep.planning.lengths import Lengths, run_lengths
from raysweep.planning.torch_memory import (
    compaction_bytes,
    fixed_bytes,
    prefill_bytes,
    row_bytes,
    scratch_bytes,
)
from raysweep.run_config import Gpu, Pool
from raysweep.spec import EngineSpec, WeightSpec

DEFINITIONS = Definitions((conf_folder(),))
H100 = read_gpu(DEFINITIONS, "h100-80", "gpu")
by_slug = pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.slug)


# What else is taken


def test_a_prefill_holds_keys_and_values_and_the_queries_that_the_policy_looks_at():
    assert prefill_bytes(QWEN, Full(), 100) == 2048 * TOKEN
    assert prefill_bytes(QWEN, Full(), 5000) == 5000 * TOKEN
    assert prefill_bytes(QWEN, H2O(2048), 100) == 2048 * (TOKEN + QUERY)
    assert prefill_bytes(QWEN, RKV(2048), 100) == 2048 * (TOKEN + QUERY)


def test_compaction_has_a_fixed_working_memory_unless_one_row_needs_more():
    for never in (Full(), StreamingLLM(4, 2044)):
        assert compaction_bytes(QWEN, never, TOKENS) == 0
    for small in (RKV(8192), Quantized(4), Quantized(4, axis=1, evict=RKV(1024))):
        assert compaction_bytes(QWEN, small, TOKENS) == COMPACTION_BYTES
    large = SnapKV(100_000)
    slots = reserved_slots(large, 10**6).native
    keys = copy = 128 * 2
    logits, scores = 8 * 4 * 4, 8 * 4
    assert compaction_bytes(QWEN, large, 10**6) == 8 * slots * (keys + logits + scores + copy)


def test_attention_has_a_partial_sum_for_each_head_and_split():
    assert scratch_bytes(QWEN, RKV(2048), TOKENS) == 32 * 5 * 129 * 4
    packed = reserved_slots(Quantized(4), TOKENS).packed
    assert scratch_bytes(QWEN, Quantized(4), TOKENS) == 32 * (1 + -(-packed // 2048)) * 129 * 4
    logits = 32 * (2048 + 128) * 4
    assert scratch_bytes(QWEN, H2O(2048), TOKENS) == 32 * 5 * 129 * 4 + logits


@by_slug
def test_all_of_it_is_counted_once_per_row_or_once_per_engine(policy: KVPolicy):
    lengths = Lengths(TOKENS, 2000, AHEAD)
    row = row_bytes(QWEN, policy, lengths) - 2 * QWEN.vocab_size * 4
    saved = fork_bytes(QWEN, policy, TOKENS, AHEAD)
    reserved = reserved_bytes(QWEN, policy, TOKENS)
    assert row == reserved + saved + scratch_bytes(QWEN, policy, TOKENS)
    beside = prefill_bytes(QWEN, policy, 2000) + compaction_bytes(QWEN, policy, TOKENS)
    beside += max(reserved // 4, reserved_bytes(QWEN, policy, 2000))  # kept prompts
    assert fixed_bytes(QWEN, policy, lengths) == memory.workspace_bytes(QWEN, 0) + beside


# Placing


def engine(name: str, bits: int, policy: KVPolicy) -> EngineSpec:
    model = read_model(DEFINITIONS, name, name)
    weights = WeightSpec("bf16", 16) if bits == 16 else WeightSpec("gptq", bits, 128)
    return an_engine(model=model, weights=weights, kv_policy=policy, backend="torch")


ENGINES = st.builds(
    engine,
    st.sampled_from(["qwen3-0.6b", "qwen3-4b", "qwen3-8b", "qwen3-32b"]),
    st.sampled_from([16, 8, 4]),
    st.sampled_from(POLICIES),
)
KINDS = st.builds(
    lambda gib: Gpu("any", int(gib * 2**30), 1e12, 1e14), st.floats(8, 200, allow_nan=False)
)
COUNTS = st.sampled_from([None, 0.25, 1.0, 2.0, 4.0])


@settings(deadline=None, max_examples=300)
@given(ENGINES, KINDS, COUNTS, st.integers(1, 128), st.integers(99, 38_000))
def test_no_torch_engine_has_more_than_one_gpu_or_more_memory_than_there_is(
    spec: EngineSpec, gpu: Gpu, gpus: float | None, rows: int, tokens: int
):
    lengths = Lengths(tokens, tokens // 10, min(tokens, AHEAD))
    fit = fit_of(spec, Pool(gpu, 8), a_cluster(gpus_per_actor=gpus), rows, lengths)
    if fit is None:
        return
    assert 0 < fit.gpus <= 1 <= fit.rows <= rows
    assert fit.peak_bytes(fit.rows) <= gpu.memory_bytes * fit.gpus
    a = spec.model.architecture
    taken = fit.rows * row_bytes(a, spec.kv_policy, lengths)
    taken += fixed_bytes(a, spec.kv_policy, lengths)
    assert fit.peak_bytes(fit.rows) == taken + memory.weights_bytes(spec.model, spec.weights)


def test_each_torch_engine_of_the_studys_grid_fits_on_an_h100(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(backends, "vllm_installed", lambda: True)
    config = configured("+sweep=full", "stages=[plan]", "cluster.gpu=h100-80")
    on_torch = [spec for spec in planned_engines(config, ())[0] if spec.backend == "torch"]
    assert len(on_torch) == 162
    fits = {spec.engine_id: least_fit(spec, H100, run_lengths(config)) for spec in on_torch}
    assert [name for name, fit in fits.items() if fit is None] == []


def test_several_gpus_per_actor_are_refused_for_a_torch_engine_and_one_is_named():
    spec = engine("qwen3-8b", 16, RKV(2048))
    for pools in ((Pool(H100),), ()):
        config = a_run_config(pools=pools, gpus_per_actor=2.0)
        with pytest.raises(ConfigError) as raised:
            skipped(config, [spec])
        assert str(raised.value) == (
            "cluster.gpus_per_actor: 2 GPUs are too many for qwen3-8b.bf16.r_kv-2048, since the torch "
            "engine uses one; write 1, or null for as many as each engine needs"
        )
        skipped(config, [replace(spec, backend="vllm")])
    skipped(a_run_config(pools=(Pool(H100),), gpus_per_actor=1.0), [spec])


def test_what_one_gpu_cannot_hold_is_refused_with_the_gpus_that_would():
    spec, l4 = engine("qwen3-32b", 16, RKV(2048)), read_gpu(DEFINITIONS, "l4-24", "gpu")
    config = a_run_config(pools=(Pool(l4, 8),), gpus_per_actor=None)
    with pytest.raises(ConfigError) as raised:
        skipped(config, [spec], [H100])
    assert str(raised.value) == (
        "cluster.gpu: no GPU of 8 l4-24 holds qwen3-32b.bf16.r_kv-2048 with one sequence of 43 tokens; "
        "use 1 h100-80, name them in sweep.leave_out, or skip them by sweep.unfit=skip"
    )
    with pytest.raises(ConfigError, match="no known GPU holds it; lower the largest token budget"):
        skipped(config, [spec])
