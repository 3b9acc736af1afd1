"""Texts for calibrating quantisation: the user's own file, or worked problems of the embedded tasks.

A model's activations on these texts decide how its weights are rounded. So the texts should resemble what it
will read and write. They must not contain a test question (`overlap`). Texts of the hub are read by
`published_texts`.
"""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from raysweep.benchmarks import chain, facts
from raysweep.checkpoints.tensors import linears
from raysweep.errors import ConfigError, shown
from raysweep.recipe import Document
from raysweep.spec import Architecture
from raysweep.system.json_text import parsed_json

# The calibration text that raysweep brings, and the family for which it was made.
EMBEDDED, EMBEDDED_FAMILY = "embedded", "tiny"


def embedded(count: int, seed: int) -> Iterator[Document]:
    """Worked chain problems and facts in turn, written as the embedded family thinks."""
    rng = random.Random(f"calibration/{seed}")
    table = facts.table()
    for index in range(count):
        if index % 2:
            name, value = rng.choice(table)
            prompt, thinking, answer = (
                facts.make_question(rng, name, value),
                f"{name}={value}",
                value,
            )
        else:
            problem = chain.make_problem(rng, rng.choice(chain.LEVELS))
            prompt, thinking, answer = problem.prompt, problem.worked, problem.gold
        yield Document(prompt, f"{thinking}</think>\nThe answer is {answer}")


def read_file(file: Path, field: str) -> Iterator[Document]:
    """The rows of a JSON Lines file: `text`, and `prompt` if the text is an answer to it."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{field}: '{file}' cannot be read ({error}); correct the path"
        ) from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            row = _row(line, f"{field}: '{file}' line {number}")
            yield Document(row.get("prompt", ""), row["text"])


def _row(line: str, place: str) -> dict[str, str]:
    try:
        row: Any = parsed_json(line)
    except ValueError as error:
        raise ConfigError(f"{place}: is not JSON ({error}); write one object per line") from error
    if not isinstance(row, dict) or not isinstance(row.get("text"), str) or not row["text"]:
        raise ConfigError(f'{place}: {shown(row)} has no text; write {{"text": "…"}}')
    if not isinstance(row.get("prompt", ""), str):
        raise ConfigError(f"{place}: the prompt {shown(row['prompt'])} is not a text; write a text")
    return row


def check_enough(tokens: int, architecture: Architecture, place: str) -> None:
    """Raise if there are fewer calibration tokens than features, which leaves the fit undetermined."""
    least = max(linear.inputs for linear in linears(architecture))
    if tokens < least:
        raise ConfigError(
            f"{place}: {tokens} calibration tokens are too few for layers of {least} features; give at "
            f"least {least}, better ten times as many"
        )
