"""Drawing tokens with top-p alone: from a partial selection, and from the sorted vocabulary, in turns.

    python -m benchmarks.sampling

Prints the CPU milliseconds of a step of 32 rows by the deviation of random logits, and checks that both ways
draw the same tokens. One thread, medians.
"""

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from actors.torch_engine import sampling
from actors.torch_engine.sampling import FIRST_CANDIDATES, draw_tokens
from raysweep.spec import Sampling

ROWS, VOCABULARY = 32, 151_936  # as in Qwen's tokenizer
DEVIATIONS = (3.0, 4.5, 5.0, 6.0)
TOP_P = Sampling(1.0, top_p=0.95)
REPEATS = 5


def draw(logits: torch.Tensor, draws: np.ndarray, candidates: int) -> torch.Tensor:
    """The tokens, found among so many candidates first."""
    sampling.FIRST_CANDIDATES = candidates
    return draw_tokens(logits, draws, TOP_P)


def milliseconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return 1000 * (time.process_time() - started)


def compared(deviation: float) -> tuple[float, float]:
    """Median milliseconds of the partial selection and of the sort."""
    logits = deviation * torch.randn(ROWS, VOCABULARY, generator=torch.Generator().manual_seed(0))
    draws = np.random.default_rng(0).random(ROWS)
    ways = (FIRST_CANDIDATES, VOCABULARY)
    partly, wholly = (draw(logits, draws, way) for way in ways)
    assert torch.equal(partly, wholly)
    turns = [
        [milliseconds(lambda way=way: draw(logits, draws, way)) for way in ways]
        for _ in range(REPEATS)
    ]
    first, second = zip(*turns, strict=True)
    return statistics.median(first), statistics.median(second)


def main() -> None:
    torch.set_num_threads(1)
    print("| deviation of the logits | partial selection | sort |\n| ---: | ---: | ---: |")
    for deviation in DEVIATIONS:
        print("| {} | {:.0f} ms | {:.0f} ms |".format(deviation, *compared(deviation)), flush=True)


if __name__ == "__main__":
    main()
