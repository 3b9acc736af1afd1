"""The stages of a run, in order: each reads files of the run's folder and writes files there.

    plan -> prepare -> (regrade ->) generate -> reduce -> report (-> recommend)

and two that print and write no file: `show`, what a model is asked, and `status`, how far the run is.

A stage takes nothing from the one before but what it wrote, so any of them may be run alone, later:
generate and reduce start from the parts that lie in the folder, whatever an earlier plan said.
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from raysweep import grading
from raysweep.backends import Choice, check_installed
from raysweep.checkpoints import is_there, makings, ready_shards
from raysweep.errors import ConfigError, shown
from raysweep.fit import check_fit, row_tokens
from raysweep.lease import LeaseLost
from raysweep.plan import Plan, make_plan, write_plan
from raysweep.printing import printable, without_secrets
from raysweep.record import (
    Document,
    add_to_summary,
    check_folder,
    claim_folder,
    note_origin,
    note_session,
    origin,
)
from raysweep.regrade import check_graders, regrade_run
from raysweep.reporting.wording import human_count
from raysweep.run_config import RunConfig
from raysweep.storage.address import below
from raysweep.store import Store
from raysweep.taking_over import leased
from raysweep.workers import Workers

if TYPE_CHECKING:
    from raysweep.generating import Outcome

DONE, WORK_REMAINS = 0, 3  # exit statuses
SAMPLE_STAGES = {"status", "plan", "generate", "reduce"}  # those that look at parts
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
        line = Text.assemble((f"{label:<10}", style), printable(without_secrets(text)))
        self.console.print(line, soft_wrap=True)


def run_stages(config: RunConfig, document: Document) -> int:
    """Run the configured stages; the exit status.

    Raises ConfigError where the folder holds another run, or lacks what a stage reads.
    """
    store = Store(below(config.out, config.run))
    run = Run(config, document, store, Console(file=sys.stdout))
    if config.stages == ("show",):
        return show(run)
    check_folder(store, config)
    try:
        with leased(store.folder, drives(config), run.say) as lease:
            return _run_stages(replace(run, store=replace(store, lease=lease)))
    except LeaseLost as lost:
        run.say("stopped", str(lost), RED)
        return WORK_REMAINS


def drives(config: RunConfig) -> bool:
    """Whether the run writes or moves samples."""
    repairs = "verify" in config.stages and config.verify.repair
    return repairs or bool({"generate", "regrade"} & set(config.stages))


def _run_stages(run: Run) -> int:
    claim_folder(run.store, run.config, run.document)
    if SAMPLE_STAGES & set(run.config.stages):
        for path in run.store.set_damaged_aside():
            run.say(
                "damaged",
                f"{path} cannot be read: set aside, its samples are to be made again",
                RED,
            )
    status = DONE
    for stage in run.config.stages:
        status = max(status, STAGES[stage](run))
    return status


def show(run: Run) -> int:
    """What a model is asked, and how it is made to answer."""
    from raysweep.show import shown_question

    for line in shown_question(run.config):
        run.console.out(printable(line, lines=True), highlight=False)
    return DONE


def verify(run: Run) -> int:
    """Whether everything in the folder is as it was written."""
    from raysweep.verifying import verify_run

    whole = verify_run(run.config, run.store, run.console, run.say)
    return DONE if whole else WORK_REMAINS


def status(run: Run) -> int:
    """How far the run is, and what is missing."""
    from raysweep.status import lines, read_status

    found = read_status(run.config, run.store)
    for label, text in lines(found):
        run.say(label, text)
    return WORK_REMAINS if found.left else DONE


def plan(run: Run) -> int:
    """What is to do, and what is done already."""
    planned = write_plan(run.config, run.store)
    show_plan(run, planned)
    for pool in run.config.cluster.pools:
        from raysweep.reporting.terminal import fit_table

        run.console.print(fit_table(planned.engines, pool.gpu, row_tokens(run.config)))
    return DONE


def show_plan(run: Run, planned: Plan) -> None:
    sweep = run.config.sweep
    scenarios = len(planned.engines) * len(sweep.benchmarks)
    scenarios *= len(sweep.token_budgets) * len(sweep.group_sizes)
    tokens = sum(shard.est_tokens for shard in planned.shards if shard.shard is not None)
    run.say(
        "plan",
        f"{scenarios:,} scenarios from {len(planned.engines)} engines; "
        f"{len(planned.to_do):,} of {len(planned.shards):,} shards, "
        f"≤ {human_count(tokens)} tokens",
    )
    if sweep.backend == "auto":
        show_backends(run, planned.backends)


def show_backends(run: Run, choices: Sequence[Choice]) -> None:
    """Which backend runs how many engines, and why."""
    for backend in sorted({choice.backend for choice in choices}):
        theirs = [choice.reason for choice in choices if choice.backend == backend]
        reasons = "; ".join(dict.fromkeys(theirs))
        run.say("backend", f"{backend} for {len(theirs)} of {len(choices)} engines: {reasons}")


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
    check_fit(config, planned.engines)
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

    check_installed({shard.engine.backend for shard in shards}, config.cluster)
    run.store.remove_leftovers()
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
    for failure in outcome.failures:
        said = f"shard {failure.shard_id} of {failure.engine_id}: {failure.reason}"
        run.say("failed", said, style=RED)
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
    "verify": verify,
    "status": status,
    "plan": plan,
    "prepare": prepare,
    "regrade": regrade,
    "generate": generate,
    "reduce": reduce,
    "report": report,
    "recommend": recommend,
}
