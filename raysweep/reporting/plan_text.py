"""A plan for the terminal: how much work a run is, on which GPUs, and what it costs."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

from rich.table import Table
from rich.text import Text

from raysweep.kv_policy import differs_from
from raysweep.memory import kv_peak_bytes, weights_bytes
from raysweep.planning.estimate import Estimate
from raysweep.planning.grid import without_peer
from raysweep.planning.lengths import Lengths, run_lengths
from raysweep.planning.plan import Plan
from raysweep.planning.speed import BANDWIDTH_EFFICIENCY, FLOPS_EFFICIENCY
from raysweep.planning.unfit import unused_checkpoints
from raysweep.reporting.power_text import power_lines
from raysweep.reporting.terminal import MOST_ROWS, WIDTH, cut, empty_table
from raysweep.reporting.terminal_lines import Line, human_hours, human_usd, span
from raysweep.reporting.unfit_text import unfit_lines, without_bf16_lines
from raysweep.reporting.weights_text import weights_lines
from raysweep.run_config import Gpu, Pool, RunConfig
from raysweep.spec import EngineSpec
from raysweep.system.quantities import human_bytes, human_count, plural

# Longer times are told in days too.
LONG_HOURS = 96


def plan_lines(
    config: RunConfig, plan: Plan, costs: Sequence[Estimate], known: Sequence[Gpu]
) -> Iterator[Line]:
    """The plan in lines, some of which may be long. `known` are kinds of GPU to suggest."""
    yield Line("plan", amount(config, plan))
    yield from left_out_lines(config, plan)
    if plan.done:
        yield Line("done", progress_so_far(plan, costs))
    for benchmark in config.sweep.benchmarks:
        if benchmark.stands_in:
            count = len(benchmark.questions)
            text = f"{benchmark.name} is not on this machine, so {count:,} stand-in questions are planned"
            yield Line("absent", f"{text}, as if none were done" if plan.parts else text)
    unfit = [cost.engine for cost in costs if cost.placement is None]
    yield from weights_lines(config, unused_checkpoints(config, plan.engines, unfit))
    if config.sweep.backend == "auto":
        yield from backend_lines(plan)
    yield from control_lines(plan)
    yield from same_cache_lines(config)
    yield from power_lines(config, plan)
    if config.cluster.kinds:
        yield from cost_lines(config, costs)
        yield from without_bf16_lines(config.cluster, (cost.engine for cost in costs))
        yield from unfit_lines(config, costs, known)


def amount(config: RunConfig, plan: Plan) -> str:
    sweep = config.sweep
    scenarios = len(plan.grid) * len(sweep.benchmarks)
    scenarios *= len(sweep.token_budgets) * len(sweep.group_sizes)
    tokens = sum(shard.est_tokens for shard in plan.shards if shard.shard is not None)
    return (
        f"{scenarios:,} scenarios from {len(plan.grid)} engines; {len(plan.to_do):,} of "
        f"{len(plan.shards):,} shards, ≤ {human_count(tokens)} tokens"
    )


def left_out_lines(config: RunConfig, plan: Plan) -> Iterator[Line]:
    """How many engines of the product the user has left out."""
    sweep = config.sweep
    left = len(sweep.models) * len(sweep.weights) * len(sweep.kv_policies) - len(plan.grid)
    if left:
        patterns = ", ".join(sweep.leave_out)
        yield Line("left out", f"{plural(left, 'engine')}, by sweep.leave_out: {patterns}")


def progress_so_far(plan: Plan, costs: Sequence[Estimate]) -> str:
    """What is finished, and the tokens that the rest should take, judging by the traces so far."""
    expected = sum(cost.to_do.expected for cost in costs)
    measured = any(part.tokens for part in plan.parts)
    done = f"{plan.done:,} of {len(plan.shards):,} shards"
    if not plan.to_do or not measured:
        return done
    return f"{done}; the rest should take {human_count(expected)} tokens, by the lengths of their traces"


def backend_lines(plan: Plan) -> Iterator[Line]:
    """Which backend runs how many engines, and why."""
    choices = plan.backends
    for backend in sorted({choice.backend for choice in choices}):
        theirs = [choice.reason for choice in choices if choice.backend == backend]
        reasons = "; ".join(dict.fromkeys(theirs))
        yield Line("backend", f"{backend} for {len(theirs)} of {len(choices)} engines: {reasons}")


def control_lines(plan: Plan) -> Iterator[Line]:
    """Whether a comparison of KV policies compares backends too, and what measures that."""
    controls = len(plan.engines) - len(plan.grid)
    if controls:
        yield Line(
            "control",
            f"{plural(controls, 'engine')} more, full on torch, to say how far vllm and torch differ",
        )
    elif without_peer(plan.grid):
        yield Line(
            "note",
            "full runs on vllm and other KV policies on torch, so comparing them compares backends too; "
            "sweep.control=true says how far these differ",
        )


def same_cache_lines(config: RunConfig) -> Iterator[Line]:
    """The KV policies that may have nothing to pack or evict, since sequences are short."""
    tokens = run_lengths(config).trace
    # A prompt has about a token per word, or more.
    questions = (one for benchmark in config.sweep.benchmarks for one in benchmark.questions)
    words = max(len(question.prompt.split()) for question in questions)
    for policy in config.sweep.kv_policies:
        first = differs_from(policy)
        if first is not None and first > tokens + words:
            yield Line(
                "note",
                f"{policy.slug} packs or evicts from {first:,} tokens on, and thinking and answer take at "
                f"most {tokens:,}: after prompts of up to {first - tokens - 1:,} tokens its rows equal full",
            )


def cost_lines(config: RunConfig, costs: Sequence[Estimate]) -> Iterator[Line]:
    """GPU-hours, money and wall time of the remaining work, for each kind of GPU that is used."""
    pools = config.cluster.pools
    by_pool = [(pool, hours_on(pool, costs)) for pool in pools]
    for pool, hours in by_pool:
        if hours or len(pools) == 1:
            yield Line("cost", pool_cost(pool, hours))
    if len(pools) > 1:
        yield Line("", "each engine is counted on the kind of GPU on which its tokens are cheapest")
    slowness = sorted(cost.slowness for cost in costs)[len(costs) // 2]
    corrected = (
        f"corrected by {slowness:.2g}, the slowness measured so far"
        if slowness != 1
        else "not corrected, since nothing has been measured yet"
    )
    yield Line(
        "",
        f"times come from a roofline model at {BANDWIDTH_EFFICIENCY:.0%} of the bandwidth and "
        f"{FLOPS_EFFICIENCY:.0%} of the FLOPs, {corrected}; prices come from cluster.gpu",
    )


def hours_on(pool: Pool, costs: Iterable[Estimate]) -> float:
    """GPU-hours of the remaining work on the pool."""
    theirs = (cost for cost in costs if cost.placement and cost.placement.gpu == pool.gpu)
    return sum(cost.gpu_hours(cost.to_do) or 0.0 for cost in theirs)


def pool_cost(pool: Pool, hours: float) -> str:
    gpu = pool.gpu
    text = f"{gpu.name}: {human_hours(hours)} GPU-hours"
    if gpu.usd_per_hour:
        text += f", {human_usd(hours * gpu.usd_per_hour)} at ${gpu.usd_per_hour:g} per hour"
    if pool.gpus is None:
        return text
    wall_hours = hours / pool.gpus
    days = f" ({wall_hours / 24:,.0f} days)" if wall_hours > LONG_HOURS else ""
    busy = "the GPU is" if pool.gpus == 1 else f"{pool.gpus:,} GPUs are"
    return f"{text}; {human_hours(wall_hours)} hours{days} if {busy} always busy"


def engines_table(config: RunConfig, costs: Sequence[Estimate], width: int = WIDTH) -> Table:
    """Memory, GPUs and cost in at most MOST_ROWS rows: of engines, precisions of a model, or models.

    width  columns of the terminal; a name that is too long for them is cut in its middle
    """
    lengths, several = run_lengths(config), len(config.cluster.pools) > 1
    groups, over = grouped(costs)
    title = (
        "per engine: memory of the weights and of the KV cache of a sequence of "
        f"{lengths.row:,} tokens, GPUs per actor, sequences per batch, and the GPU-hours that remain"
    )
    if over:
        title += f"; ranges are over {over}, and engines.parquet has each engine"
    if len(groups) > MOST_ROWS:
        title += f"; the first {MOST_ROWS} of {len(groups):,}, and engines.parquet has all"
    names = ["engine", "weights", "KV", *(["GPU kind"] if several else [])]
    names += ["GPUs", "batch", "hours", "USD"]
    table = empty_table(Text(title), names, words=("engine", "GPU kind"))
    rows = [
        [
            *bytes_cells(group, lengths),
            *([on_kinds(group)] if several else []),
            *place_cells(group),
            *cost_cells(group),
        ]
        for _, group in groups[:MOST_ROWS]
    ]
    cells = [max(map(len, column)) for column in zip(names[1:], *rows, strict=True)]
    room = width - sum(cells) - len(names) - 1
    for (name, _), row in zip(groups, rows, strict=False):
        table.add_row(*(Text(cell) for cell in [cut(name, room), *row]))
    return table


# What a row of the table of engines may stand for, and what its ranges are then over.
GROUPS: tuple[tuple[str, Callable[[EngineSpec], str]], ...] = (
    ("", lambda engine: engine.engine_id),
    ("KV policies", lambda engine: f"{engine.model.name}.{engine.weights.slug}"),
    ("precisions and KV policies", lambda engine: engine.model.name),
)


def grouped(costs: Sequence[Estimate]) -> tuple[list[tuple[str, list[Estimate]]], str]:
    """The table's rows, of the finest kind that has few enough, and what their ranges are over."""
    found = [(_groups(costs, name_of), over) for over, name_of in GROUPS]
    return next((one for one in found if len(one[0]) <= MOST_ROWS), found[-1])


