"""KV policies as the driver uses them: loaded by import path, and asked how many tokens they hold.

A policy is a frozen dataclass in its own file. raysweep's policies are in `actors/kv/`, and a user's own may
be anywhere Python finds them. Both are loaded by import path, and only here. The driver asks a policy only
how many tokens it holds, and the engine applies it to tensors. So a policy's file must not import a tensor
library at its top, and a plan needs none.
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

# More tokens than any policy's budget.
MANY_TOKENS = 10**9

Axis = Literal["channel", "token", "layer"]


@dataclass(frozen=True)
class Packing:
    """How packed numbers are stored: codes of `bits` bits, and one scale per group of codes.

    An axis says what a group consists of. `channel`: `group_size` tokens of one channel. `token`: up to
    `group_size` channels of one token. `layer`: all numbers of a layer, whose scale all sequences share.
    If not `symmetric`, a group also has a zero point, which is as wide as the scale.
    """

    bits: int
    group_size: int
    key_axis: Axis
    value_axis: Axis
    symmetric: bool
    scale_bits: int = 16


@dataclass(frozen=True)
class Held:
    """Tokens whose keys and values a row holds: `native` in 16 bit, `packed` as the policy's codes."""

    native: int
    packed: int = 0

    @property
    def tokens(self) -> int:
        return self.native + self.packed


@runtime_checkable
class KVPolicy(Protocol):
    """What every policy tells about itself. Its parameters are the fields of its dataclass.

    packing           the format of packed tokens; None if all tokens are native
    observed_queries  number of newest queries kept for scoring keys (16 bit, all heads)
    scores_attention  whether it keeps a running sum of attention per held token (32 bit, per KV head)
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
        """What a row holds after `tokens` tokens."""
        ...

    def reserved(self, tokens: int) -> Held:
        """The most that a row holds at any time until then, including while tokens are moved."""
        ...


def load_method(method: str) -> type:
    """The policy class of a method's name or an import path.

    Raises ValueError if it does not exist, is not a frozen dataclass, or lacks what a policy needs.
    """
    policy = import_path.load(METHODS.get(method, method))
    parameters = getattr(policy, "__dataclass_params__", None)
    if parameters is None or not parameters.frozen:
        raise ValueError(f"{method!r} is not a frozen dataclass, as a policy must be")
    wanted = ("slug", "packing", "observed_queries", "scores_attention", "held", "reserved")
    if missing := [name for name in wanted if not hasattr(policy, name)]:
        raise ValueError(f"{method!r} lacks {', '.join(missing)}, which every policy must have")
    return policy


def method_of(policy: KVPolicy) -> str:
    """A policy's method in a configuration: a known name, or its import path."""
    path = f"{type(policy).__module__}.{type(policy).__qualname__}"
    return next((name for name, known in METHODS.items() if known == path), path)


def kind_of(policy: KVPolicy) -> str:
    """What a policy does to tokens: `full`, `evicting`, `quantized` or `evicting_quantized`."""
    evicts = policy.held(MANY_TOKENS).tokens < MANY_TOKENS
    words = [word for word, true in (("evicting", evicts), ("quantized", policy.packing)) if true]
    return "_".join(words) or "full"


def parameters(policy: KVPolicy) -> dict[str, Any]:
    """The policy's parameters by name. A policy among them is a mapping with its method."""
    chosen: Any = policy
    return {field.name: _plain(getattr(chosen, field.name)) for field in fields(chosen)}


def _plain(value: Any) -> Any:
    if isinstance(value, KVPolicy):
        return {"method": method_of(value), **parameters(value)}
    return value
