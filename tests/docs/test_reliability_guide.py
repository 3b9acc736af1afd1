"""docs/reliability.md promises nothing without a test."""

import re
from pathlib import Path
from typing import get_args

from raysweep.scheduling.loss_kinds import LossKind

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "reliability.md"


def test_every_test_that_the_guide_names_exists():
    written = {
        name
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE)
    }
    named = set(re.findall(r"`(test_\w+)`", GUIDE.read_text()))
    assert len(named) > 15
    assert named <= written


def test_every_kind_of_loss_has_its_line():
    counted_as = re.findall(r"^\|.*\|.*\| ([^|]*) \| [^|]*\|$", GUIDE.read_text(), re.MULTILINE)
    named = {kind for cell in counted_as for kind in re.findall(r"`(\w+)`", cell)}
    assert named == set(get_args(LossKind))


def test_every_line_of_its_tables_names_a_test():
    promises, _, measured = GUIDE.read_text().partition("## What recovery costs")
    rows = [line for line in promises.splitlines() if line.startswith("| ")]
    heads = ("| promise", "| fault |")
    assert measured and all("`test_" in row for row in rows if not row.startswith(heads))