def _groups(
    costs: Sequence[Estimate], name_of: Callable[[EngineSpec], str]
) -> list[tuple[str, list[Estimate]]]:
    groups: dict[str, list[Estimate]] = defaultdict(list)
    for cost in costs:
        groups[name_of(cost.engine)].append(cost)
    return list(groups.items())


def bytes_cells(group: Sequence[Estimate], lengths: Lengths) -> tuple[str, str]:
    a = group[0].engine.model.architecture
    tokens = lengths.within(a).row
    peaks = [kv_peak_bytes(a, cost.engine.kv_policy, tokens) for cost in group]
    weights = [weights_bytes(cost.engine.model, cost.engine.weights) for cost in group]
    return span(weights, human_bytes), span(peaks, human_bytes)


def on_kinds(group: Iterable[Estimate]) -> str:
    names = {cost.placement.gpu.name for cost in group if cost.placement and cost.placement.gpu}
    return ", ".join(sorted(names)) or "none"


def place_cells(group: Sequence[Estimate]) -> tuple[str, str]:
    fits = [cost.placement.fit for cost in group if cost.placement]
    unplaced = len(group) - len(fits)
    gpus = [span([fit.gpus for fit in fits], lambda count: f"{count:g}")] if fits else []
    if unplaced:
        gpus.append("none" if len(group) == 1 else f"{unplaced} none")
    return ", ".join(gpus), span([fit.rows for fit in fits], lambda count: f"{count:,.0f}")


def cost_cells(group: Iterable[Estimate]) -> tuple[str, str]:
    hours = usd = 0.0
    for cost in group:
        if cost.placement and cost.placement.gpu:
            needed = cost.gpu_hours(cost.to_do) or 0.0
            hours, usd = hours + needed, usd + needed * cost.placement.gpu.usd_per_hour
    return (human_hours(hours), human_usd(usd)) if hours else ("", "")
