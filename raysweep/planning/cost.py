"""What samples cost in all: tokens, GPU-hours, money."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from raysweep.planning.estimate import Estimate, Tokens


@dataclass(frozen=True)
class Cost:
    """The cost of some samples of many engines.

    tokens     expected, or decoded
    gpu_hours  by the cost model; None without a GPU of a known kind
    usd        0 without a price
    """

    tokens: int
    gpu_hours: float | None
    usd: float


def cost_of(estimates: Iterable[Estimate], tokens: Mapping[str, Tokens]) -> Cost:
    """The cost of tokens, given by engine id, on the GPUs on which the engines run. Each loads once."""
    hours: float | None = None
    usd = 0.0
    for one in estimates:
        own = one.gpu_hours(tokens.get(one.engine.engine_id, Tokens()))
        if own is not None and one.placement is not None and one.placement.gpu is not None:
            hours = (hours or 0.0) + own
            usd += own * one.placement.gpu.usd_per_hour
    return Cost(round(sum(own.expected for own in tokens.values())), hours, usd)
