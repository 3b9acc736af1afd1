"""The vLLM engine in a plain process, against the torch engine and against itself.

Greedy in 32 bit both engines must say the same, token for token, but where two logits are so near that
rounding decides; there the gap is shown. Sampled, each sample must be the same in any batch.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM
from with_vllm.engines import VllmEngine, a_spec

from actors.engine import Trace
from actors.kv.full import Full
from actors.kv.kv_dtype import FORMATS, KVDtype
from actors.torch_engine.engine import TorchEngine
from actors.vllm_engine import checks, engine, loading
from actors.vllm_engine.loading import Room
from benchmarks.subject import ARCHITECTURE, make_model
from raysweep import memory
from raysweep.benchmarks import chain, facts
from raysweep.spec import WeightSpec
from tests.tiny_models import (
    BUDGETS,
    MODELS,
    architecture,
    decoding,
    names,
    requests,
    run,
    smallest,
    untimed,
)

MakeEngine = Callable[..., VllmEngine]

QUESTIONS = [*chain.questions(30, seed=1), *facts.questions(10, seed=1)]
SAME_IN_16_BIT = 0.75  # of greedy traces: rounding to 16 bit decides a token now and then
LONG_BUDGETS = (16, 32, 64, 96, 128, 192, 256)

needs_avx512 = pytest.mark.skipif(
    not torch.cuda.is_available() and not torch.cpu._is_avx512_supported(),
    reason="this CPU has no AVX-512",
)


def decoded(trace: Trace) -> tuple:
    """What was decoded: a trace without times and bytes."""
    answers = tuple(replace(answer, kv_bytes=0) for answer in trace.answers)
    return (trace.prompt_tokens, trace.token_ids, trace.finish, answers)


@cache
def transformers_model(name: str) -> Any:
    return AutoModelForCausalLM.from_pretrained(MODELS / name, dtype=torch.float32).eval()


def first_gap(name: str, prompt: tuple[int, ...], one: Trace, other: Trace) -> float:
    """How far apart the logits of two traces' first differing tokens are, by transformers in 32 bit."""
    pairs = zip(one.token_ids, other.token_ids, strict=False)
    place, (a, b) = next((i, (a, b)) for i, (a, b) in enumerate(pairs) if a != b)
    tokens = torch.tensor([[*prompt, *one.token_ids[:place]]])
    with torch.inference_mode():
        logits = transformers_model(name)(tokens).logits[0, -1]
    return abs(float(logits[a] - logits[b]))


@pytest.mark.parametrize("name", names())
def test_greedy_traces_and_answers_are_the_torch_engines_token_for_token(
    name: str, make_engine: MakeEngine
):
    wanted = requests(QUESTIONS, decoding(temperature=0, token_budgets=LONG_BUDGETS))
    reference = TorchEngine(str(MODELS / name), architecture(name), Full(), 32, torch.float32)
    expected = run(reference, wanted)
    found = run(make_engine(name, dtype="float32"), wanted)
    other = [key for key in wanted if decoded(found[key]) != decoded(expected[key])]
    gaps = {
        key: first_gap(name, reference.encode_prompt(wanted[key]), found[key], expected[key])
        for key in other
        if found[key].token_ids != expected[key].token_ids
    }
    print(f"{name}: {len(wanted) - len(other)} of {len(wanted)} the same; gaps {gaps}")
    assert len(other) <= 0.05 * len(wanted)
    assert all(gap < 1e-3 for gap in gaps.values())


@pytest.mark.parametrize("name", names())
def test_in_16_bit_greedy_traces_part_where_two_logits_are_near(name: str, make_engine: MakeEngine):
    wanted = requests(QUESTIONS, decoding(temperature=0, token_budgets=LONG_BUDGETS))
    reference = TorchEngine(str(MODELS / name), architecture(name), Full(), 32, torch.float32)
    expected, found = run(reference, wanted), run(make_engine(name, dtype="bfloat16"), wanted)
    other = [key for key in wanted if found[key].token_ids != expected[key].token_ids]
    gaps = {
        key: first_gap(name, reference.encode_prompt(wanted[key]), found[key], expected[key])
        for key in other
    }
    print(f"{name}: {len(wanted) - len(other)} of {len(wanted)} traces the same; gaps {gaps}")
    assert all(gap < 0.5 for gap in gaps.values())


