"""Checks of the kernels of a compaction: R-KV's scores, what is kept, and packing."""

from functools import partial

import torch

from actors.kernels import cosine_sums, key_sums, mean_softmax, observed_attention
from actors.kernels.gather import PART, gather
from actors.kernels.keep_best import keep_best
from actors.kernels.newest_alike import newest_alike, passing, tile_sizes
from actors.kernels.pack import pack
from actors.kernels.redundancy import bytes_moved, redundancy
from actors.kv import eviction, r_kv
from actors.kv.quantized import Quantized
from actors.kv_cache import packing as twin
from actors.kv_cache.packing import unpack_into
from benchmarks.check_gpu.attention_kernels import random_lanes
from benchmarks.check_gpu.checked import (
    STORED,
    WIDTH,
    Checked,
    Off,
    Shapes,
    by_torch,
    farthest,
    roundings,
    unequal,
)

WINDOW = 8
NEAR_HALF = 2e-3  # the share of codes that may lie in the middle between two levels


def directions(keys: torch.Tensor) -> torch.Tensor:
    wide = keys.float()
    return wide / (wide.norm(dim=-1, keepdim=True) + r_kv.TINY)


def check_key_sums(s: Shapes) -> Checked:
    keys = s.keys()
    run = partial(key_sums.key_sums, keys, s.all_rows())

    def off() -> Off:
        norms, sums = run()
        exact = keys.double().norm(dim=-1)
        total = (keys.double() / exact.unsqueeze(-1)).sum(2)
        return farthest(roundings(norms, exact), roundings(sums, total))

    parts = -(-s.tokens // key_sums.TOKENS)
    made = s.heads_in_all * (4 * s.tokens + 4 * s.a.head_dim * parts)
    return Checked(run, off, keys.nbytes + made)


def check_newest_alike(s: Shapes) -> Checked:
    keys = s.keys()
    norms, _ = key_sums.key_sums(keys, s.all_rows())
    run = partial(newest_alike, keys, s.all_rows(), norms)
    moved = s.tokens + passing(s.tokens, tile_sizes(STORED)[0])
    per_token = s.a.head_dim * WIDTH + 4 + 8
    return Checked(
        run,
        lambda: unequal(run(), r_kv.newest_alike(directions(keys))),
        s.heads_in_all * moved * per_token,
    )


def check_cosine_sums(s: Shapes) -> Checked:
    keys = s.keys()
    norms, total = key_sums.key_sums(keys, s.all_rows())
    newest = newest_alike(keys, s.all_rows(), norms)
    run = partial(cosine_sums.cosine_sums, keys, s.all_rows(), norms, total, newest)

    def off() -> Off:
        each, places = directions(keys).double(), newest.long()
        sums = (each * (each.sum(2, keepdim=True) - each)).sum(-1)
        likeness = (each * each.gather(2, places[..., None].expand_as(each))).sum(-1)
        own = places == torch.arange(s.tokens, device=s.device)
        sums.scatter_add_(2, places, torch.where(own, 0.0, -likeness))
        return roundings(run(), sums)

    head = s.tokens * (2 * s.a.head_dim * WIDTH + 12 + 4 + 16)
    head += 4 * s.a.head_dim * -(-s.tokens // cosine_sums.TOKENS)
    return Checked(run, off, s.heads_in_all * head)


def check_redundancy(s: Shapes) -> Checked:
    keys = s.keys()
    run = partial(redundancy, keys, s.all_rows())

    def off() -> Off:
        with by_torch():
            return roundings(run(), r_kv.redundancy(keys.float()))

    return Checked(run, off, s.heads_in_all * bytes_moved(s.tokens, s.a.head_dim, STORED))


def check_observed_attention(s: Shapes) -> Checked:
    keys = s.keys()
    queries = s.normal(s.rows, s.a.kv_heads, s.group, WINDOW, s.a.head_dim)
    run = partial(observed_attention.observed_attention, keys, queries, WINDOW, s.all_rows())

    def off() -> Off:
        with by_torch():
            row = eviction.Row(keys.float(), queries.float(), None)
            return roundings(run(), eviction.observed_attention(row, WINDOW))

    older = s.tokens - WINDOW
    parts, query = -(-older // observed_attention.TOKENS), s.group * WINDOW * s.a.head_dim * WIDTH
    logits = older * s.a.head_dim * WIDTH + parts * query + 4 * WINDOW * older + 8 * WINDOW * parts
    means = 4 * WINDOW * older + 8 * WINDOW * parts * -(-older // mean_softmax.TOKENS) + 4 * older
    return Checked(run, off, s.heads_in_all * (logits + means))


def check_keep_best(s: Shapes) -> Checked:
    older, count = s.tokens - WINDOW, s.tokens // 2
    scores = s.normal(s.rows, s.a.kv_heads, older).float()  # of bf16: many are equal
    run = partial(keep_best, scores, count, WINDOW)

    def off() -> Off:
        with by_torch():
            best = eviction.best(scores, count)
        newest = torch.arange(older, s.tokens, device=s.device).expand(*best.shape[:2], -1)
        return unequal(run(), torch.cat([best, newest], -1))

    return Checked(run, off, s.heads_in_all * (5 * 4 * older + 4 * (count + WINDOW)))


def check_gather(s: Shapes) -> Checked:
    lane, count = s.keys(), s.tokens // 2
    drawn = torch.rand(s.rows, s.a.kv_heads, s.tokens, device=s.device).argsort(-1)
    chosen = drawn[..., :count].sort(-1).values.int()
    run = partial(gather, lane, s.all_rows(), chosen)

    def off() -> Off:
        expected = lane.clone()
        index = chosen.long()[..., None].expand(-1, -1, -1, s.a.head_dim)
        expected[:, :, :count] = lane.gather(2, index)
        run()
        return unequal(lane, expected)

    entry = s.a.head_dim * WIDTH
    moved = int((chosen != torch.arange(count, device=s.device)).sum())
    return Checked(run, off, s.heads_in_all * -(-entry // PART) * 4 * count + 2 * moved * entry)


def check_pack(s: Shapes, policy: Quantized) -> Checked:
    """The keys of one block of each row."""
    packing, size = policy.packing, policy.group_size
    native = s.normal(s.rows, s.a.kv_heads, size, s.a.head_dim)
    lanes = random_lanes(s, packing, 2 * size)
    own = {name.removeprefix("key_"): lane for name, lane in lanes.items() if "key" in name}
    axis = packing.key_axis
    run = partial(pack, native, s.all_rows(), s.whole(size), own, packing, axis)

    def off() -> Off:
        """The share of numbers for which the packed ones differ by more than a rounding."""
        run()
        expected = twin.pack(native, packing, axis)
        made = {name: lane[:, :, -each.shape[2] :] for (name, lane), each in pairs(own, expected)}
        numbers = [torch.empty(native.shape, device=s.device) for _ in range(2)]
        for out, entries in zip(numbers, (made, expected), strict=True):
            unpack_into(out, entries, packing, axis)
        far = (numbers[0] - numbers[1]).abs() > 2**-8 * native.float().abs().max()
        return unequal(far, torch.zeros_like(far), most=NEAR_HALF)

    numbers = size * s.a.head_dim
    groups = numbers // size if axis == "channel" else size * -(-s.a.head_dim // size)
    head = 2 * numbers * WIDTH + 8 * numbers + 8 * groups
    head += numbers * packing.bits // 8 + 4 * groups
    return Checked(run, off, s.heads_in_all * head)


def pairs(own: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]):
    return [((name, own[name]), each) for name, each in expected.items()]


def checks(s: Shapes) -> dict[str, partial[Checked]]:
    """Each check by the name of its row."""
    policies = [*(Quantized(bits) for bits in (8, 4, 2)), Quantized(4, layout="kivi")]
    return {
        "key_sums": partial(check_key_sums, s),
        "newest_alike": partial(check_newest_alike, s),
        "cosine_sums": partial(check_cosine_sums, s),
        "redundancy": partial(check_redundancy, s),
        "observed_attention": partial(check_observed_attention, s),
        "keep_best": partial(check_keep_best, s),
        "gather": partial(check_gather, s),
        **{f"pack, {policy.slug}": partial(check_pack, s, policy) for policy in policies},
    }
