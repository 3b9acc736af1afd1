"""The stage verify: report what is wrong in a run's folder, and move it aside if the user asks for that."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import starmap

from rich.console import Console
from rich.progress import track

from raysweep.run_config import RunConfig
from raysweep.stages.context import Context
from raysweep.storage.rescue import rescued
from raysweep.storage.store import Store
from raysweep.system.exit_status import DONE, WORK_REMAINS
from raysweep.system.quantities import plural
from raysweep.upkeep.problems import Problem
from raysweep.upkeep.verify import check_doubles, check_parts, check_prompts
from raysweep.upkeep.verify_folder import check_folder_files, check_missing
from raysweep.upkeep.verify_index import check_index
from raysweep.upkeep.verify_tables import check_tables


def run_stage(run: Context) -> int:
    """Check everything in the folder, and print what is wrong."""
    whole = verify_run(run.config, run.store, run.console, run.say)
    run.folder.forget()
    return DONE if whole else WORK_REMAINS


# Prints a label and a text in a style.
Say = Callable[[str, str, str], None]

PLAIN, RED = "bold", "red"

# The stages that make again what was moved aside.
REMAKING = {"generate", "reduce"}


def verify_run(config: RunConfig, store: Store, console: Console, say: Say) -> bool:
    """Whether nothing is wrong, or nothing will be after the later stages of this command."""
    names = store.part_names()
    reading = check_parts(config, store, names)
    checked = list(track(reading, "verify", len(names), console=console))
    problems = [problem for one in checked for problem in one.problems]
    sound = [part for one in checked for part in one.parts]
    problems += [*check_doubles(sound), *check_prompts(sound)]
    if not problems:  # which would be why samples are missing
        problems += check_missing(config, store, sound)
    problems += [*check_tables(store), *check_folder_files(store, names)]
    parts = sum(one.held for one in checked)
    problems += starmap(Problem, check_index(store, sound))
    rows, unsealed = sum(one.rows for one in checked), sum(not one.sealed for one in checked)
    found = plural(len(problems), "problem") if problems else "no problem"
    say(
        "verify",
        f"{found} found in {plural(rows, 'sample')} of {plural(parts, 'part')}",
        PLAIN,
    )
    if unsealed:
        say("", f"{plural(unsealed, 'file')} without a seal: only their pages were checked", PLAIN)
    for problem in problems:
        say("wrong", f"{store.path(problem.name)}: {problem.text}", RED)
    return not problems or _mended(config, store, problems, say)


def _mended(config: RunConfig, store: Store, problems: Sequence[Problem], say: Say) -> bool:
    """Move aside what can be made again. Gives whether this command makes it again and nothing is left."""
    mended: dict[str, set[str]] = defaultdict(set)
    for problem in problems:
        if problem.mended:
            mended[problem.name].add(problem.shard_id)
    if not config.verify.repair:
        files = plural(len(mended), "file")
        say("", f"verify.repair=true moves {files} aside, so that they are made again", PLAIN)
        return False
    for name, shard_ids in sorted(mended.items()):
        say("aside", store.path(rescued(store, name, shard_ids)), PLAIN)
    return all(problem.mended for problem in problems) and set(config.stages) >= REMAKING
