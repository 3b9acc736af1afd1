"""The stage verify: tell what is wrong with a run's folder, and move it aside if the user asks for that."""

from collections.abc import Callable, Sequence

from rich.console import Console
from rich.progress import track

from raysweep.run_config import RunConfig
from raysweep.stages.context import DONE, WORK_REMAINS, Context
from raysweep.storage.store import Store
from raysweep.upkeep.verify import Problem, check_doubles, check_parts, check_tables


def run_stage(run: Context) -> int:
    """Whether everything in the folder is as it was written."""
    whole = verify_run(run.config, run.store, run.console, run.say)
    run.folder.forget()
    return DONE if whole else WORK_REMAINS


Say = Callable[[str, str, str], None]  # a label, a text, a style

PLAIN, RED = "bold", "red"
REMAKING = {"generate", "reduce"}  # the stages that make anew what was moved aside


def verify_run(config: RunConfig, store: Store, console: Console, say: Say) -> bool:
    """Whether nothing is wrong, or nothing will be once the stages after this one have run."""
    names = store.part_names()
    reading = check_parts(config, store, names)
    checked = list(track(reading, "verify", len(names), console=console))
    problems = [problem for one in checked for problem in one.problems]
    problems += check_doubles(config, (one.part for one in checked if one.part))
    problems += check_tables(store)
    rows, unsealed = sum(one.rows for one in checked), sum(not one.sealed for one in checked)
    wrong = f"{len(problems):,} things wrong" if problems else "nothing wrong"
    say("verify", f"{rows:,} samples in {len(names):,} parts read: {wrong}", PLAIN)
    if unsealed:
        say("", f"{unsealed:,} parts have no seal, so that in these only pages are checked", PLAIN)
    for problem in problems:
        say("wrong", f"{store.path(problem.name)}: {problem.text}", RED)
    return not problems or _mended(config, store, problems, say)


def _mended(config: RunConfig, store: Store, problems: Sequence[Problem], say: Say) -> bool:
    """Move aside what can be made anew; whether this very run does so, and nothing is left."""
    mended = sorted({problem.name for problem in problems if problem.mended})
    if not config.verify.repair:
        say("", f"verify.repair=true moves {len(mended):,} files aside, to be made anew", PLAIN)
        return False
    for name in mended:
        say("aside", store.set_aside(name), PLAIN)
    return all(problem.mended for problem in problems) and set(config.stages) >= REMAKING
