"""The instructions of the image's Dockerfile, read as text."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"


def instructions() -> list[tuple[str, str]]:
    """(instruction, arguments), continued lines joined, comments left out."""
    lines = [
        line for line in DOCKERFILE.read_text().splitlines() if not line.lstrip().startswith("#")
    ]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [
        (word, rest)
        for word, _, rest in (line.partition(" ") for line in joined.splitlines())
        if word
    ]


def stage(name: str) -> list[tuple[str, str]]:
    """The instructions of one stage, its FROM first."""
    found = instructions()
    starts = [i for i, (word, _) in enumerate(found) if word == "FROM"] + [len(found)]
    (start,) = (i for i in starts[:-1] if found[i][1].endswith(f" AS {name}"))
    return found[start : next(i for i in starts if i > start)]


def values(of: list[tuple[str, str]], word: str) -> list[str]:
    return [rest for instruction, rest in of if instruction == word]
