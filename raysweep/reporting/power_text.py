"""What a run's questions and samples can decide, in lines of the plan."""

from collections import defaultdict
from collections.abc import Iterator

from raysweep.analysis.threshold import FEWEST_SIZES
from raysweep.memory import weights_bytes
from raysweep.planning.plan import Plan
from raysweep.planning.power import WORLD, Power, power, simulated
from raysweep.reporting.terminal_lines import Line
from raysweep.run_config import RunConfig
from raysweep.system.quantities import percentage_points, plural

# A share of the simulated runs is told in steps of this. With 40 runs its standard error is up to 8 points.
STEP = 0.1


def power_lines(config: RunConfig, plan: Plan) -> Iterator[Line]:
    """What the figures are, two lines for each number of questions, and what they assume."""
    samples, why_not = config.sweep.samples, no_threshold(config, plan)
    names: dict[int, list[str]] = defaultdict(list)
    for benchmark in config.sweep.benchmarks:
        names[len(benchmark.questions)].append(benchmark.name)
    threshold = "" if why_not else ", chance to decide a threshold"
    yield Line("power", f"± of an accuracy, ± between two models{threshold}")
    for questions, own in names.items():
        yield from questions_lines(", ".join(own), questions, samples, not why_not)
    yield Line("", "95% intervals in points at 50% accuracy, for typical questions")
    if why_not:
        yield Line("", f"no threshold can be asked: {why_not}")
    else:
        worlds = min(row.worlds for row in simulated())
        yield Line("", f"chances by {worlds} simulated runs: {WORLD}")


def questions_lines(
    names: str, questions: int, samples: int, with_threshold: bool
) -> Iterator[Line]:
    """What these questions decide, and what twice as many questions or samples would."""
    if questions < 2:
        yield Line("", f"{names}: a single question says nothing of others")
        return
    now, wider, deeper = (
        figures(power(n, k), with_threshold)
        for n, k in ((questions, samples), (2 * questions, samples), (questions, 2 * samples))
    )
    size = f"{plural(questions, 'question')} × {plural(samples, 'sample')}"
    yield Line("", f"{names}, {size}: {now}")
    more = (
        f"{plural(2 * questions, 'question')}: {wider}; {plural(2 * samples, 'sample')}: {deeper}"
    )
    yield Line("", more)


def figures(known: Power, with_threshold: bool) -> str:
    told = f"±{percentage_points(known.accuracy)}, ±{percentage_points(known.difference)}"
    return f"{told}, {chance(known.threshold)}" if with_threshold else told


def chance(share: float) -> str:
    """`40%`; `<10%` and `>90%` at the ends, since no runs of 40 are not a chance of 0."""
    rounded = STEP * round(share / STEP)
    if rounded <= 0:
        return f"<{STEP:.0%}"
    return f">{1 - STEP:.0%}" if rounded >= 1 else f"{rounded:.0%}"


def no_threshold(config: RunConfig, plan: Plan) -> str:
    """Why a run cannot be asked for the scale threshold; empty if it can."""
    sizes = {weights_bytes(engine.model, engine.weights) for engine in plan.grid}
    if len(sizes) < FEWEST_SIZES:
        return f"{plural(len(sizes), 'effective size')}, and {FEWEST_SIZES} are needed"
    sweep = config.sweep
    spent = {budget * group for budget in sweep.token_budgets for group in sweep.group_sizes}
    return "" if len(spent) > 1 else "only one number of tokens, so memory buys no more of them"
