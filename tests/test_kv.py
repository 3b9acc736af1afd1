"""The slot pool against a slow, obvious twin: a Python list of the tokens a row keeps."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from actors import kv
from actors.kv.pool import KVPool, PromptKV
from raysweep.kv_policy import Full, KVPolicy, StreamingLLM
from raysweep.memory import kv_bytes
from raysweep.spec import Architecture

ARCHITECTURE = Architecture(8, 2, 2, 1, 4, 8, 16, True, 512)
POLICIES = st.one_of(
    st.just(Full()), st.builds(StreamingLLM, sinks=st.integers(0, 5), window=st.integers(1, 20))
)


def keys_of(tokens: list[int]) -> torch.Tensor:
    """Recognisable keys [layers, kv_heads, tokens, head_dim]: layer * 1000 + token."""
    layers = torch.arange(2)[:, None, None, None] * 1000
    return (layers + torch.tensor(tokens)[None, None, :, None]).expand(2, 1, -1, 4).float()


def twin(policy: KVPolicy, tokens: int) -> set[int]:
    """The tokens that the policy's paper keeps, by its own words."""
    if isinstance(policy, Full):
        return set(range(tokens))
    first = set(range(min(tokens, policy.sinks)))
    newest = set(range(max(policy.sinks, tokens - policy.window), tokens))
    return first | newest


def held(pool: KVPool, row: int, tokens: int) -> set[int]:
    """The tokens whose keys lie in a row's slots, the same in both layers and in keys and values."""
    kept = pool.policy.kept(tokens)
    rows = [pool.keys[0, row, 0, :kept, 0], pool.keys[1, row, 0, :kept, 0] - 1000]
    rows += [-pool.values[0, row, 0, :kept, 0], -(pool.values[1, row, 0, :kept, 0] + 1000)]
    found = [sorted(int(value) for value in slots) for slots in rows]
    assert all(one == found[0] for one in found) and len(set(found[0])) == len(found[0])
    return set(found[0])


def make_pool(policy: KVPolicy, rows: int = 3) -> KVPool:
    return KVPool(ARCHITECTURE, kv.implement(policy), rows, torch.float32, torch.device("cpu"))


def values_of(tokens: list[int]) -> torch.Tensor:
    return -keys_of(tokens)


@settings(max_examples=60, deadline=None)
@given(POLICIES, st.integers(1, 60), st.integers(0, 60))
def test_a_row_holds_the_tokens_its_policy_keeps_after_prompt_and_every_step(
    policy, prompt_tokens, steps
):
    pool = make_pool(policy)
    pool.reserve(prompt_tokens + steps)
    prompt = list(range(prompt_tokens))
    pool.write_prompt(1, PromptKV(keys_of(prompt), values_of(prompt)))
    assert held(pool, 1, prompt_tokens) == twin(policy, prompt_tokens)
    for token in range(prompt_tokens, prompt_tokens + steps):
        slots = pool.policy.slots(torch.tensor([0, token]))
        for layer in range(2):
            new = keys_of([token])[layer].expand(2, 1, 4)
            pool.append(layer, slots, new, -new)
        assert held(pool, 1, token + 1) == twin(policy, token + 1)


@settings(max_examples=30, deadline=None)
@given(POLICIES, st.integers(1, 60))
def test_a_copied_row_holds_what_its_source_holds_and_is_its_own(policy, tokens):
    pool = make_pool(policy)
    pool.reserve(tokens)
    prompt = list(range(tokens))
    pool.write_prompt(0, PromptKV(keys_of(prompt), values_of(prompt)))
    pool.copy(0, 2, tokens)
    pool.keys[:, 0] = -7
    assert held(pool, 2, tokens) == twin(policy, tokens)


@settings(max_examples=60, deadline=None)
@given(POLICIES, st.integers(1, 100))
def test_bytes_of_a_row_are_those_of_the_memory_model(policy, tokens):
    pool = KVPool(ARCHITECTURE, kv.implement(policy), 1, torch.bfloat16, torch.device("cpu"))
    assert pool.row_bytes(tokens) == kv_bytes(ARCHITECTURE, policy, tokens)


def test_reserving_more_room_keeps_what_is_there():
    pool = make_pool(Full())
    pool.reserve(10)
    prompt = list(range(10))
    pool.write_prompt(0, PromptKV(keys_of(prompt), values_of(prompt)))
    pool.reserve(300)
    assert pool.capacity >= 300
    assert held(pool, 0, 10) == set(prompt)
