"""What each KV policy loses on a real model, and whether it orders as the papers report.

Segments of held-out text: a prompt is prefilled, then the policy's cache decodes the following tokens,
teacher-forced. Divergence is the mean over tokens of KL(full cache || policy), in nats. A pair of
policies is compared on the same segments, so the standard error is that of the mean paired difference.
"""

from dataclasses import dataclass

import pytest
import torch
from with_real_model.real_model import ARCHITECTURE, FOLDER, held_out, spread

from actors.kv.full import Full
from actors.kv.h2o import H2O
from actors.kv.quantized import Quantized
from actors.kv.r_kv import RKV
from actors.kv.snap_kv import SnapKV
from actors.kv.streaming_llm import StreamingLLM
from actors.kv_cache import step
from actors.kv_cache.cache import KVCache
from actors.kv_cache.prompt import PromptKV, start_row
from actors.torch_engine.model import Decoder, load_decoder
from raysweep import memory
from raysweep.kv_policy import KVPolicy

PROMPT = 448
ROWS, STEPS = 16, 32
PACKED = slice(None, None, 2)  # policies that pack differ little between segments: fewer segments
PACKED_STEPS = 8  # and tokens will do
CPU = torch.device("cpu")


class NoSinks(StreamingLLM):
    """A sliding window alone, as the paper on attention sinks has it for comparison."""

    def __post_init__(self) -> None: ...

    @property
    def slug(self) -> str:
        return f"window-{self.window}"


POLICIES = [
    *(StreamingLLM(4, 60), RKV(64, 8, 32), SnapKV(64, 16, 32), H2O(64, 32, 32), NoSinks(0, 64)),
    *(StreamingLLM(4, 124), SnapKV(128, 16, 32)),
    *(
        Quantized(bits, layout=layout)
        for layout in ("hqq", "kivi", "symmetric")
        for bits in (8, 4, 2)
    ),
    *(Quantized(4, sinks=4), Quantized(4, axis=1), Quantized(4, axis=1, evict=RKV(256, 8, 64))),
]


@dataclass(frozen=True)
class Loss:
    """divergence  per segment, in nats per token
    live_bytes, modelled_bytes  of all segments, counted from the tensors and computed
    """

    divergence: torch.Tensor
    live_bytes: int
    modelled_bytes: int

    @property
    def mean(self) -> float:
        return float(self.divergence.mean())


Table = dict[str, Loss]


@pytest.fixture(scope="module")
def table() -> Table:
    """The loss of each policy, by its slug; printed as a table."""
    segments = spread(held_out(PROMPT + STEPS + 1), ROWS)
    decoder = load_decoder(str(FOLDER), torch.float32, CPU)  # weights held wide, which is faster
    decoder.storage = torch.bfloat16  # the cache's, as in the engine
    prompts = [decoder.prefill(tokens[:PROMPT], keep_queries=True)[0] for tokens in segments]
    full, _ = teacher_forced(decoder, Full(), prompts, segments, STEPS)
    losses = {}
    for policy in POLICIES:
        rows, steps = (slice(None), STEPS) if policy.packing is None else (PACKED, PACKED_STEPS)
        found, cache = teacher_forced(decoder, policy, prompts[rows], segments[rows], steps)
        expected = full[:steps, rows]
        divergence = (expected.exp() * (expected - found)).sum(-1).mean(0)
        loss = losses[policy.slug] = Loss(divergence, *bytes_of(cache))
        print(f"{policy.slug:30} {loss.mean:7.4f} +- {standard_error(divergence):.4f}")
    return losses


def teacher_forced(
    decoder: Decoder,
    policy: KVPolicy,
    prompts: list[PromptKV],
    segments: list[list[int]],
    steps: int,
) -> tuple[torch.Tensor, KVCache]:
    """Log-probabilities [steps, segments, vocabulary] under the policy, and the cache at the end."""
    cache = KVCache(ARCHITECTURE, policy, len(segments), torch.bfloat16, CPU)
    cache.reserve(PROMPT + steps)
    with torch.inference_mode():
        for row, prompt in enumerate(prompts):
            start_row(cache, row, prompt)
        found = []
        for position in range(PROMPT, PROMPT + steps):
            tokens = torch.tensor([segment[position] for segment in segments])
            logits = decoder.decode(tokens, torch.full_like(tokens, position), cache)
            step.end(cache, range(len(segments)))
            found.append(logits.log_softmax(-1))
    return torch.stack(found), cache


def bytes_of(cache: KVCache) -> tuple[int, int]:
    seen = [extent.seen for extent in cache.extents]
    modelled = sum(memory.kv_bytes(ARCHITECTURE, cache.policy, tokens) for tokens in seen)
    return sum(map(cache.row_bytes, range(len(seen)))), modelled


def standard_error(values: torch.Tensor) -> float:
    return float(values.std() / len(values) ** 0.5)


def is_less(table: Table, better: str, worse: str) -> bool:
    """Whether a policy diverges less than another by more than twice the paired standard error."""
    difference = table[worse].divergence - table[better].divergence
    print(f"{worse} - {better}: {difference.mean():.4f} +- {standard_error(difference):.4f}")
    return float(difference.mean()) > 2 * standard_error(difference)


def test_live_bytes_are_the_memory_models_for_every_policy(table: Table):
    for slug, loss in table.items():
        assert loss.live_bytes == loss.modelled_bytes, slug


@pytest.mark.parametrize("layout", ["quantized", "kivi", "symmetric"])
def test_eight_bits_lose_next_to_nothing_and_fewer_lose_more(layout: str, table: Table):
    assert table[f"{layout}-8"].mean < 0.001
    assert is_less(table, f"{layout}-8", f"{layout}-4")
    assert is_less(table, f"{layout}-4", f"{layout}-2")


@pytest.mark.parametrize("bits", [4, 2])
def test_kivi_loses_less_than_hqq_and_hqq_less_than_symmetric_levels(bits: int, table: Table):
    assert is_less(table, f"kivi-{bits}", f"quantized-{bits}")
    assert is_less(table, f"quantized-{bits}", f"symmetric-{bits}")


def test_hqq_loses_what_the_library_hqq_loses_and_less_if_the_sinks_stay_in_16_bit(table: Table):
    assert table["quantized-4"].mean <= 0.05
    assert table["quantized-2"].mean <= 2.1
    assert table["quantized-4-s4"].mean <= 0.02
    assert is_less(table, "quantized-4-s4", "quantized-4")


def test_a_window_without_attention_sinks_collapses(table: Table):
    assert is_less(table, "streaming_llm-64", "window-64")
    assert table["window-64"].mean > 3 * table["streaming_llm-64"].mean


@pytest.mark.parametrize("scored", ["r_kv-64-b32", "snap_kv-64-n16-b32", "h2o-64-n32-b32"])
def test_choosing_tokens_by_scores_loses_less_than_keeping_the_newest(scored: str, table: Table):
    assert is_less(table, scored, "streaming_llm-64")


@pytest.mark.parametrize("method", ["streaming_llm-{}", "snap_kv-{}-n16-b32"])
def test_a_larger_budget_loses_less(method: str, table: Table):
    assert is_less(table, method.format(128), method.format(64))
