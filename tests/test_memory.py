"""Bytes against the slow, obvious twin: a real model whose tensors are counted."""

from dataclasses import replace

import pytest
from examples import ARCHITECTURE, BF16, a_model
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.kv.full import Full
from actors.kv.streaming_llm import StreamingLLM
from raysweep.memory import kv_bytes, kv_bytes_per_token, weights_bytes
from raysweep.spec import Architecture, WeightSpec


@st.composite
def architectures(draw: st.DrawFn) -> Architecture:
    kv_heads = draw(st.integers(1, 3))
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
    )


@settings(max_examples=15, deadline=None)
@given(architectures())
def test_parameters_are_those_of_the_real_model(architecture):
    from transformers import Qwen3Config, Qwen3ForCausalLM

    config = Qwen3Config(
        vocab_size=architecture.vocab_size,
        hidden_size=architecture.hidden_size,
        num_hidden_layers=architecture.layers,
        num_attention_heads=architecture.heads,
        num_key_value_heads=architecture.kv_heads,
        head_dim=architecture.head_dim,
        intermediate_size=architecture.intermediate_size,
        tie_word_embeddings=architecture.tied_embeddings,
    )
    model = Qwen3ForCausalLM(config)
    spec = replace(a_model(), architecture=architecture)
    assert spec.params == sum(tensor.numel() for tensor in model.parameters())
    assert weights_bytes(spec, BF16) == 2 * spec.params


def test_a_precision_without_a_byte_model_is_refused():
    with pytest.raises(ValueError, match="no byte model for 'gptq4'"):
        weights_bytes(a_model(), WeightSpec("gptq", 4))


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
