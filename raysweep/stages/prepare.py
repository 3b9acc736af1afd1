"""The stage prepare: make the missing quantised checkpoints, on Ray.

Published calibration texts are fetched and read here, if a checkpoint is missing or if a benchmark has not
been compared with them. Their file must have the SHA-256 with which it was first fetched.
"""

from collections.abc import Sequence

from raysweep.checkpoints.engine_files import Making, is_there, makings
from raysweep.checkpoints.overlap import check_no_test_question
from raysweep.checkpoints.published_texts import fetched_documents
from raysweep.checkpoints.records import TextsRecord, read_texts, write_texts
from raysweep.errors import ConfigError
from raysweep.planning.lengths import run_lengths
from raysweep.planning.unfit import unfit_engines, unused_checkpoints
from raysweep.progress.quantising import show_layers
from raysweep.recipe import Document, PublishedTexts
from raysweep.stages.context import RED, Context
from raysweep.system.exit_status import DONE, WORK_REMAINS
from raysweep.system.sigterm import Terminated


def run_stage(run: Context) -> int:
    """Make the missing quantised checkpoints, on Ray."""
    engines = run.folder.plan.engines
    unfit = unfit_engines(run.config, engines, run_lengths(run.config))
    unused = unused_checkpoints(run.config, engines, unfit)
    wanted = tuple(one for one in makings(run.config) if one.checkpoint not in unused)
    missing = tuple(making for making in wanted if not is_there(making.checkpoint))
    documents = checked_documents(run, missing) if wanted else None
    if not missing:
        if wanted:
            run.say("prepare", f"nothing to do: {len(wanted)} of {len(wanted)} checkpoints exist")
        return DONE
    from raysweep.driver.prepare import Made
    from raysweep.driver.prepare import prepare as make

    def ended(made: Made) -> None:
        if made.failure:
            run.say("failed", f"{_named(made.making)}: {made.failure}", style=RED)
        else:
            run.say("prepared", f"{_named(made.making)}: {made.making.checkpoint.path}")

    run.say("prepare", f"{len(missing)} of {len(wanted)} checkpoints are missing; starting Ray")
    try:
        with show_layers(run.console) as show:

            def tell(making: Making, done: int) -> None:
                show(_named(making), done, making.recipe.model.architecture.layers)

            folder = run.config.prepare.checkpoints
            outcomes = make(missing, folder, run.config.cluster, ended, tell, documents)
    except Terminated:
        run.say("stopped", "SIGTERM: checkpoints in work are dropped, finished ones stay", RED)
        raise
    return WORK_REMAINS if any(made.failure for made in outcomes) else DONE


def checked_documents(run: Context, missing: Sequence[Making]) -> tuple[Document, ...] | None:
    """The published calibration texts. None if there are none, or if nothing needs them.

    Raises ConfigError if they contain a test question, or if their file is not the one first fetched.
    """
    calibration, folder = run.config.prepare.calibration, run.config.prepare.checkpoints
    if calibration is None or calibration.published is None:
        return None
    place, texts = "prepare.calibration", calibration.published
    before = read_texts(folder, calibration)
    checked = before.checked if before else ()
    benchmarks = [one for one in run.config.sweep.benchmarks if one.asked not in checked]
    if not missing and not benchmarks:
        return None
    run.say("texts", f"drawing {texts.count:,} calibration texts from {texts.origin}")
    file, documents = fetched_documents(texts, calibration.tokens, place)
    if before and before.sha256 != file.sha256:
        raise changed_texts(place, texts, before, file.sha256)
    way_out = f"draw others: {place}={{name: {calibration.name}, seed: {texts.seed + 1}}}"
    for benchmark in benchmarks:
        check_no_test_question(documents, benchmark.questions, place, way_out)
    record = TextsRecord(texts.origin, file.sha256, (*checked, *(one.asked for one in benchmarks)))
    write_texts(folder, calibration, record)
    return documents


def changed_texts(
    place: str, texts: PublishedTexts, before: TextsRecord, sha256: str
) -> ConfigError:
    return ConfigError(
        f"{place}: {texts.origin} has the SHA-256 {sha256}, and checkpoints were made on the file with "
        f"{before.sha256}; fetch it again, or take another prepare.checkpoints"
    )


def _named(making: Making) -> str:
    return f"{making.recipe.weights.slug} of {making.recipe.model.name}"
