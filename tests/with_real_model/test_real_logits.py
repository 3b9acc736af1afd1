"""The torch engine against transformers, on a real model: greedy tokens in 32 bit, logits in 16 bit."""

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
from actors.torch_engine.model import Decoder

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


def test_a_cache_in_16_bit_moves_the_logits_by_little():
    """The weights are the same numbers; keys and values are rounded. The logits' deviation is some 3."""
    (tokens,) = spread(held_out(512), 1)
    _, found = Decoder(str(FOLDER), torch.bfloat16, torch.device("cpu")).prefill(tokens)
    with torch.inference_mode():
        expected = reference()(torch.tensor([tokens])).logits[0, -1]
    assert (found - expected).abs().max() < 0.1
    assert found.argmax() == expected.argmax()
