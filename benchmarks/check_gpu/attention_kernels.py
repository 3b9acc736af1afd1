"""Checks of the kernels of a decoding step's attention, over native and over packed slots."""

from dataclasses import dataclass
from functools import partial

import torch

from actors.kernels.join_attention import join_attention
from actors.kernels.native_attention import SPLIT, native_attention, native_splits
from actors.kernels.packed_attention import packed_attention, packed_split, packed_splits
from actors.kernels.received_attention import BLOCK, received_attention
from actors.kv.quantized import Quantized
from actors.kv_cache.packing import unpack_into
from actors.kv_cache.slots import packed_slots
from benchmarks.check_gpu.checked import STORED, Checked, Off, Shapes, roundings
from raysweep.kv_policy import Axis, Packing
from raysweep.memory import packed_bytes

Lanes = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Partial:
    """Scratch for the results of `splits` splits of all rows."""

    results: torch.Tensor
    lse: torch.Tensor

    @classmethod
    def of(cls, s: Shapes, splits: int) -> "Partial":
        shape = (s.rows, s.a.kv_heads, splits, s.group)
        return cls(
            torch.empty(*shape, s.a.head_dim, device=s.device), torch.empty(shape, device=s.device)
        )

    @property
    def written(self) -> int:
        return self.results.nbytes + self.lse.nbytes


def attended(q: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """In 64 bit, row by row: [rows, heads * head_dim]."""
    rows = []
    for own, k, v in zip(q, keys, values, strict=True):
        grouped = own.double().view(len(k), -1, own.shape[-1])
        weights = (grouped @ k.double().mT * own.shape[-1] ** -0.5).softmax(-1)
        rows.append((weights @ v.double()).flatten())
    return torch.stack(rows)


def queries(s: Shapes) -> torch.Tensor:
    return s.normal(s.rows, s.a.heads, s.a.head_dim)


def query_bytes(s: Shapes, splits: int) -> int:
    """Of reading the query heads and a length in each split."""
    return s.heads_in_all * splits * (s.group * s.a.head_dim * 2 + 4)


def check_native(s: Shapes) -> Checked:
    q = queries(s)
    shape = (s.rows, s.a.kv_heads, s.tokens, s.a.head_dim)
    keys, values = s.normal(*shape), s.normal(*shape)
    splits = native_splits(s.tokens)
    partial_results, lengths = Partial.of(s, splits), s.whole(s.tokens)
    scratch = (partial_results.results, partial_results.lse)
    run = partial(native_attention, q, keys, values, lengths, *scratch)

    def off() -> Off:
        run()
        out = torch.empty_like(q).flatten(1)
        join_attention(*scratch, lengths, SPLIT, out)
        return roundings(out, attended(q, keys, values), most=2)

    moved = keys.nbytes + values.nbytes + query_bytes(s, splits) + partial_results.written
    return Checked(run, off, moved)


def check_join(s: Shapes) -> Checked:
    splits = native_splits(s.tokens)
    made = Partial.of(s, splits)
    made.results.normal_()
    made.lse.normal_()
    out = torch.empty(s.rows, s.a.heads * s.a.head_dim, dtype=STORED, device=s.device)
    run = partial(join_attention, made.results, made.lse, s.whole(s.tokens), SPLIT, out)

    def off() -> Off:
        run()
        weights = (made.lse.double() * torch.tensor(2.0).log()).softmax(2)
        exact = (weights.unsqueeze(-1) * made.results.double()).sum(2)
        return roundings(out, exact.flatten(1))

    return Checked(run, off, made.written + out.nbytes + s.rows * s.a.heads * 4)


def random_lanes(s: Shapes, packing: Packing, tokens: int) -> Lanes:
    """Any codes, for numbers of about 1 on both sides of 0."""
    slots = packed_slots(s.a, s.rows, packing, s.device, attention=False)
    slots.reserve(tokens)
    top = 2**packing.bits - 1
    lanes = {name: lane.tensor[0] for name, lane in slots.lanes.items()}
    for name, lane in lanes.items():
        if name.endswith("codes"):
            lane.random_(0, 256)
        elif name.endswith("scales"):
            lane.uniform_(0.6 / top, 3.6 / top)
        elif packing.levels == "hqq":
            lane.uniform_(0, top)
        else:
            lane.uniform_(-3, 0)
    return lanes


def numbers_of(lanes: Lanes, packing: Packing, side: str, head_dim: int) -> torch.Tensor:
    axis: Axis = packing.key_axis if side == "key" else packing.value_axis
    own = {n.removeprefix(f"{side}_"): lane for n, lane in lanes.items() if n.startswith(side)}
    out = torch.empty(*own["codes"].shape[:-1], head_dim, device=own["codes"].device)
    unpack_into(out, own, packing, axis)
    return out


def check_packed(s: Shapes, policy: Quantized) -> Checked:
    packing, q = policy.packing, queries(s)
    tokens = s.tokens // policy.group_size * policy.group_size
    lanes = random_lanes(s, packing, tokens)
    splits = packed_splits(packing, tokens)
    made, lengths, none = Partial.of(s, splits), s.whole(tokens), s.whole(0)
    run = partial(packed_attention, q, lanes, packing, lengths, made.results, made.lse)

    def off() -> Off:
        run()
        out = torch.empty_like(q).flatten(1)
        split = packed_split(packing)
        join_attention(made.results, made.lse, none, SPLIT, out, None, lengths, split)
        sides = (numbers_of(lanes, packing, side, s.a.head_dim) for side in ("key", "value"))
        return roundings(out, attended(q, *sides), most=2)

    held = s.heads_in_all * packed_bytes(packing, tokens, s.a.head_dim)
    return Checked(run, off, held + query_bytes(s, splits) + made.written)


def check_received(s: Shapes) -> Checked:
    logits = s.normal(s.rows, s.a.kv_heads, s.group, s.tokens, dtype=torch.float32)
    lse = s.normal(s.rows, s.a.heads, dtype=torch.float32)
    sums = torch.zeros(s.rows, s.a.kv_heads, s.tokens, device=s.device)
    run = partial(received_attention, logits, lse, s.whole(s.tokens - 1), sums, s.whole(s.tokens))

    def off() -> Off:
        run()
        each = (logits.double() - lse.double().view(s.rows, s.a.kv_heads, -1, 1)).exp2()
        return roundings(sums, each.sum(2))

    blocks = s.heads_in_all * -(-s.tokens // BLOCK)
    return Checked(run, off, logits.nbytes + 2 * sums.nbytes + blocks * (s.group * 4 + 8))


def checks(s: Shapes) -> dict[str, partial[Checked]]:
    """Each check by the name of its row."""
    policies = [*(Quantized(bits) for bits in (8, 4, 2)), Quantized(4, layout="kivi")]
    return {
        "native_attention": partial(check_native, s),
        "join_attention": partial(check_join, s),
        **{f"packed_attention, {p.slug}": partial(check_packed, s, p) for p in policies},
        "received_attention": partial(check_received, s),
    }
