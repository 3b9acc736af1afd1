"""KV policies as the driver knows them: named by import path, asked how many tokens they hold.

A policy is a frozen dataclass in a file of its own: raysweep's are in `actors/kv/`, a user's wherever
Python finds them. Both are loaded by import path, only here. What a policy does to tensors is between it
and the engine (see `actors.kv.protocols`). So its file imports no tensor library at the top, and a plan
needs none.
"""

from bisect import bisect_left
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from raysweep.system import import_path
from raysweep.system.content import decisive_fields

METHODS = {
    "full": "actors.kv.full.Full",
    "streaming_llm": "actors.kv.streaming_llm.StreamingLLM",
    "r_kv": "actors.kv.r_kv.RKV",
    "snap_kv": "actors.kv.snap_kv.SnapKV",
    "h2o": "actors.kv.h2o.H2O",
    "kv_dtype": "actors.kv.kv_dtype.KVDtype",
    "quantized": "actors.kv.quantized.Quantized",
}

MANY_TOKENS = 10**9  # more than any policy's budget
EVERY_POLICY_HAS = ("slug", "packing", "observed_queries", "scores_attention", "held", "reserved")

Axis = Literal["channel", "token", "layer"]
Levels = Literal["symmetric", "min_max", "hqq"]


@dataclass(frozen=True)
class Packing:
    """How packed numbers are stored: codes of `bits`, and a scale per group of them.

    An axis says which numbers form a group: `channel`, `group_size` tokens of one channel; `token`, up to
    `group_size` channels of one token; `layer`, all numbers of a layer (its scale is stored with the
    weights). `levels` says which numbers the codes stand for (see `actors.kv_cache.packing`). Unless they are
    symmetric, each group also has a zero point, as wide as the scale.

    bits, scale_bits  bits per number and per scale
    """

    bits: int
    group_size: int
    key_axis: Axis
    value_axis: Axis
    levels: Levels
    scale_bits: int = 16

    @property
    def zero_points(self) -> bool:
        """Whether each group has a zero point."""
        return self.levels != "symmetric"


@dataclass(frozen=True)
class Held:
    """Tokens that a row holds: `native` ones in 16 bit, `packed` ones in their policy's `Packing`."""

    native: int
    packed: int = 0

    @property
    def tokens(self) -> int:
        return self.native + self.packed


@runtime_checkable
class KVPolicy(Protocol):
    """What every policy states. Its parameters are the fields of its dataclass.

    slug              its name in engine ids and files, different for different parameters
    packing           the format of packed tokens, None if all are native
    observed_queries  number of newest queries that are kept to score keys with (16 bit, all heads)
    scores_attention  whether the attention that each token has received is summed (32 bit, per KV head)
    """

    @property
    def slug(self) -> str: ...

    @property
    def packing(self) -> Packing | None: ...

    @property
    def observed_queries(self) -> int: ...

    @property
    def scores_attention(self) -> bool: ...

    def held(self, tokens: int) -> Held:
        """What a row holds after it has seen `tokens` tokens."""
        ...

    def reserved(self, tokens: int) -> Held:
        """The most that a row holds at any time until then, also while it is compacted."""
        ...


def load_method(method: str) -> type:
    """The policy class that a method's name or an import path names.

    Raises ValueError if there is none, or if it is not a frozen dataclass with all that `KVPolicy` lists.
    """
    policy = import_path.load(METHODS.get(method, method))
    parameters = getattr(policy, "__dataclass_params__", None)
    if parameters is None or not parameters.frozen:
        raise ValueError(f"{method!r} is not a frozen dataclass, as a policy must be")
    if missing := [name for name in EVERY_POLICY_HAS if not hasattr(policy, name)]:
        raise ValueError(f"{method!r} lacks {', '.join(missing)}, which every policy has")
    return policy


def method_of(policy: KVPolicy) -> str:
    """A policy's name in a configuration: a known method, or its import path."""
    path = f"{type(policy).__module__}.{type(policy).__qualname__}"
    return next((name for name, known in METHODS.items() if known == path), path)


def kind_of(policy: KVPolicy) -> str:
    """What a policy does to tokens: `full`, `evicting`, `quantized` or `evicting_quantized`."""
    marks = (("evicting", evicts(policy)), ("quantized", policy.packing))
    return "_".join(word for word, true in marks if true) or "full"


def evicts(policy: KVPolicy) -> bool:
    """Whether a policy drops tokens sooner or later."""
    return policy.held(MANY_TOKENS).tokens < MANY_TOKENS


def keeps_all(policy: KVPolicy) -> bool:
    """Whether a policy keeps every token as it is."""
    return policy.held(MANY_TOKENS) == Held(MANY_TOKENS)


def compacts(policy: KVPolicy) -> bool:
    """Whether an engine packs or drops a policy's tokens from time to time, at `compacts_at` native ones.

    A window that is a ring does not: each of its tokens overwrites an old one.
    """
    return not keeps_all(policy) and hasattr(policy, "compacts_at")


def drops_native(policy: KVPolicy) -> bool:
    """Whether an engine drops native tokens of a policy when it compacts a row."""
    return policy.packing is None and compacts(policy)


def differs_from(policy: KVPolicy) -> int | None:
    """Tokens of a sequence from which on its cache differs from that of `full`: some are packed or evicted.

    None if it never differs. What is packed or evicted once stays so.
    """
    lengths = range(1, MANY_TOKENS)
    place = bisect_left(lengths, True, key=lambda tokens: policy.held(tokens) != Held(tokens))
    return lengths[place] if place < len(lengths) else None


def parameters(policy: KVPolicy) -> dict[str, Any]:
    """The policy's parameters by name, `{}` for `full`; a policy among them has its method added."""
    return {name: _plain(value) for name, value in decisive_fields(policy).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, KVPolicy):
        return {"method": method_of(value), **parameters(value)}
    return value
