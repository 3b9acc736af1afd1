"""Placeholder questions for a benchmark whose files are missing on this machine: enough for a plan.

There are as many as the benchmark is known to have, each as long as a prompt of it usually is.
"""

from collections.abc import Mapping
from typing import Any

from raysweep.benchmarks.sources import is_cached
from raysweep.configuration.fields import MOST_WORK, Fields
from raysweep.spec import Question

PLACEHOLDER = 200 * "word "  # AIME's prompts are shorter, those of contests in programming longer


def placeholders(name: str, fields: Fields) -> tuple[Question, ...]:
    """As many questions as the benchmark has, or as are asked for, of a prompt's usual length."""
    count = fields.integer("questions", most=MOST_WORK)
    if fields.values.get("count") is not None:
        count = min(count, fields.integer("count"))
    return tuple(Question(f"{name}-{index + 1}", PLACEHOLDER, "") for index in range(count))


def is_here(fields: Fields) -> bool:
    """Whether all sources can be read without a network; what is no source of the hub counts as here."""
    source = fields.values.get("source")
    entries = source if isinstance(source, list | tuple) else [source]
    return all(map(_is_here, entries))


def _is_here(entry: Any) -> bool:
    if not isinstance(entry, Mapping):
        return True
    place = [entry.get(key) for key in ("hub", "file", "revision")]
    named = [value for value in place if isinstance(value, str)]
    return len(named) < len(place) or is_cached(*named)
