"""The stage reduce: from samples to scenarios and frontiers."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from raysweep import grading
from raysweep.driver.reduce_tasks import reduce_partitions
from raysweep.planning.plan import Plan, PlannedShard
from raysweep.planning.plan_tables import described
from raysweep.reducing.partitions import Partition
from raysweep.reducing.reduce import Reduction, write_results
from raysweep.reporting.adaptive_text import adaptive_lines
from raysweep.run_config import RunConfig
from raysweep.spec import Benchmark, EngineSpec
from raysweep.stages.context import RED, Context
from raysweep.stages.folder import origin
from raysweep.stages.folder_view import FolderView
from raysweep.stages.savings import adaptive_summary, stopping_of
from raysweep.storage.schemas import SCHEMA_VERSION
from raysweep.storage.summary import add_to_summary
from raysweep.system.exit_status import DONE, WORK_REMAINS
from raysweep.upkeep.growing import check_one_prompt
from raysweep.upkeep.regrade import check_graders

# Names this many incomplete engines at most.
MOST_NAMED = 3


def run_stage(run: Context) -> int:
    """Reduce the samples, and print what is missing."""
    run.folder.look()  # Another command may have set a part aside in the meantime.
    check_graders(run.config, run.folder.parts)
    check_one_prompt(run.folder.parts)
    summary = reduce_folder(run.folder).summary
    adaptive = adaptive_summary(run.folder)
    add_to_summary(run.store, adaptive)
    graders = {b.name: grading.tag(b.grader) for b in run.config.sweep.benchmarks}
    add_to_summary(run.store, {**origin(run.store, run.config), "graders": graders})
    run.say("reduce", f"{summary['scenarios']:,} scenarios from {summary['samples']:,} samples")
    for path in summary["parts_set_aside"]:
        run.say(
            "damaged",
            f"{path} cannot be read; it was set aside, and its samples count as missing",
            RED,
        )
    if adaptive["adaptive"]:
        for line in adaptive_lines(adaptive["adaptive"]):
            run.say(line.label, line.text)
    if not summary["shards_missing"]:
        return WORK_REMAINS if undecided(run) else DONE
    run.say(
        "",
        f"{summary['shards_missing']:,} of {summary['shards']:,} shards are missing, so "
        f"{summary['scenarios_skipped']:,} scenarios could not be computed; {_way_out(run)}",
    )
    run.say("", _incomplete(summary["incomplete"]))
    return WORK_REMAINS


def undecided(run: Context) -> bool:
    """Whether an adaptive run has decisions to make, after which it may want more samples."""
    rounds = run.folder.rounds
    return rounds is not None and not rounds.done


def _way_out(run: Context) -> str:
    if any(part.version < SCHEMA_VERSION for part in run.folder.parts):
        return "another run=NAME can make them, since nothing is added to this older folder"
    return "the stage generate makes the missing samples"


def _incomplete(missing: Mapping[str, int]) -> str:
    """The first engines with missing samples, and the number of others."""
    named = [f"{name} ({count:,} samples)" for name, count in list(missing.items())[:MOST_NAMED]]
    others = len(missing) - len(named)
    return "incomplete: " + ", ".join(named) + (f" and {others:,} others" if others else "")


def reduce_folder(folder: FolderView) -> Reduction:
    """Reduce the samples that the folder holds, and write plan and results."""
    config, store = folder.config, folder.store
    folder.write_plan()
    wanted = partitions(config, folder.plan)
    reduced = reduce_partitions(wanted, config.sweep, store, config.cluster)
    if any(one.set_aside for one in reduced):  # The shards of damaged parts are missing now.
        folder.look()
        folder.write_plan()
    return write_results(reduced, config.sweep, store, stopping_of(folder.rounds))


def partitions(config: RunConfig, planned: Plan) -> list[Partition]:
    """One partition per engine and benchmark, with the finished shards of the plan."""
    shards: dict[tuple[str, str], list[PlannedShard]] = defaultdict(list)
    for shard in planned.shards:
        shards[shard.engine_id, shard.benchmark].append(shard)
    return [
        _partition(engine, benchmark, shards[engine.engine_id, benchmark.name])
        for engine in planned.engines
        for benchmark in config.sweep.benchmarks
    ]


def _partition(
    engine: EngineSpec, benchmark: Benchmark, shards: Sequence[PlannedShard]
) -> Partition:
    finished = {shard.place: shard.question_ids for shard in shards if shard.place}
    missing = len(shards) - len(finished)
    return Partition(engine, benchmark.name, described(engine), finished, missing)
