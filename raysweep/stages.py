"""The stages of a run, in order: each reads files of the run's folder and writes files there.

    plan -> prepare -> (regrade ->) generate -> reduce -> report (-> recommend)

and `show`, which prints what a model is asked and touches no file.

A stage takes nothing from the one before but what it wrote, so any of them may be run alone, later:
generate and reduce start from the parts that lie in the folder, whatever an earlier plan said.
"""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from raysweep import grading
from raysweep.backends import check_installed
from raysweep.checkpoints import is_there, makings, ready_shards
from raysweep.configuration.cluster import known_gpus
from raysweep.configuration.config import conf_folder
from raysweep.errors import ConfigError, shown
from raysweep.estimate import estimates, has_known_gpus
from raysweep.fit import check_fit
from raysweep.plan import make_plan
from raysweep.record import (
    Document,
    add_to_summary,
    claim_folder,
    note_origin,
    note_session,
    origin,
)
from raysweep.regrade import check_graders, regrade_run
from raysweep.run_config import RunConfig
from raysweep.store import Store
from raysweep.workers import Workers

DONE, WORK_REMAINS = 0, 3  # exit statuses
SAMPLE_STAGES = {"plan", "generate", "reduce"}  # those that look at parts
MOST_NAMED = 3  # incomplete engines that are named
RED = "red"


@dataclass(frozen=True)
class Run:
    """What every stage is given."""

    config: RunConfig
    document: Document
    store: Store
    console: Console

    def say(self, label: str, text: str, style: str = "bold") -> None:
        """Print a line in literal text: ids, paths and reasons are not ours, and no markup."""
        line = Text.assemble((f"{label:<10}", style), text)
        self.console.print(line, soft_wrap=True)


def run_stages(config: RunConfig, document: Document) -> int:
    """Run the configured stages; the exit status.

    Raises ConfigError where the folder holds another run, or lacks what a stage reads.
    """
    store = Store(f"{config.out.rstrip('/')}/{config.run}")
    run = Run(config, document, store, Console(file=sys.stdout))
    if config.stages != ("show",):
        claim_folder(store, config, document)
    if SAMPLE_STAGES & set(config.stages):
        for path in store.set_damaged_aside():
            run.say(
                "damaged",
                f"{path} cannot be read: set aside, its samples are to be made again",
                RED,
            )
    status = DONE
    for stage in config.stages:
        status = max(status, STAGES[stage](run))
    return status


def show(run: Run) -> int:
    """What a model is asked, and how it is made to answer."""
    from raysweep.show import shown_question

    for line in shown_question(run.config):
        run.console.out(line, highlight=False)
    return DONE


def plan(run: Run) -> int:
    """What is to do, what it costs, and what is done already."""
    from raysweep.plan_files import write_plan
    from raysweep.reporting.plan_text import engines_table, plan_lines

    planned = write_plan(run.config, run.store)
    costs = estimates(run.config, planned)
    homeless = any(cost.placement is None for cost in costs)
    known = known_gpus([conf_folder()]) if homeless else ()
    for line in plan_lines(run.config, planned, costs, known):
        run.say(line.label, line.text, RED if line.urgent else "bold")
    if has_known_gpus(run.config.cluster):
        run.console.print(engines_table(run.config, costs))
    return DONE


def prepare(run: Run) -> int:
    """Quantise what nobody has quantised yet, on Ray."""
    wanted = tuple(makings(run.config))
    missing = tuple(making for making in wanted if not is_there(making.checkpoint))
    if not missing:
        if wanted:
            run.say("prepare", f"nothing to do: all {len(wanted)} checkpoints are there")
        return DONE
    from raysweep.prepare import Made
    from raysweep.prepare import prepare as make

    def ended(made: Made) -> None:
        name = f"{made.making.recipe.weights.slug} of {made.making.recipe.model.name}"
        if made.failure:
            run.say("failed", f"{name}: {made.failure}", style=RED)
        else:
            run.say("prepared", f"{name}: {made.making.checkpoint.path}")

    run.say("prepare", f"{len(missing)} of {len(wanted)} checkpoints to quantise, starting Ray")
    with run.console.status("quantising"):
        outcomes = make(missing, run.config.cluster, ended)
    return WORK_REMAINS if any(made.failure for made in outcomes) else DONE


def regrade(run: Run) -> int:
    """Grade the stored answers again, by the graders of the configuration as they are now."""
    with Workers(os.cpu_count() or 1) as workers:
        changes = regrade_run(run.config, run.store, workers)
    for name, found in changes.items():
        run.say("regrade", f"{name}: {found.answers:,} answers, {found.reread:,} read otherwise")
        for change, count in sorted(found.outcomes.items()):
            run.say("", f"{count:,} {change}")
    return DONE