def test_a_sample_is_the_same_in_wide_and_narrow_batches_in_any_order(make_engine: MakeEngine):
    wanted = requests(QUESTIONS, decoding(token_budgets=LONG_BUDGETS), samples=4)
    wide = run(make_engine(smallest(), max_rows=64), wanted)
    narrow = run(make_engine(smallest(), max_rows=3), dict(reversed(wanted.items())))
    assert {trace.reproducible for trace in wide.values()} == {"batch_invariant"}
    for key, trace in wide.items():
        assert untimed(trace) == untimed(narrow[key]), key
    assert len({trace.token_ids for trace in wide.values()}) > len(QUESTIONS)


def test_a_fork_at_a_budget_equals_a_run_with_that_budget(make_engine: MakeEngine):
    vllm = make_engine(smallest())
    whole = run(vllm, requests(QUESTIONS, decoding(), samples=2))
    for position, budget in enumerate(BUDGETS):
        single = run(vllm, requests(QUESTIONS, decoding(token_budgets=(budget,)), samples=2))
        for key, trace in whole.items():
            assert trace.answers[position] == single[key].answers[0], (key, budget)


def test_sampling_at_a_temperature_is_as_the_torch_engines_on_average(make_engine: MakeEngine):
    wanted = requests(chain.questions(24, seed=3), decoding(token_budgets=(24, 96)), samples=16)
    reference = TorchEngine(str(MODELS / smallest()), architecture(smallest()), Full(), 128)
    ours, theirs = run(make_engine(smallest(), max_rows=128), wanted), run(reference, wanted)

    def mean_length(traces: dict[Any, Trace]) -> float:
        return sum(len(trace.token_ids) for trace in traces.values()) / len(traces)

    def share_of_stops(traces: dict[Any, Trace]) -> float:
        return sum(trace.finish == "stop" for trace in traces.values()) / len(traces)

    assert mean_length(ours) == pytest.approx(mean_length(theirs), rel=0.05)
    assert share_of_stops(ours) == pytest.approx(share_of_stops(theirs), abs=0.08)


def test_live_bytes_and_promise_are_recorded(make_engine: MakeEngine):
    for trace in run(make_engine(smallest()), requests(QUESTIONS[:4], decoding())).values():
        for answer in trace.answers:
            tokens = trace.prompt_tokens + answer.thinking_tokens
            assert answer.kv_bytes == memory.kv_bytes(architecture(smallest()), Full(), tokens)


def test_more_than_nine_tenths_of_the_trace_come_from_the_prefix_cache(
    make_engine: MakeEngine, tmp_path: Path
):
    """Long traces of a model that never ends, more of them than rows; room as the memory model gives it."""
    make_model(tmp_path)
    budgets = (250, 500, 750, 1000)
    vllm = make_engine("random", 4, 1200, path=str(tmp_path), architecture=ARCHITECTURE)
    traces = run(vllm, requests(QUESTIONS[:12], decoding(0, budgets)))
    reused = sum(trace.reused_tokens for trace in traces.values())
    recomputed = sum(trace.recomputed_tokens for trace in traces.values())
    print(f"{reused} of {reused + recomputed} tokens of traces were served from the prefix cache")
    assert reused + recomputed == 12 * sum(budgets)
    assert reused > 0.9 * 12 * sum(budgets)


