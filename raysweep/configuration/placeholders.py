"""Placeholder questions for a benchmark whose files are missing on this machine. They suffice for a plan.

Their number is the benchmark's number of questions, and each has the usual length of a prompt.
"""

from collections.abc import Mapping
from typing import Any

from raysweep.benchmarks.sources import is_cached
from raysweep.configuration.fields import MOST_WORK, Fields
from raysweep.spec import Question

# AIME's prompts are shorter than this, and those of programming contests are longer.
PLACEHOLDER = 200 * "word "


def placeholders(name: str, fields: Fields) -> tuple[Question, ...]:
    """Placeholders for the benchmark's questions, or for the first `count` of them."""
    count = fields.integer("questions", most=MOST_WORK)
    if fields.values.get("count") is not None:
        count = min(count, fields.integer("count"))
    return tuple(Question(f"{name}-{index + 1}", PLACEHOLDER, "") for index in range(count))


def is_here(fields: Fields) -> bool:
    """Whether all sources can be read without a network. Only sources of the hub can be missing."""
    source = fields.values.get("source")
    entries = source if isinstance(source, list | tuple) else [source]
    return all(map(_is_here, entries))


def _is_here(entry: Any) -> bool:
    if not isinstance(entry, Mapping):
        return True
    place = [entry.get(key) for key in ("hub", "file", "revision")]
    named = [value for value in place if isinstance(value, str)]
    return len(named) < len(place) or is_cached(*named)
