"""What an engine needs of a policy is written down, every shipped policy has it, and its file explains it."""

import dataclasses
import re
from dataclasses import dataclass

import pytest
import torch
from my_study.largest_keys import LargestKeys
from support.kv_streams import CPU, EXAMPLES, MOST, Stream, a_cache, an_architecture, begin, feed

from actors.kv.full import Full
from actors.kv.kv_dtype import KVDtype
from actors.kv.protocols import EvictingPolicy, PackingPolicy, RingPolicy, ScoringPolicy
from actors.kv.quantized import Quantized
from actors.kv.r_kv import RKV
from actors.kv.streaming_llm import StreamingLLM
from actors.kv_cache.cache import KVCache
from raysweep.kv_policy import METHODS, Held, KVPolicy, load_method

KINDS = (RingPolicy, EvictingPolicy, PackingPolicy)


@pytest.mark.parametrize(
    ("policy", "kinds"),
    [
        (Full(), ()),
        (StreamingLLM(2, 11), (RingPolicy,)),
        (RKV(budget=12), (EvictingPolicy,)),
        (LargestKeys(budget=12), (EvictingPolicy,)),
        (Quantized(4), (PackingPolicy,)),
        (Quantized(4, axis=1, evict=RKV(budget=256)), (PackingPolicy,)),
    ],
    ids=lambda value: value.slug if isinstance(value, KVPolicy) else "",
)
def test_a_policy_is_of_the_kind_that_it_offers(policy: KVPolicy, kinds: tuple):
    assert tuple(kind for kind in KINDS if isinstance(policy, kind)) == kinds


@pytest.mark.parametrize("policy", EXAMPLES, ids=lambda policy: policy.slug)
def test_a_cache_treats_a_policy_as_one_kind_at_most(policy: KVPolicy):
    cache = a_cache(policy, an_architecture())
    found = [kind for kind in (cache.ring, cache.evicting, cache.packer) if kind is not None]
    assert found == ([] if isinstance(policy, Full) else [policy])


@pytest.mark.parametrize(
    ("policy", "scores"),
    [(RKV(budget=12), True), (StreamingLLM(2, 11), True), (Full(), False), (Quantized(4), False)],
    ids=["r_kv", "streaming_llm", "full", "quantized"],
)
def test_only_a_policy_that_scores_tokens_may_evict_packed_ones(policy: KVPolicy, scores: bool):
    assert isinstance(policy, ScoringPolicy) == scores


@dataclass(frozen=True)
class Newest:
    """A user's own ring, which inherits from nothing: only the newest `window` tokens stay."""

    window: int

    packing = None
    observed_queries = 0
    scores_attention = False

    @property
    def slug(self) -> str:
        return f"newest-{self.window}"

    def held(self, tokens: int) -> Held:
        return Held(min(tokens, self.window))

    def reserved(self, tokens: int) -> Held:
        return self.held(tokens)

    def slot(self, position: int) -> int:
        return position % self.window


def test_a_users_own_policy_runs_without_inheriting_from_raysweep():
    stream = Stream(0, an_architecture())
    cache = a_cache(Newest(10), stream.architecture, rows=1)
    begin(cache, 0, stream, 5)
    for tokens in range(6, MOST):
        feed(cache, [stream])
        assert cache.extents[0].native == min(tokens, 10)


def test_a_policy_that_does_not_say_how_tokens_are_packed_is_refused():
    with pytest.raises(ValueError, match=r"fp8: this policy does not keep every token .*protocols"):
        KVCache(an_architecture(), KVDtype("fp8"), 1, torch.float32, CPU)


@pytest.mark.parametrize("method", METHODS)
def test_a_shipped_policys_class_explains_each_parameter_with_its_default(method: str):
    policy = load_method(method)
    text = policy.__doc__ or ""
    for field in dataclasses.fields(policy):
        entry = re.search(rf"^    {field.name}  +(.+?)(?=^    \w|\Z)", text, re.M | re.S)
        assert entry, f"{method}: {field.name} is not explained"
        without = field.default is dataclasses.MISSING
        wanted = "no default" if without else f"default {field.default}"
        assert wanted in re.sub(r"\s+", " ", entry[1]), f"{method}: {field.name}"
