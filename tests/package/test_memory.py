"""Bytes of weights and cache against slow, obvious twins: real models, files on disk, and the study."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import tiny_models
from support.nouns import ARCHITECTURE, a_model

from actors.kv.full import Full
from actors.kv.streaming_llm import StreamingLLM
from raysweep.configuration.architecture import read_architecture, read_precision
from raysweep.configuration.config import conf_folder
from raysweep.configuration.definitions import Definitions
from raysweep.configuration.models import read_model
from raysweep.memory import (
    architecture_bytes,
    kv_bytes,
    kv_bytes_per_token,
    share,
    weights_bytes,
    workspace_bytes,
)
from raysweep.spec import BF16, Architecture, WeightSpec

GPTQ = {bits: WeightSpec("gptq", bits, 128) for bits in (4, 8)}
GIB = 2**30

# The study's Table 1 (arXiv 2510.10964), printed there as GB: weights at 4, 8 and 16 bit, and the KV cache
# at 2,000, 18,000 and 30,000 tokens. None: not printed.
TABLE_1 = {
    "qwen3-0.6b": ((0.50, 0.71, 1.40), (0.21, 1.92, 3.20)),
    "qwen3-1.7b": ((None, None, 3.78), (None, None, None)),
    "qwen3-4b": ((2.49, 4.19, 7.49), (0.27, 2.47, 4.12)),
    "qwen3-8b": ((5.68, 8.94, 15.26), (0.27, 2.47, 4.12)),
    "qwen3-32b": ((18.01, 32.66, 61.02), (0.49, None, 7.32)),
}
# The 16-bit files of these two hold a copy of their tied head, and the table counts it.
HEAD_COPIED = ("qwen3-0.6b", "qwen3-1.7b")


def published(name: str) -> Architecture:
    return read_model(Definitions((conf_folder(),)), name, name).architecture


@pytest.mark.parametrize("name", TABLE_1)
def test_the_studys_table_1_is_reproduced(name):
    a = published(name)
    as_filed = replace(a, tied_embeddings=a.tied_embeddings and name not in HEAD_COPIED)
    ours = [architecture_bytes(a, GPTQ[4]), architecture_bytes(a, GPTQ[8])]
    ours += [architecture_bytes(as_filed, BF16)]
    ours += [kv_bytes(a, Full(), tokens) for tokens in (2_000, 18_000, 30_000)]
    printed = [*TABLE_1[name][0], *TABLE_1[name][1]]
    for computed, figure in zip(ours, printed, strict=True):
        assert figure is None or computed / GIB == pytest.approx(figure, abs=0.00501)


def shipped() -> list[Path]:
    """Every checkpoint of the embedded family, including quantised ones."""
    return sorted(file.parent for file in tiny_models.MODELS.rglob("model.safetensors"))


@pytest.mark.parametrize("folder", shipped(), ids=lambda folder: folder.name)
def test_bytes_computed_are_those_of_the_file_and_those_of_the_engines_model(folder: Path):
    import torch

    from actors.torch_engine.weights import load_model

    computed = architecture_bytes(read_architecture(folder / "config.json"), read_precision(folder))
    raw = (folder / "model.safetensors").read_bytes()
    in_the_header = int.from_bytes(raw[:8], "little")
    assert len(raw) - 8 - in_the_header == computed

    model = load_model(str(folder), torch.bfloat16, torch.device("cpu"))
    live = {tensor.data_ptr(): tensor.nbytes for tensor in model.state_dict().values()}
    assert sum(live.values()) == computed


def test_the_family_is_shipped_at_16_8_4_and_3_bits():
    found = {(read_precision(folder).bits, folder.name.split("-gptq")[0]) for folder in shipped()}
    assert found == {(bits, name) for bits in (16, 8, 4, 3) for name in tiny_models.names()}


@st.composite
def architectures(draw: st.DrawFn, kind: str = "qwen3") -> Architecture:
    kv_heads, biased = draw(st.integers(1, 3)), draw(st.booleans())
    return Architecture(
        hidden_size=draw(st.integers(1, 5)) * 4,
        layers=draw(st.integers(1, 3)),
        heads=kv_heads * draw(st.integers(1, 3)),
        kv_heads=kv_heads,
        head_dim=draw(st.integers(1, 4)) * 2,
        intermediate_size=draw(st.integers(1, 20)),
        vocab_size=draw(st.integers(2, 40)),
        tied_embeddings=draw(st.booleans()),
        context=64,
        qk_norm=kind == "qwen3",
        qkv_bias=biased or kind == "qwen2",
        o_bias=biased and kind != "qwen2",
    )


@settings(max_examples=10, deadline=None)
@pytest.mark.parametrize("kind", ["qwen3", "qwen2", "llama"])
@given(data=st.data())
def test_16_bit_weights_are_those_of_the_real_model(kind, data, tmp_path_factory):
    from transformers import AutoConfig, AutoModelForCausalLM

    a = data.draw(architectures(kind))
    if kind != "qwen3":  # which alone has a head_dim of its own
        a = replace(a, hidden_size=a.heads * a.head_dim)
    config = AutoConfig.for_model(
        kind,
        vocab_size=a.vocab_size,
        hidden_size=a.hidden_size,
        num_hidden_layers=a.layers,
        num_attention_heads=a.heads,
        num_key_value_heads=a.kv_heads,
        head_dim=a.head_dim,
        intermediate_size=a.intermediate_size,
        tie_word_embeddings=a.tied_embeddings,
        attention_bias=a.o_bias,
        max_position_embeddings=a.context,
    )
    model = AutoModelForCausalLM.from_config(config)
    spec = replace(a_model(), architecture=a)
    assert spec.params == sum(tensor.numel() for tensor in model.parameters())
    assert weights_bytes(spec, BF16) == 2 * spec.params
    folder = tmp_path_factory.mktemp("model")
    (folder / "config.json").write_text(json.dumps(config.to_dict()))
    assert read_architecture(folder / "config.json") == a


def test_awq_and_fp8_of_one_layer_by_hand():
    a = Architecture(128, 1, 1, 1, 128, 256, 16, True, 64, qk_norm=False)
    sizes = [(128, 128)] * 4 + [(128, 256)] * 2 + [(256, 128)]
    native = 2 * (2 * 128 + 128 + 16 * 128)  # norms and embedding
    awq = sum(k * n // 2 + (k // 128) * (n // 2 + 2 * n) for k, n in sizes)
    fp8 = sum(k * n + 2 * (k // 128) * (n // 128) for k, n in sizes)
    assert architecture_bytes(a, WeightSpec("awq", 4, 128, symmetric=False)) == awq + native
    assert architecture_bytes(a, WeightSpec("fp8", 8, 128)) == fp8 + native


def test_a_method_without_a_byte_model_is_refused():
    with pytest.raises(ValueError, match="no byte model for 'exl3'"):
        weights_bytes(a_model(), WeightSpec("exl", 3, 128))


def test_one_group_a_column_keeps_one_scale_for_each_output():
    whole, split = WeightSpec("gptq", 4, -1), WeightSpec("gptq", 4, 128)
    a = published("qwen3-0.6b")
    assert architecture_bytes(a, whole) < architecture_bytes(a, split)


# Tensor parallelism


@pytest.mark.parametrize("ranks", [1, 2, 4, 8])
@pytest.mark.parametrize("weights", [BF16, GPTQ[4]], ids=lambda weights: weights.slug)
def test_the_shares_of_all_gpus_make_the_model_but_for_what_each_of_them_keeps(ranks, weights):
    a = published("qwen3-8b")
    together = ranks * architecture_bytes(share(a, ranks), weights)
    norms = 2 * (a.hidden_size + a.layers * (2 * a.hidden_size + 2 * a.head_dim))
    kept_by_all = (ranks - 1) * norms
    # Layers that are split by outputs keep the group indices of all inputs on every GPU.
    if weights.method == "gptq":
        kept_by_all += (ranks - 1) * 4 * a.layers * 5 * a.hidden_size
    assert together == architecture_bytes(a, weights) + kept_by_all


def test_few_kv_heads_are_kept_by_several_gpus():
    a = share(published("r1-distill-qwen-1.5b"), 4)
    assert (a.heads, a.kv_heads) == (3, 1)


def test_heads_that_do_not_split_are_refused():
    with pytest.raises(ValueError, match="do not split over 8 GPUs"):
        share(published("r1-distill-qwen-7b"), 8)


def test_the_allowance_grows_with_the_rows_by_their_logits():
    a = published("qwen3-8b")
    assert workspace_bytes(a, 10) - workspace_bytes(a, 0) == 10 * 2 * 4 * a.vocab_size


# The cache


def test_a_token_keeps_two_bytes_for_each_number_of_its_keys_and_values():
    keys_and_values = [
        (layer, head, kind)
        for layer in range(ARCHITECTURE.layers)
        for head in range(ARCHITECTURE.kv_heads)
        for kind in ("key", "value")
    ]
    assert kv_bytes_per_token(ARCHITECTURE) == 2 * len(keys_and_values) * ARCHITECTURE.head_dim


@settings(deadline=None)
@given(sinks=st.integers(1, 8), window=st.integers(1, 30), tokens=st.integers(0, 60))
def test_a_window_holds_the_bytes_of_the_tokens_it_keeps(sinks, window, tokens):
    kept = {token for token in range(tokens) if token < sinks or token >= tokens - window}
    held = kv_bytes(ARCHITECTURE, StreamingLLM(sinks, window), tokens)
    assert held == len(kept) * kv_bytes_per_token(ARCHITECTURE)
    assert (
        held <= kv_bytes(ARCHITECTURE, Full(), tokens) == tokens * kv_bytes_per_token(ARCHITECTURE)
    )