def test_a_request_that_never_ends_is_given_up_and_recorded_and_the_engine_goes_on(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
):
    vllm = make_engine(smallest())
    wanted = requests(QUESTIONS[:3], decoding())
    with monkeypatch.context() as patch:
        patch.setattr(engine, "DEADLINE_S", -1000.0)
        patch.setattr(vllm.llm, "step", lambda: [])  # nothing comes of it
        given_up = run(vllm, wanted)
    for trace in given_up.values():
        assert (trace.finish, trace.token_ids) == ("deadline", ())
        assert all(answer.given_up and not answer.text for answer in trace.answers)
    assert not vllm.llm.has_unfinished_requests()
    assert all(trace.finish != "deadline" for trace in run(vllm, wanted).values())


def test_the_engines_bytes_are_those_of_the_memory_model(make_engine: MakeEngine):
    for name in (smallest(), "tiny-755k"):
        vllm = make_engine(name)
        assert vllm.warnings == ()
        assert checks.kv_bytes_per_token(vllm.llm) == memory.kv_bytes_per_token(architecture(name))
        size = (MODELS / name / "model.safetensors").stat().st_size
        assert 0 < size - checks.weights_bytes(vllm.llm, str(MODELS / name)) < 4096  # the header


def test_a_memory_model_that_is_off_by_more_than_2_percent_is_a_warning(make_engine: MakeEngine):
    numbers = replace(architecture(smallest()), layers=4)
    weights, token = make_engine(smallest(), architecture=numbers).warnings
    assert "weights take" in weights and f"{smallest()}.bf16.full" in weights
    assert "a cached token take" in token and "(-25.0%)" in token


@needs_avx512
def test_the_fp8_cache_halves_the_bytes_and_answers_much_as_the_full_one(make_engine: MakeEngine):
    wanted = requests(QUESTIONS, decoding(temperature=0, token_budgets=LONG_BUDGETS))
    full = run(make_engine("tiny-755k"), wanted)
    vllm = make_engine("tiny-755k", kv_policy=KVDtype("fp8"))
    native = memory.kv_bytes_per_token(architecture("tiny-755k"))
    assert vllm.warnings == () and checks.kv_bytes_per_token(vllm.llm) == native / 2
    packed = run(vllm, wanted)
    texts = [(full[key].answers[-1].text, packed[key].answers[-1].text) for key in wanted]
    print(f"{sum(a == b for a, b in texts)} of {len(texts)} last answers the same")
    assert sum(a == b for a, b in texts) > 0.8 * len(texts)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this GPU reads it")
def test_a_kv_format_that_the_attention_backend_does_not_list_is_refused(make_engine: MakeEngine):
    with pytest.raises(ValueError, match="CPU_ATTN cannot read 'int8_per_token_head'"):
        make_engine(smallest(), kv_policy=KVDtype("int8_per_token_head"))


@pytest.mark.parametrize("dtype", FORMATS)
def test_bytes_of_a_kv_format_are_those_of_vllms_own_pages(dtype: str):
    from vllm.utils.torch_utils import nvfp4_kv_cache_full_dim
    from vllm.v1.attention.backends.triton_attn import TritonAttentionBackend
    from vllm.v1.kv_cache_interface import FullAttentionSpec, get_kv_quant_mode

    a = architecture("tiny-755k")
    if dtype == "nvfp4":  # of FlashInfer, which is not there on a CPU
        page = 16 * a.kv_heads * 2 * nvfp4_kv_cache_full_dim(a.head_dim)
        assert memory.kv_bytes(a, KVDtype(dtype), 16) == a.layers * page
        return
    pages = FullAttentionSpec(
        block_size=16,
        num_kv_heads=a.kv_heads,
        head_size=a.head_dim,
        dtype=torch.uint8,
        kv_quant_mode=get_kv_quant_mode(dtype),
    )
    page = TritonAttentionBackend.customize_spec(pages).page_size_bytes
    assert memory.kv_bytes(a, KVDtype(dtype), 16) == a.layers * page


