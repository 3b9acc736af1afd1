"""Reads what is written for people: the traces to read, and what is published."""

import re

from raysweep.configuration.fields import MOST_WORK, Fields
from raysweep.errors import ConfigError, shown
from raysweep.run_config import Sweep
from raysweep.run_config.outputs import Publish, Traces
from raysweep.system.safe_text import printable

TRACES_KEYS = ("engines", "samples", "question")
PUBLISH_KEYS = ("to", "traces", "samples", "license")

# How the hub names licences: apache-2.0, cc-by-4.0, other.
LICENSE = re.compile(r"[a-z0-9][a-z0-9.+-]*")


def read_traces(fields: Fields, sweep: Sweep) -> Traces:
    """Which traces to write. A question must be one of the sweep's."""
    fields.only(TRACES_KEYS)
    question = fields.value("question")
    return Traces(
        engines=_patterns(fields),
        samples=fields.integer("samples", most=MOST_WORK),
        question=None if question is None else _question(str(question), fields, sweep),
    )


def _patterns(fields: Fields) -> tuple[str, ...]:
    entries = fields.value("engines")
    if entries is None:
        return ()
    if not isinstance(entries, list | tuple) or not all(isinstance(one, str) for one in entries):
        raise ConfigError(
            f"{fields.at('engines')}: {shown(entries)} is no list of patterns; write for example "
            "['qwen3-32b.*'], or null"
        )
    return tuple(entries)


def _question(question: str, fields: Fields, sweep: Sweep) -> str:
    if any(question == one.question_id for b in sweep.benchmarks for one in b.questions):
        return question
    example = sweep.benchmarks[0].questions[0].question_id
    raise ConfigError(
        f"{fields.at('question')}: {shown(question)} is the id of no question of the sweep; "
        f"write one such as {example}"
    )


def read_publish(fields: Fields) -> Publish:
    """What to bundle, and where."""
    fields.only(PUBLISH_KEYS)
    to, license_name = fields.value("to"), fields.value("license")
    if to is not None:
        to = fields.path("to")
        if printable(to) != to:
            raise ConfigError(
                f"{fields.at('to')}: {shown(to)} contains control characters; give a folder or an address"
            )
    if license_name is not None and not LICENSE.fullmatch(str(license_name)):
        raise ConfigError(
            f"{fields.at('license')}: {shown(license_name)} is no licence as the hub names it; "
            "write for example cc-by-4.0, or null"
        )
    return Publish(
        to=to,
        traces=fields.flag("traces"),
        samples=fields.flag("samples"),
        license=None if license_name is None else str(license_name),
    )
