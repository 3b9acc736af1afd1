"""kv_dtype: every token stays, in a number format that vLLM has for its cache (`kv_cache_dtype`).

    format                 per number  scales
    fp8, fp8_e5m2          1 byte      one per layer, stored with the weights
    int8_per_token_head,   1 byte      32 bit, one for the keys and one for the values of each token and head
    fp8_per_token_head
    int4_per_token_head    1/2 byte    the same
    nvfp4                  1/2 byte    8 bit, one per 16 channels

No attention backend reads all of them. An engine refuses a format that its backend does not list.
"""

from dataclasses import dataclass

from raysweep.kv_policy import Held, Packing


def _per_token_head(bits: int) -> Packing:
    whole_head = 1 << 30  # a group is as wide as the head
    return Packing(bits, whole_head, "token", "token", "symmetric", scale_bits=32)


_FP8 = Packing(8, 0, "layer", "layer", "symmetric")

FORMATS = {
    "fp8": _FP8,
    "fp8_e5m2": _FP8,
    "int8_per_token_head": _per_token_head(8),
    "fp8_per_token_head": _per_token_head(8),
    "int4_per_token_head": _per_token_head(4),
    "nvfp4": Packing(4, 16, "token", "token", "symmetric", scale_bits=8),
}


@dataclass(frozen=True)
class KVDtype:
    """Keep every token.

    dtype  the format, one of those above; no default
    """

    dtype: str

    observed_queries = 0
    scores_attention = False

    def __post_init__(self) -> None:
        if self.dtype not in FORMATS:
            raise ValueError(f"dtype: {self.dtype!r} is not known; known: {', '.join(FORMATS)}")

    @property
    def slug(self) -> str:
        return self.dtype

    @property
    def packing(self) -> Packing:
        return FORMATS[self.dtype]

    def held(self, tokens: int) -> Held:
        return Held(0, tokens)

    def reserved(self, tokens: int) -> Held:
        return Held(0, tokens)
