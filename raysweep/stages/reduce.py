"""The stage reduce: from samples to scenarios and frontiers."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from raysweep import grading
from raysweep.driver.reduce_tasks import reduce_partitions
from raysweep.planning.plan import PlannedShard
from raysweep.planning.plan_tables import described
from raysweep.reducing.partitions import Partition
from raysweep.reducing.reduce import VERSION, Reduction, write_results
from raysweep.reducing.stored_votes import counted_as
from raysweep.reporting.adaptive_text import adaptive_lines
from raysweep.spec import EngineSpec
from raysweep.stages.context import RED, Context
from raysweep.stages.folder import origin
from raysweep.stages.folder_view import FolderView
from raysweep.stages.savings import adaptive_summary, stopping_of
from raysweep.storage.reductions import summary_if_current
from raysweep.storage.schemas import SCHEMA_VERSION
from raysweep.storage.store import Store
from raysweep.storage.summary import add_to_summary
from raysweep.system.content import content_hash
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
    summary = summary_of(run.folder)
    adaptive = adaptive_summary(run.folder)
    graders = {b.name: grading.tag(b.grader) for b in run.config.sweep.benchmarks}
    add_to_summary(run.store, {**adaptive, **origin(run.store, run.config), "graders": graders})
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


def summary_of(folder: FolderView) -> Mapping[str, Any]:
    """What summary.json says of the samples that the folder holds. They are reduced if anything is new."""
    folder.write_plan()
    versions = versions_of_parts(folder.store)
    names = follows_from(folder, partitions(folder, versions), versions)
    return summary_if_current(folder.store, names) or reduce_folder(folder).summary


def reduce_folder(folder: FolderView) -> Reduction:
    """Reduce the samples that the folder holds, and write plan and results."""
    config, store = folder.config, folder.store
    folder.write_plan()
    versions = versions_of_parts(store)
    wanted = partitions(folder, versions)
    reduced = reduce_partitions(wanted, config.sweep, store, config.cluster)
    names = follows_from(folder, wanted, versions)
    if any(one.set_aside for one in reduced):  # The shards of damaged parts are missing now.
        folder.look()
        folder.write_plan()
        names = ""
    return write_results(reduced, config.sweep, store, stopping_of(folder.rounds), names)


def versions_of_parts(store: Store) -> dict[str, str]:
    """The versions of all files of samples, by name.

    They are listed before samples are read. So a file that is rewritten meanwhile is read again next time.
    """
    found = store.folder.versions("samples")
    return {name: version for name, version in found.items() if name.endswith(".parquet")}


def follows_from(
    folder: FolderView, wanted: Sequence[Partition], versions: Mapping[str, str]
) -> str:
    """Hash of all that the results of these partitions follow from, and of the files of samples.

    Files that this run does not want count too, so that results are never older than the newest samples.
    """
    stopping, sweep = stopping_of(folder.rounds), folder.config.sweep
    stopped = [sorted(stopping.at.items()), sorted(stopping.wanted.items())]
    votes = [[one.rests_on, one.shards_missing, one.described] for one in wanted]
    return content_hash(
        VERSION,
        sorted(versions.items()),
        votes,
        [list(sweep.group_sizes), list(sweep.batch_sizes), sweep.forcing],
        [stopping.looks, stopped, stopping.memory_bytes, stopping.batch_size],
    )


def partitions(folder: FolderView, versions: Mapping[str, str]) -> list[Partition]:
    """One partition per engine and benchmark, with the finished shards of the plan."""
    config, planned = folder.config, folder.plan
    counted = {one.name: counted_as(one, config.sweep) for one in config.sweep.benchmarks}
    shards: dict[tuple[str, str], list[PlannedShard]] = defaultdict(list)
    for shard in planned.shards:
        shards[shard.engine_id, shard.benchmark].append(shard)
    return [
        _partition(engine, name, shards[engine.engine_id, name], versions, counted[name])
        for engine in planned.engines
        for name in counted
    ]


def _partition(
    engine: EngineSpec,
    benchmark: str,
    shards: Sequence[PlannedShard],
    versions: Mapping[str, str],
    counted: str,
) -> Partition:
    finished = {shard.place: shard.question_ids for shard in shards if shard.place}
    missing = len(shards) - len(finished)
    read = [
        (*place, versions.get(place.file, ""), question_ids)
        for place, question_ids in finished.items()
    ]
    known = all(version for _, _, version, _ in read)
    rests_on = content_hash(engine.engine_id, counted, read) if known else ""
    return Partition(engine, benchmark, described(engine), finished, missing, rests_on)
