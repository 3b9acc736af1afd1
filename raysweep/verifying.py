"""The stage verify: what is wrong with a run's folder is told, and moved aside if that is wished for."""

from collections.abc import Callable, Sequence

from rich.console import Console
from rich.progress import track

from raysweep.run_config import RunConfig
from raysweep.store import Store
from raysweep.verify import Finding, check_doubles, check_parts, check_tables

Say = Callable[[str, str, str], None]  # a label, a text, a style

PLAIN, RED = "bold", "red"
REMAKING = {"generate", "reduce"}  # the stages that make anew what was moved aside


def verify_run(config: RunConfig, store: Store, console: Console, say: Say) -> bool:
    """Whether nothing is wrong, or nothing will be once the stages after this one have run."""
    names = store.part_names()
    reading = check_parts(config, store, names)
    checked = list(track(reading, "verify", len(names), console=console))
    findings = [finding for one in checked for finding in one.findings]
    findings += check_doubles(config, (one.part for one in checked if one.part))
    findings += check_tables(store)
    rows, unsealed = sum(one.rows for one in checked), sum(not one.sealed for one in checked)
    wrong = f"{len(findings):,} things wrong" if findings else "nothing wrong"
    say("verify", f"{rows:,} samples in {len(names):,} parts read: {wrong}", PLAIN)
    if unsealed:
        say("", f"{unsealed:,} parts have no seal, so that in these only pages are checked", PLAIN)
    for finding in findings:
        say("wrong", f"{store.path(finding.name)}: {finding.problem}", RED)
    return not findings or _mended(config, store, findings, say)


def _mended(config: RunConfig, store: Store, findings: Sequence[Finding], say: Say) -> bool:
    """Move aside what can be made anew; whether this very run does so, and nothing is left."""
    mended = sorted({finding.name for finding in findings if finding.mended})
    if not config.verify.repair:
        say("", f"verify.repair=true moves {len(mended):,} files aside, to be made anew", PLAIN)
        return False
    for name in mended:
        say("aside", store.set_aside(name), PLAIN)
    return all(finding.mended for finding in findings) and set(config.stages) >= REMAKING
