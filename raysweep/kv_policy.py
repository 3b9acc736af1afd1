"""KV policies as the driver knows them: named by import path, asked for what they hold.

A policy is a frozen dataclass in a file of its own. raysweep's lie under `actors/kv/`, a user's wherever
Python finds them: both are loaded by import path, here and nowhere else. The driver asks a policy how
many tokens it holds; what it does to tensors is the engine's business. So a policy's file imports no
tensor library at its top, and a plan needs none.
"""

from dataclasses import dataclass, fields
from typing import Any, Literal, Protocol, runtime_checkable

from raysweep.system import import_path

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

Axis = Literal["channel", "token", "layer"]


@dataclass(frozen=True)
class Packing:
    """How packed numbers are stored: codes of `bits`, and a scale for each group of them.

    An axis says along what a group runs: `channel` takes `group_size` tokens of one channel,
    `token` takes up to `group_size` channels of one token, `layer` all numbers of a layer (its scale is
    no sequence's). Without `symmetric` a group has a zero point besides, as wide as the scale.
    """

    bits: int
    group_size: int
    key_axis: Axis
    value_axis: Axis
    symmetric: bool
    scale_bits: int = 16


@dataclass(frozen=True)
class Held:
    """Tokens whose keys and values a row holds: `native` in 16 bit, `packed` as its policy's codes."""

    native: int
    packed: int = 0

    @property
    def tokens(self) -> int:
        return self.native + self.packed


@runtime_checkable
class KVPolicy(Protocol):
    """What every policy says of itself. Its parameters are the fields of its dataclass.

    packing           the format of packed tokens, None if all are native
    observed_queries  newest queries kept to score keys with (16 bit, all heads)
    scores_attention  keeps a running sum of attention for every token held (32 bit, each KV head)
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
        """What a row holds once `tokens` tokens have been seen."""
        ...

    def reserved(self, tokens: int) -> Held:
        """The most it holds at any time until then, while tokens are on the move included."""
        ...


def load_method(method: str) -> type:
    """The policy class that a method's name or an import path stands for.

    Raises ValueError if there is none, or if it is no frozen dataclass with what a policy needs.
    """
    policy = import_path.load(METHODS.get(method, method))
    parameters = getattr(policy, "__dataclass_params__", None)
    if parameters is None or not parameters.frozen:
        raise ValueError(f"{method!r} is not a frozen dataclass, as a policy must be")
    wanted = ("slug", "packing", "observed_queries", "scores_attention", "held", "reserved")
    if missing := [name for name in wanted if not hasattr(policy, name)]:
        raise ValueError(f"{method!r} lacks {', '.join(missing)}, which every policy has")
    return policy


def method_of(policy: KVPolicy) -> str:
    """The name by which a configuration calls a policy: a known method, or its import path."""
    path = f"{type(policy).__module__}.{type(policy).__qualname__}"
    return next((name for name, known in METHODS.items() if known == path), path)


def kind_of(policy: KVPolicy) -> str:
    """What a policy does to tokens: `full`, `evicting`, `quantized` or `evicting_quantized`."""
    evicts = policy.held(MANY_TOKENS).tokens < MANY_TOKENS
    words = [word for word, true in (("evicting", evicts), ("quantized", policy.packing)) if true]
    return "_".join(words) or "full"


def parameters(policy: KVPolicy) -> dict[str, Any]:
    """The policy's parameters by name, `{}` for `full`; a policy inside it with its method."""
    chosen: Any = policy
    return {field.name: _plain(getattr(chosen, field.name)) for field in fields(chosen)}


def _plain(value: Any) -> Any:
    if isinstance(value, KVPolicy):
        return {"method": method_of(value), **parameters(value)}
    return value
