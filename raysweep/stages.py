"""The stages of a run, in order: each reads files of the run's folder and writes files there.

    plan -> generate -> reduce -> report, recommend

A stage takes nothing from the one before but what it wrote, so any of them may be run alone, later:
generate and reduce start from the parts that lie in the folder, whatever an earlier plan said.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from raysweep.errors import ConfigError
from raysweep.plan import Plan, make_plan, write_plan
from raysweep.record import (
    Document,
    add_to_summary,
    claim_folder,
    note_origin,
    note_session,
    origin,
)
from raysweep.reporting.wording import human_count
from raysweep.spec import RunConfig
from raysweep.store import Store

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


def plan(run: Run) -> int:
    """What is to do, and what is done already."""
    show_plan(run, write_plan(run.config, run.store))
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
        f"≤ {human_count(tokens)} tokens to do",
    )


def generate(run: Run) -> int:
    """Make the missing samples on Ray actors."""
    config = run.config
    shards = make_plan(config, run.store.parts()).to_do
    if not shards:
        run.say("generate", "nothing to do: every shard is there")
        return DONE
    from raysweep import driver
    from raysweep.progress import show_progress

    def ended(outcome: driver.Outcome) -> None:
        gpus = outcome.actors * config.cluster.gpus_per_actor
        note_session(run.store, outcome.wall_s, gpus, outcome.faults)

    run.store.remove_leftovers()
    note_origin(run.store, run.document)
    run.say("generate", "starting Ray")
    with show_progress(run.console, len(shards), sum(s.samples for s in shards)) as finished:
        outcome = driver.generate(
            shards, run.store.root, config.generation, config.cluster, finished, ended
        )
    for failure in outcome.failures:
        said = f"shard {failure.shard_id} of {failure.engine_id}: {failure.reason}"
        run.say("failed", said, style=RED)
    if outcome.failures:
        remain = f"{len(outcome.failures):,} of {len(shards):,} shards remain"
        run.say("", f"{remain}; the same command goes on with them")
        return WORK_REMAINS
    return DONE


def reduce(run: Run) -> int:
    """Samples to scenarios and frontiers."""
    from raysweep.reduce import reduce_run

    summary = reduce_run(run.config, run.store).summary
    add_to_summary(run.store, origin(run.store, run.config))
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
    "plan": plan,
    "generate": generate,
    "reduce": reduce,
    "report": report,
    "recommend": recommend,
}
