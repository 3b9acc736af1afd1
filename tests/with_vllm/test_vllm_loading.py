"""Loading vLLM: bytes against the memory model, formats of the cache, precisions, and too little memory."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from support.tiny_models import (
    MODELS,
    architecture,
    decoding,
    names,
    requests,
    run,
    smallest,
)
from with_vllm.engines import LONG_BUDGETS, QUESTIONS, MakeEngine, VllmEngine, a_spec

from actors.kv.full import Full
from actors.kv.kv_dtype import FORMATS, KVDtype
from actors.torch_engine.engine import TorchEngine
from actors.vllm_engine import checks, loading
from actors.vllm_engine.loading import Limits
from raysweep import memory
from raysweep.spec import WeightSpec

SAME_IN_16_BIT = 0.75  # of greedy traces: rounding to 16 bit decides a token now and then

needs_avx512 = pytest.mark.skipif(
    not torch.cuda.is_available() and not torch.cpu._is_avx512_supported(),
    reason="this CPU has no AVX-512",
)


def test_the_engines_bytes_are_those_of_the_memory_model(make_engine: MakeEngine):
    for name in (smallest(), "tiny-755k"):
        vllm = make_engine(name)
        assert vllm.warnings == ()
        assert checks.kv_bytes_per_token(vllm.llm) == memory.kv_bytes_per_token(architecture(name))
        size = (MODELS / name / "model.safetensors").stat().st_size
        assert 0 < size - checks.weights_bytes(vllm.llm, str(MODELS / name)) < 4096  # the header


def test_a_memory_model_that_is_off_by_more_than_2_percent_is_a_warning(make_engine: MakeEngine):
    numbers = replace(architecture(smallest()), layers=4)
    other = a_spec(smallest(), architecture=numbers)
    llm = make_engine(smallest()).llm
    weights, token = checks.compare_bytes(llm, other, str(MODELS / smallest()), ranks=1)
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
    with pytest.raises(MemoryError, match=r"not enough memory for .* lower generation\.max_rows"):
        VllmEngine(a_spec(smallest()), Limits(max_rows=64, longest=512))
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
