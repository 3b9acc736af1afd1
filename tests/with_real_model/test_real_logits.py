"""The torch engine against transformers, on a real model: greedy tokens in 32 bit, logits in 16 bit."""

import pytest
import torch
from support.tiny_models import run
from with_real_model.real_model import (
    FOLDER,
    PROMPTS,
    held_out,
    make_engine,
    reference,
    requests,
    spread,
)

from actors.kv.full import Full
from actors.torch_engine.cpu_linear import arithmetic_on_cpu
from actors.torch_engine.model import load_decoder

BUDGET = 64


def test_every_greedy_token_is_the_one_that_transformers_finds_most_likely():
    """Teacher-forced: transformers sees the engine's tokens, and is asked at each of them for the next."""
    engine = make_engine(Full(), len(PROMPTS), torch.float32)
    wanted = requests(BUDGET, temperature=0)
    traces = run(engine, wanted)
    assert sum(len(trace.token_ids) for trace in traces.values()) > len(PROMPTS) * BUDGET / 2
    for key, trace in traces.items():
        prompt, tokens = engine.encode_prompt(wanted[key]), trace.token_ids
        with torch.inference_mode():
            logits = reference()(torch.tensor([[*prompt, *tokens]])).logits[0]
        likeliest = logits[len(prompt) - 1 : -1].argmax(-1).tolist()
        assert likeliest == list(tokens), PROMPTS[key]


@pytest.mark.parametrize(
    ("arithmetic", "most"), [(torch.float32, 0.1), (torch.bfloat16, 0.5)], ids=["32bit", "16bit"]
)
def test_16_bit_moves_the_logits_by_little(arithmetic: torch.dtype, most: float):
    """Keys and values are rounded, in 16-bit arithmetic products too. The logits' deviation is some 3."""
    if arithmetic == torch.bfloat16 and arithmetic_on_cpu(torch.bfloat16) != arithmetic:
        pytest.skip("this CPU multiplies no bf16 numbers: it lacks AVX512-BF16")
    (tokens,) = spread(held_out(512), 1)
    decoder = load_decoder(str(FOLDER), torch.bfloat16, torch.device("cpu"), arithmetic)
    _, found = decoder.prefill(tokens)
    with torch.inference_mode():
        expected = reference()(torch.tensor([tokens])).logits[0, -1]
    assert (found - expected).abs().max() < most
    assert found.argmax() == expected.argmax()
