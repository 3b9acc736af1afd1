"""The plan's lines on an adaptive run: when it decides, what its rounds cost, what it should save."""

from collections.abc import Iterator

from raysweep.adaptive.rules import looks
from raysweep.planning.cost import Cost
from raysweep.planning.saving import expected_share
from raysweep.reporting.adaptive_text import asked_for
from raysweep.reporting.terminal_lines import Line, human_hours, human_usd
from raysweep.run_config import RunConfig
from raysweep.system.quantities import human_count


def rounds_lines(config: RunConfig, so_far: Cost, full: Cost) -> Iterator[Line]:
    """The rounds, and their cost beside that of every sample.

    so_far  of the rounds that are known to be wanted: the first, if nothing is decided
    """
    adaptive, sweep = config.sweep.adaptive, config.sweep
    if adaptive is None:
        return
    *early, last = looks(sweep.samples)
    after = ", ".join(map(str, early))
    yield Line("rounds", f"decisions after {after} of {last} samples of each question")
    wanted = (adaptive.memory_bytes, adaptive.batch_size, adaptive.epsilon, adaptive.delta)
    yield Line("", f"for {asked_for(*wanted)}")
    yield Line("", f"the rounds so far take {_cost(so_far)}")
    yield Line("", f"every sample would take {_cost(full)}")
    share = expected_share(sweep)
    if share is not None:
        yield Line("", f"simulated runs like the study's needed {share:.0%} of the GPU-seconds")


def _cost(cost: Cost) -> str:
    text = f"≤ {human_count(cost.tokens)} tokens"
    if cost.gpu_hours is not None:
        text += f", {human_hours(cost.gpu_hours)} GPU-hours"
    return text + (f", {human_usd(cost.usd)}" if cost.usd else "")
