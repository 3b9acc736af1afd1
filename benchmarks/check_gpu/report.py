"""The table and the JSON file of a check."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.check_gpu.rows import Row

HEAD = ("part", "subject", "measured", "expected", "as expected")
DRY = "dry run, times mean nothing"
MARKS = {True: "yes", False: "**no**", None: ""}


def cells(row: Row, dry: bool) -> list[str]:
    """A row's line of the table."""
    own = [row.part, row.subject, row.figure, row.expected, MARKS[row.ok]]
    return [*([DRY] if dry else []), *own]


def markdown(rows: Sequence[Row], environment: Mapping[str, str], dry: bool) -> str:
    head = [*([""] if dry else []), *HEAD]
    lines = [head, ["---"] * len(head), *(cells(row, dry) for row in rows)]
    table = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
    said = ", ".join(f"{name} {value}" for name, value in environment.items())
    title = f"{said}{f' ({DRY})' if dry else ''}"
    return "\n".join([title, "", *table, ""])


def write(rows: Sequence[Row], environment: Mapping[str, str], dry: bool, out: Path) -> None:
    """`check-gpu.md` and `check-gpu.json` in the folder."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "check-gpu.md").write_text(markdown(rows, environment, dry))
    note = {"dry_run": True} if dry else {}
    found = {"environment": environment, "rows": [{**note, **asdict(row)} for row in rows]}
    (out / "check-gpu.json").write_text(json.dumps(found, indent=1) + "\n")


def summary(rows: Sequence[Row]) -> str:
    wrong = sum(row.ok is False for row in rows)
    left = sum(row.figure.startswith("not run") for row in rows)
    return f"{len(rows)} rows, {wrong} not as expected, {left} not run"


def status(rows: Sequence[Row]) -> int:
    """0, or 1 if something failed or was not as expected."""
    return int(any(row.ok is False for row in rows))
