"""What the torch engine launches on a GPU for Qwen3-8B: steps of decoding, and compactions."""

from collections.abc import Iterator
from functools import partial

from actors.kv.full import Full
from actors.kv.h2o import H2O
from actors.kv.quantized import Quantized
from actors.kv.r_kv import RKV
from actors.kv.streaming_llm import StreamingLLM
from benchmarks.meta_engine import compaction, decoding, kernels_on_meta
from benchmarks.recorded_launches import Launch, recorded
from raysweep.spec import WeightSpec

POLICIES = [
    Full(),
    StreamingLLM(4, 4092),
    RKV(4096),
    H2O(4096),
    *(Quantized(bits) for bits in (8, 4, 2)),
    Quantized(4, layout="kivi"),
    Quantized(4, layout="symmetric"),
    Quantized(4, axis=1, evict=RKV(4096)),
    Quantized(4, axis=1, evict=H2O(4096)),
]
ROWS = (16, 128)  # kernels of packed weights differ between these, and no others do
PACKED = [(WeightSpec("gptq", bits, 128), rows) for bits in (8, 4, 3) for rows in ROWS]
# In the order of activations, few rows take fewer registers than many.
PACKED += [(WeightSpec("gptq", bits, 128, act_order=True), ROWS[-1]) for bits in (8, 4, 3)]


def launches() -> Iterator[tuple[str, Launch]]:
    """Each launch with the name of its case."""
    cases = {policy.slug: partial(decoding, policy, ROWS[0]) for policy in POLICIES}
    cases |= {f"{policy.slug}, compaction": partial(compaction, policy, 2) for policy in POLICIES}
    for weights, rows in PACKED:
        cases[f"{weights.slug}, {rows} rows"] = partial(decoding, Full(), rows, weights)
    for name, prepare in cases.items():
        with kernels_on_meta():
            run = prepare()
            with recorded() as made:
                run()
        yield from ((name, launch) for launch in made)
