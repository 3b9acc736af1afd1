"""A benchmark's definition, made into its questions: the keys of its loader, and how answers are graded.

The loader's parameters are the keys. A parameter's name says how its value is read, so that `source`,
`prompt` or `count` mean the same in every definition.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from raysweep import grading
from raysweep.benchmarks import LOADERS
from raysweep.benchmarks.prompts import Prompt
from raysweep.benchmarks.sources import File, hub_file, is_cached, local_file
from raysweep.configuration.fields import Fields
from raysweep.errors import ConfigError, shown
from raysweep.spec import Benchmark, Question

SHA256 = re.compile(r"[0-9a-f]{64}")
WHICH_ROWS = {"loader", "source", "since", "until"}  # keys that decide how many questions there are
OTHER_KEYS = ("questions", "grader", "answer_opener", "answer_tokens")
PLACEHOLDER = 200 * "word "  # AIME's prompts are shorter, those of contests in programming longer


def load_benchmark(name: str, fields: Fields, stand_in: bool = False) -> Benchmark:
    """The benchmark that `fields` define. Raises ConfigError before anything unreadable goes further.

    stand_in  take placeholders for questions that are not on this machine, where their number is known
    """
    loader = fields.choice("loader", "loader", LOADERS)
    parameters = inspect.signature(LOADERS[loader]).parameters
    fields.only(["loader", *parameters, *OTHER_KEYS])
    stands_in = stand_in and fields.values.get("questions") is not None and not is_here(fields)
    if stands_in:
        questions, sources = placeholders(name, fields), ()
    else:
        arguments = {
            key: READERS.get(key, Fields.text)(fields, key)
            for key, parameter in parameters.items()
            if fields.values.get(key, parameter.default) is not parameter.default
        }
        questions, sources = tuple(LOADERS[loader](**arguments)), arguments.get("source", ())
        check_count(questions, fields)
    benchmark = Benchmark(
        name=name,
        questions=questions,
        grader=fields.choice("grader", "grader", grading.GRADERS),
        answer_opener=fields.text("answer_opener"),
        answer_tokens=fields.integer("answer_tokens"),
        sources=tuple(file.pinned for file in sources),
        stands_in=stands_in,
    )
    if not stands_in:
        check_gold(benchmark, fields)
    return benchmark


def placeholders(name: str, fields: Fields) -> tuple[Question, ...]:
    """As many questions as the benchmark has, or as are asked for, of a prompt's usual length."""
    count = fields.integer("questions")
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


def check_count(questions: tuple[Question, ...], fields: Fields) -> None:
    """Raise unless there are questions, as many as are asked for, and as many as there should be."""
    wanted = fields.values.get("count") or 1
    if len(questions) < wanted:
        raise ConfigError(
            f"{fields.at('count')}: {wanted} questions, where there are {len(questions)}; "
            "lower it, or give a source that has more"
        )
    if fields.values.get("questions") is None or fields.values.get("count") is not None:
        return
    known = fields.integer("questions")
    if len(questions) != known:
        raise ConfigError(
            f"{fields.at('questions')}: {known}, where there are {len(questions)}; correct it, or leave "
            "it out"
        )


def check_gold(benchmark: Benchmark, fields: Fields) -> None:
    """Raise unless the grader can grade against each gold answer."""
    for question in benchmark.questions:
        try:
            grading.GRADERS[benchmark.grader].check_gold(question.gold)
        except ValueError as error:
            raise ConfigError(
                f"{fields.at('grader')}: {benchmark.grader!r} cannot grade against the gold answer "
                f"{shown(question.gold)} of {question.question_id} ({error}); choose another grader"
            ) from error


def read_sources(fields: Fields, key: str) -> tuple[File, ...]:
    """A source, or a list of them whose rows follow each other."""
    if isinstance(fields.value(key), list | tuple):
        return tuple(read_source(entry, place) for place, entry in fields.entries(key))
    return (read_source(fields.value(key), fields.at(key)),)


def read_source(entry: Any, place: str) -> File:
    """A path, {path: ...}, or {hub: owner/name, revision: ..., file: ...}; the latter with sha256."""
    if isinstance(entry, str):
        return local_file(Path(entry), None, place)
    fields = Fields.of(entry, place)
    sha256 = read_sha256(fields) if fields.values.get("sha256") is not None else None
    if "hub" not in fields.values:
        fields.only(["path", "sha256"])
        return local_file(Path(fields.text("path")), sha256, fields.at("path"))
    fields.only(["hub", "revision", "file", "sha256"])
    hub, file, revision = (fields.text(key) for key in ("hub", "file", "revision"))
    return hub_file(hub, file, revision, sha256, place)


def read_sha256(fields: Fields) -> str:
    sha256 = fields.text("sha256")
    if not SHA256.fullmatch(sha256):
        raise ConfigError(
            f"{fields.at('sha256')}: {shown(sha256)} is no SHA-256; write 64 hexadecimal digits"
        )
    return sha256


def read_date(fields: Fields, key: str) -> date:
    value = fields.value(key)
    try:
        return date.fromisoformat(str(value))
    except ValueError as error:
        raise ConfigError(
            f"{fields.at(key)}: {shown(value)} is no date; write YYYY-MM-DD"
        ) from error


# How a loader's parameter is read; others are texts.
READERS: dict[str, Callable[[Fields, str], Any]] = {
    "count": lambda fields, key: fields.integer(key),
    "prompt": lambda fields, key: Prompt(fields.text(key), fields.at(key)),
    "seed": lambda fields, key: fields.integer(key, least=0),
    "since": read_date,
    "source": read_sources,
    "until": read_date,
}
