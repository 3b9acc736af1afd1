"""The rounds of an adaptive run for the stage generate, and a line for each decision."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from raysweep.adaptive.decisions import Look
from raysweep.adaptive.sampling import FolderSampling
from raysweep.grading.equivalence import Equivalence
from raysweep.stages.context import Context
from raysweep.system.quantities import plural
from raysweep.system.workers import Workers


@contextmanager
def sampling_of(run: Context) -> Iterator[FolderSampling]:
    """The rounds of the run in a context's folder, before any decision."""

    def show(look: Look) -> None:
        run.say("decided", decision(look))

    with Workers(os.cpu_count() or 1) as workers:
        yield FolderSampling(
            config=run.config,
            folder=run.folder,
            store=run.store,
            engines=run.folder.plan.grid,
            equivalence=Equivalence(workers),
            tell=lambda line: run.say("note", line),
            decides=show,
        )


def decision(look: Look) -> str:
    """A decision in a line."""
    out = plural(len({(one.place, one.batch_size) for one in look.out}), "configuration")
    return (
        f"{look.benchmark} after {plural(look.n, 'sample')} of each question: {out} out, "
        f"{plural(len(look.budgets), 'engine')} left"
    )
