"""The stage generate: make the missing samples on Ray actors."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from raysweep.checkpoints.engine_files import ready_shards
from raysweep.configuration.prompts import rendered_prompts, with_prompts
from raysweep.planning.backends import check_installed
from raysweep.planning.jobs import engines_of
from raysweep.planning.lengths import run_lengths
from raysweep.planning.loads import loads_of, noted_loads
from raysweep.planning.unfit import held
from raysweep.progress.sessions import note_killed_session, note_session
from raysweep.scheduling.loop import Event, Finished
from raysweep.scheduling.losses import Failure
from raysweep.scheduling.schedule import Schedule
from raysweep.shard import Shard
from raysweep.stages.compact import show_compacted
from raysweep.stages.context import RED, Context
from raysweep.stages.folder import note_origin
from raysweep.stages.grading_checks import check_golds, check_graders_work
from raysweep.stages.sampling import sampling_of
from raysweep.storage.summary import add_to_summary
from raysweep.system.exit_status import DONE, WORK_REMAINS
from raysweep.system.quantities import plural
from raysweep.upkeep.compacting import Compactor, Countdown, compactor_of, in_many_files
from raysweep.upkeep.growing import check_growing
from raysweep.upkeep.regrade import check_graders

if TYPE_CHECKING:
    from raysweep.adaptive.sampling import FolderSampling
    from raysweep.driver.generate import Outcome


def run_stage(run: Context) -> int:
    """Make the missing samples on Ray actors."""
    run.folder.look()  # Another command may have set a part aside while checkpoints were made.
    check_graders(run.config, run.folder.parts)
    if run.config.sweep.adaptive is None:
        return _generate(run, None)
    with sampling_of(run) as sampling:
        sampling.begin()
        return _generate(run, sampling)


def _generate(run: Context, sampling: "FolderSampling | None") -> int:
    """Make what is missing: all of it, or what the rounds of an adaptive run want."""
    config = run.config
    parts, planned = run.folder.parts, run.folder.plan
    shards = sampling.coming() if sampling else planned.to_do
    prompts = rendered_prompts(config, shards, fetch=True)
    if shards:
        check_growing(config, parts, prompts)
        check_graders_work(config)
        if "plan" not in config.stages:  # which has checked them
            check_golds(config)
    else:
        run.say("generate", "nothing to do: every shard is finished")
        with compactor_of(config, run.store, parts) as compactor:
            _compact(run, compactor, run.folder.copied)
        return DONE
    lengths = run_lengths(config)
    shards, unfit = held(config, shards, lengths, run.known_gpus)
    show_unfit(run, unfit)
    if sampling is not None:
        sampling.rendered = lambda them: with_prompts(ready_shards(config, them)[0], prompts)
        sampling.leave_out({engine.engine_id for engine in engines_of(unfit)})
    shards, waiting = ready_shards(config, shards)
    if waiting:
        run.say(
            "",
            f"{plural(len(waiting), 'shard')} cannot run before the stage prepare makes their checkpoints",
            RED,
        )
    if not shards:
        return WORK_REMAINS
    from raysweep.driver.generate import Outcome
    from raysweep.driver.generate import generate as make
    from raysweep.progress.watch import watching

    def ended(done: Outcome) -> None:
        note_session(run.store, done.wall_s, done.gpu_s, done.faults, done.warnings, done.loads)
        add_to_summary(run.store, quarantined(done.failures))

    check_installed({shard.engine.backend for shard in shards}, config.cluster)
    run.store.remove_leftovers()
    note_killed_session(run.store)
    note_origin(run.store, run.document)
    run.say("generate", "starting Ray")
    samples = 0 if sampling else sum(shard.samples for shard in shards)
    with compactor_of(config, run.store, parts, planned.to_do) as compactor:
        with watching(run.store, run.console, samples) as watch:
            countdown = Countdown(planned.to_do, compactor)

            def hear(schedule: Schedule, event: Event | None) -> None:
                watch(schedule, event)
                if isinstance(event, Finished) and sampling is None:
                    countdown.finished(event.task.shard)

            outcome = make(
                with_prompts(shards, prompts),
                run.store,
                config,
                lengths,
                watch=hear,
                ended=ended,
                parts=parts,
                tell=lambda line: run.say("refused", line, RED),
                loads=loads_of(noted_loads(run.store), planned.engines),
                sampling=sampling,
            )
        done = sampling is None or sampling.rounds.done
        _compact(run, compactor, _done(run) if done else set())
    show_unfit(run, outcome.unfit)
    planned = run.folder.plan
    whole = outcome.shards + len(planned.to_do) if sampling else len(shards)
    show_outcome(run, outcome, whole)
    remains = outcome.failures or outcome.left or outcome.unfit or unfit or waiting
    if sampling is not None:
        remains = remains or planned.to_do or not sampling.rounds.done
    return WORK_REMAINS if remains else DONE


def _done(run: Context) -> set[str]:
    """The engines for which the plan has nothing left, and which have parts in many files."""
    run.folder.look()
    left = {shard.engine.engine_id for shard in run.folder.plan.to_do}
    return (in_many_files(run.folder.parts) | run.folder.copied) - left


def _compact(run: Context, compactor: Compactor, engine_ids: Iterable[str]) -> None:
    for engine_id in sorted(engine_ids):
        compactor.compact(engine_id)
    show_compacted(run, compactor)


def show_unfit(run: Context, unfit: Sequence[Shard]) -> None:
    """Print which shards are skipped, since their engines fit on no GPU of the cluster."""
    if not unfit:
        return
    engines = [engine.engine_id for engine in engines_of(unfit)]
    named = ", ".join([*engines[:MOST_ENGINES], *(["…"] if len(engines) > MOST_ENGINES else [])])
    run.say(
        "skipped",
        f"{plural(len(unfit), 'shard')} of {plural(len(engines), 'engine')} that no node of the cluster "
        f"holds: {named}; the same command on larger GPUs makes them",
        RED,
    )


def show_outcome(run: Context, outcome: "Outcome", shards: int) -> None:
    """Print warnings, and which shards failed or were never started."""
    for warning in outcome.warnings:
        run.say("warning", warning, style="yellow")
    for label, text in lines(outcome.failures):
        run.say(label, text, style=RED)
    if outcome.left:
        why = outcome.stopped or "no node had capacity for their engine"
        run.say("", f"{plural(outcome.left, 'sample')} never started: {why}", RED)
    elif outcome.stopped:
        run.say("stopped", outcome.stopped, RED)
    if outcome.failures or outcome.left:
        run.say("", f"some of {shards:,} shards remain; repeat the same command to continue")


# At most this many skipped engines are named.
MOST_ENGINES = 4

# Failures are printed in this many lines at most.
MOST_LINES = 8

# summary.json names this many quarantined questions at most.
MOST_NOTED = 100


def lines(failures: Iterable[Failure]) -> Iterator[tuple[str, str]]:
    """A line of (label, text) per engine and reason, those with most shards first, the rest in one line."""
    groups: dict[tuple[str, str, str, str | None], int] = defaultdict(int)
    for failure in failures:
        groups[failure.engine_id, failure.benchmark, failure.reason, failure.question_id] += 1
    ordered = sorted(groups.items(), key=lambda group: -group[1])
    for (engine_id, benchmark, reason, question), count in ordered[:MOST_LINES]:
        label = "given up" if question else "failed"
        yield label, f"{plural(count, 'shard')} of {engine_id} on {benchmark}: {reason}"
    if rest := [count for _, count in ordered[MOST_LINES:]]:
        yield "failed", f"{sum(rest):,} more shards, for {plural(len(rest), 'other reason')}"


def quarantined(failures: Iterable[Failure]) -> dict[str, Any]:
    """The entry of summary.json on questions that were given up: how many, and the first of them."""
    found: Sequence[tuple[str, str, str]] = sorted(
        {(f.engine_id, f.benchmark, f.question_id) for f in failures if f.question_id}
    )
    names = ("engine_id", "benchmark", "question_id")
    noted = [dict(zip(names, one, strict=True)) for one in found[:MOST_NOTED]]
    return {"quarantined_questions": len(found), "quarantined": noted}
