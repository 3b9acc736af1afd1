"""Whether the answers to come can be graded: by the graders on this machine, against these gold answers."""

import os

from raysweep import grading
from raysweep.errors import ConfigError
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
    """Raise ConfigError for a gold answer that the grader does not credit when a text states it plainly.

    Where the grader does not work on this machine, nothing is said of gold answers.
    """
    with Workers(os.cpu_count() or 1) as workers:
        for index, benchmark in enumerate(config.sweep.benchmarks):
            field = f"sweep.benchmarks[{index}].grader"
            if benchmark.stands_in or not grading.load_grader(benchmark.grader).stated:
                continue
            if _works(benchmark.grader, field, workers):
                grading.check_golds(benchmark, field, workers)


def _works(grader: str, field: str, workers: Workers) -> bool:
    try:
        grading.check_works(grader, field, workers)
    except ConfigError:
        return False
    return True
