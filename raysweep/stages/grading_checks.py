"""Whether the answers to come can be graded: by the graders on this machine, against these gold answers."""

import os

from raysweep import grading
from raysweep.errors import ConfigError, shown
from raysweep.run_config import RunConfig
from raysweep.system.workers import Workers


def check_graders_work(config: RunConfig) -> None:
    """Raise ConfigError if a grader does not work here, unless the actors' machines do the grading."""
    if config.cluster.address != "local":
        return
    with Workers(os.cpu_count() or 1) as workers:
        for index, benchmark in enumerate(config.sweep.benchmarks):
            grading.check_works(benchmark.grader, f"sweep.benchmarks[{index}].grader", workers)


def check_golds(config: RunConfig) -> None:
    """Raise ConfigError for a gold answer that the grader does not credit when a text states it plainly."""
    with Workers(os.cpu_count() or 1) as workers:
        for index, benchmark in enumerate(config.sweep.benchmarks):
            if benchmark.stands_in:
                continue
            if question := grading.ungradable_gold(benchmark, workers):
                raise ConfigError(
                    f"sweep.benchmarks[{index}].grader: {benchmark.grader!r} cannot read the gold "
                    f"answer {shown(question.gold)} of {question.question_id}; correct the answer, or "
                    "choose another grader"
                )