@needs_avx512
@pytest.mark.parametrize("name", names())
def test_gptq_at_4_bits_decodes_as_its_own_numbers_in_32_bits_do(
    name: str, make_engine: MakeEngine
):
    """Greedy traces part from the torch engine's, of the same packed layers, only at near logits."""
    folder = MODELS / "quantized" / f"{name}-gptq4-g32"
    wanted = requests(QUESTIONS, decoding(temperature=0, token_budgets=LONG_BUDGETS))
    reference = TorchEngine(str(folder), architecture(name), Full(), 32, torch.float32)
    expected = run(reference, wanted)
    vllm = make_engine(name, path=str(folder), weights=WeightSpec("gptq", 4, 32))
    assert vllm.llm.vllm_config.model_config.quantization is not None
    assert vllm.warnings == ()
    found = run(vllm, wanted)
    same = sum(found[key].token_ids == expected[key].token_ids for key in wanted)
    print(f"{name}: {same} of {len(wanted)} traces the same")
    assert same >= SAME_IN_16_BIT * len(wanted)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this GPU has a kernel for it")
def test_gptq_at_8_bits_has_no_kernel_on_a_cpu(make_engine: MakeEngine):
    folder = MODELS / "quantized" / f"{smallest()}-gptq8-g32"
    with pytest.raises(ValueError, match="does not support weight_bits"):
        make_engine(smallest(), path=str(folder), weights=WeightSpec("gptq", 8, 32))


def test_too_little_memory_is_tried_once_more_with_less_and_then_said(
    monkeypatch: pytest.MonkeyPatch,
):
    parts: list[float] = []
    engine_args = loading.engine_args

    def noting(spec, room, path, dtype, part):
        parts.append(part)
        return engine_args(spec, room, path, dtype, part)

    monkeypatch.setattr(loading, "engine_args", noting)
    monkeypatch.setattr(loading, "cache_bytes", lambda *whatever: 10**17)
    monkeypatch.setattr(loading, "available_bytes", lambda: 10**18)  # not so: there is far less
    with pytest.raises(MemoryError, match=r"no room for .* lower generation\.max_rows"):
        VllmEngine(a_spec(smallest()), Room(max_rows=64, longest=512))
    assert parts == [1.0, loading.SMALLER]


def test_what_failed_for_lack_of_memory_may_load_with_a_smaller_cache(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
):
    start, tries = loading.LLMEngine.from_engine_args, []

    def scarce(args: Any) -> Any:
        tries.append(args.kv_cache_memory_bytes)
        if len(tries) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return start(args)

    monkeypatch.setattr(loading.LLMEngine, "from_engine_args", scarce)
    vllm = make_engine(smallest(), max_rows=8)
    assert tries[1] < tries[0]
    assert len(run(vllm, requests(QUESTIONS[:2], decoding()))) == 2


def test_a_prompt_that_the_context_has_no_room_for_is_refused(make_engine: MakeEngine):
    vllm = make_engine(smallest(), longest=100)
    ((_, request),) = requests(QUESTIONS[:1], decoding(token_budgets=(96,))).items()
    with pytest.raises(ValueError, match="of 100 tokens"):
        vllm.add(request, lambda trace: None)


def test_the_actor_grades_and_writes_what_vllm_says(tmp_path: Path):
    from actors.engine_actor import EngineActor
    from raysweep.store import Store
    from raysweep.tables import SAMPLES
    from tests.examples import some_shards

    (shard, *_) = some_shards(backend="vllm")
    spec = a_spec(smallest())
    way = decoding(token_budgets=(16, 64))
    shard = replace(shard, engine=spec, decoding=way, questions=tuple(QUESTIONS[:2]))
    actor = EngineActor(spec, str(tmp_path), 8, 400, 0.0)
    receipt = asyncio.run(actor.run_shard(shard))
    rows = Store(str(tmp_path)).read_samples(spec.engine_id, [shard.shard_id], SAMPLES.names)
    assert receipt.samples == rows.num_rows == 4
    assert set(rows["reproducible"].to_pylist()) == {"batch_invariant"}
    assert isinstance(actor.engine, VllmEngine)
    actor.engine.close()