def generate(run: Run) -> int:
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
    from raysweep import driver
    from raysweep.progress import show_progress

    def ended(outcome: driver.Outcome) -> None:
        gpus = outcome.actors * (config.cluster.gpus_per_actor or 0)
        note_session(run.store, outcome.wall_s, gpus, outcome.faults, outcome.warnings)

    check_installed({shard.engine.backend for shard in shards}, config.cluster)
    run.store.remove_leftovers()
    note_origin(run.store, run.document)
    run.say("generate", "starting Ray")
    with show_progress(run.console, len(shards), sum(s.samples for s in shards)) as finished:
        outcome = driver.generate(
            shards, run.store.root, config.generation, config.cluster, finished, ended
        )
    for warning in outcome.warnings:
        run.say("warning", warning, style="yellow")
    for failure in outcome.failures:
        said = f"shard {failure.shard_id} of {failure.engine_id}: {failure.reason}"
        run.say("failed", said, style=RED)
    if outcome.failures:
        remain = f"{len(outcome.failures):,} of {len(shards):,} shards remain"
        run.say("", f"{remain}; the same command goes on with them")
    return WORK_REMAINS if outcome.failures or waiting else DONE


def check_grading(config: RunConfig) -> None:
    """Raise ConfigError before there is an answer that could not be graded."""
    with Workers(os.cpu_count() or 1) as workers:
        for index, benchmark in enumerate(config.sweep.benchmarks):
            field = f"sweep.benchmarks[{index}].grader"
            if config.cluster.address == "local":  # elsewhere it is the actors' machines that grade
                grading.GRADERS[benchmark.grader].check_place(field)
            if question := grading.ungradable_gold(benchmark, workers):
                raise ConfigError(
                    f"{field}: {benchmark.grader!r} cannot read the gold answer {shown(question.gold)} of "
                    f"{question.question_id}; correct it, or choose another grader"
                )


def reduce(run: Run) -> int:
    """Samples to scenarios and frontiers."""
    from raysweep.reduce import reduce_run

    check_graders(run.config, run.store.parts())
    summary = reduce_run(run.config, run.store).summary
    graders = {b.name: grading.tag(b.grader) for b in run.config.sweep.benchmarks}
    add_to_summary(run.store, {**origin(run.store, run.config), "graders": graders})
    run.say("reduce", f"{summary['scenarios']:,} scenarios from {summary['samples']:,} samples")
    for path in summary["parts_set_aside"]:
        run.say("damaged", f"{path}: set aside, its samples are to be made again", RED)
    if not summary["shards_missing"]:
        return DONE
    run.say(
        "",
        f"{summary['shards_missing']:,} of {summary['shards']:,} shards are missing, so "
        f"{summary['scenarios_skipped']:,} scenarios could not be computed for lack of samples; "
        "the stage generate makes them",
    )
    run.say("", _incomplete(summary["incomplete"]))
    return WORK_REMAINS


def _incomplete(missing: Mapping[str, int]) -> str:
    """The first few engines that lack samples, and how many do."""
    named = [f"{name} ({count:,} samples)" for name, count in list(missing.items())[:MOST_NAMED]]
    others = len(missing) - len(named)
    return "incomplete: " + ", ".join(named) + (f" and {others:,} others" if others else "")


def report(run: Run) -> int:
    """The page, the figures, and the frontier in the terminal."""
    from raysweep.reporting.page import write_report
    from raysweep.reporting.terminal import frontier_table

    need(run, "scores.parquet", "reduce")
    path = write_report(run.store)
    frontier = run.store.read_table("frontier.parquet").to_pandas()
    for benchmark in run.config.sweep.benchmarks:
        run.console.print(frontier_table(frontier, benchmark.name, run.config.sweep.batch_sizes[0]))
    run.say("report", path)
    return DONE


def recommend(run: Run) -> int:
    """The best configuration for a memory, in words and as recommendation.json."""
    from raysweep.recommendation import answers, write_recommendations

    need(run, "scores.parquet", "reduce")
    found = answers(run.config, run.store)
    for answer in found:
        run.console.print(answer.text(), soft_wrap=True, highlight=False)
    run.say("recommend", write_recommendations(found, run.store))
    return DONE


def need(run: Run, name: str, stage: str) -> None:
    if not run.store.exists(name):
        raise ConfigError(
            f"stages: {run.store.path(name)} is not there; run the stage {stage!r} first"
        )


STAGES: dict[str, Callable[[Run], int]] = {
    "show": show,
    "plan": plan,
    "prepare": prepare,
    "regrade": regrade,
    "generate": generate,
    "reduce": reduce,
    "report": report,
    "recommend": recommend,
}
