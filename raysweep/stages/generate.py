"""The stage generate: make the missing samples on Ray actors."""

import os
from typing import TYPE_CHECKING

from raysweep import given_up, grading
from raysweep.backends import check_installed
from raysweep.checkpoints import ready_shards
from raysweep.configuration.cluster import known_gpus
from raysweep.configuration.config import conf_folder
from raysweep.errors import ConfigError, shown
from raysweep.fit import check_fit
from raysweep.plan import make_plan
from raysweep.record import add_to_summary, note_killed_session, note_origin, note_session
from raysweep.regrade import check_graders
from raysweep.run_config import RunConfig
from raysweep.stages.run import DONE, RED, WORK_REMAINS, Run
from raysweep.workers import Workers

if TYPE_CHECKING:
    from raysweep.generating import Outcome


def run_stage(run: Run) -> int:
    """Make the missing samples on Ray actors."""
    config = run.config
    parts = tuple(run.store.parts())
    check_graders(config, parts)
    planned = make_plan(config, parts)
    shards = planned.to_do
    if shards:
        check_grading(config)
    else:
        run.say("generate", "nothing to do: every shard is there")
        return DONE
    check_fit(config, planned.engines, known_gpus([conf_folder()]))
    shards, waiting = ready_shards(config, shards)
    if waiting:
        run.say(
            "",
            f"{len(waiting):,} shards wait for checkpoints, which the stage prepare makes",
            RED,
        )
    if not shards:
        return WORK_REMAINS
    from raysweep.generating import Outcome
    from raysweep.generating import generate as make
    from raysweep.watching import watching

    def ended(done: Outcome) -> None:
        note_session(run.store, done.wall_s, done.gpu_s, done.faults, done.warnings)
        add_to_summary(run.store, given_up.quarantined(done.failures))

    check_installed({shard.engine.backend for shard in shards}, config.cluster)
    run.store.remove_leftovers()
    note_killed_session(run.store)
    note_origin(run.store, run.document)
    run.say("generate", "starting Ray")
    with watching(run.store, run.console, shards) as watch:
        outcome = make(shards, run.store, config.generation, config.cluster, watch, ended, parts)
    show_outcome(run, outcome, len(shards))
    return WORK_REMAINS if outcome.failures or outcome.left or waiting else DONE


def show_outcome(run: Run, outcome: "Outcome", shards: int) -> None:
    """What went otherwise than planned."""
    for warning in outcome.warnings:
        run.say("warning", warning, style="yellow")
    for label, said in given_up.lines(outcome.failures):
        run.say(label, said, style=RED)
    if outcome.left:
        why = outcome.stopped or "no node had room for their engine"
        run.say("", f"{outcome.left:,} samples were not begun: {why}", RED)
    if outcome.failures or outcome.left:
        run.say("", f"of {shards:,} shards some remain; the same command goes on with them")


def check_grading(config: RunConfig) -> None:
    """Raise ConfigError before there is an answer that could not be graded."""
    with Workers(os.cpu_count() or 1) as workers:
        for index, benchmark in enumerate(config.sweep.benchmarks):
            field = f"sweep.benchmarks[{index}].grader"
            if config.cluster.address == "local":  # elsewhere it is the actors' machines that grade
                grading.load_grader(benchmark.grader).check_place(field)
            if question := grading.ungradable_gold(benchmark, workers):
                raise ConfigError(
                    f"{field}: {benchmark.grader!r} cannot read the gold answer {shown(question.gold)} of "
                    f"{question.question_id}; correct it, or choose another grader"
                )
