"""KV policies, one a file, and the pool of slots in which they keep what they keep."""

from actors.kv.full import Full
from actors.kv.pool import SlotPolicy
from actors.kv.streaming_llm import StreamingLLM
from raysweep.kv_policy import KVPolicy

IMPLEMENTATIONS = {"full": Full, "streaming_llm": StreamingLLM}


def implement(policy: KVPolicy) -> SlotPolicy:
    """The tensor side of a policy."""
    return IMPLEMENTATIONS[policy.method](policy)  # pyright: ignore[reportArgumentType]
