"""A benchmark's definition, made into its questions: the keys of its loader, and how answers are graded.

The loader's parameters are the keys. A parameter's name says how its value is read, so that `source`,
`prompt` or `count` mean the same in every definition; one of another name is read by its type.
"""

import inspect
import itertools
import math
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from raysweep import grading
from raysweep.benchmarks import LOADERS, Loader, load_loader
from raysweep.benchmarks.code_tests import with_tolerance
from raysweep.benchmarks.prompts import Prompt
from raysweep.benchmarks.sources import File, hub_file, local_file
from raysweep.configuration.fields import MOST, MOST_WORK, Fields
from raysweep.configuration.placeholders import is_here, placeholders
from raysweep.errors import ConfigError, shown
from raysweep.spec import Benchmark, Question
from raysweep.system.safe_text import is_whole

Reader = Callable[[Fields, str], Any]

OWN_KEYS = (
    "loader",
    "questions",
    "grader",
    "answer_opener",
    "answer_tokens",
    "float_tolerance",
)  # no loader's parameters
NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
SHA256 = re.compile(r"[0-9a-f]{64}")
WHICH_ROWS = {"loader", "source", "since", "until"}  # keys that decide how many questions there are


def load_benchmark(name: str, fields: Fields, stand_in: bool = False) -> Benchmark:
    """The benchmark that `fields` define. Raises ConfigError before anything unreadable goes further.

    stand_in  take placeholders for questions that are not on this machine, where their number is known
    """
    loader = fields.loaded("loader", "loader", LOADERS, load_loader)
    grader = fields.text("grader")
    fields.loaded("grader", "grader", grading.GRADERS, grading.load_grader)
    check_keys(loader, fields)
    tolerance = read_tolerance(fields)
    stands_in = stand_in and fields.values.get("questions") is not None and not is_here(fields)
    if stands_in:
        questions, sources = placeholders(name, fields), ()
    else:
        arguments = read_arguments(loader, fields)
        questions, sources = load_questions(loader, arguments, fields), arguments.get("source", ())
        check_count(questions, fields)
        questions = questions if tolerance is None else tolerant(questions, tolerance, fields)
    benchmark = Benchmark(
        name=name,
        questions=questions,
        grader=grader,
        answer_opener=fields.text("answer_opener"),
        answer_tokens=fields.integer("answer_tokens"),
        sources=tuple(file.pinned for file in sources),
        stands_in=stands_in,
    )
    if not stands_in:
        check_gold(benchmark, fields)
    return benchmark


def check_keys(loader: Loader, fields: Fields) -> None:
    """Raise unless every key is a parameter of the loader or one of the benchmark's own."""
    parameters = inspect.signature(loader).parameters
    for name, parameter in parameters.items():
        if name in OWN_KEYS or parameter.kind not in NAMED:
            raise ConfigError(
                f"{fields.at('loader')}: {fields.values['loader']!r} has a parameter {parameter} that no "
                "key can give; name its parameters one by one, unlike the benchmark's own keys"
            )
    fields.only([*OWN_KEYS, *parameters])


def read_arguments(loader: Loader, fields: Fields) -> dict[str, Any]:
    """What the definition gives for the loader's parameters; those left out have their default."""
    parameters = inspect.signature(loader).parameters
    return {
        name: reader_of(parameter)(fields, name)
        for name, parameter in parameters.items()
        if fields.values.get(name, parameter.default) is not parameter.default
    }


def reader_of(parameter: inspect.Parameter) -> Reader:
    """How the value of a loader's parameter is read: by its name, else by its type."""
    kind = parameter.annotation
    kind = kind if isinstance(kind, str) else getattr(kind, "__name__", "")
    return READERS.get(parameter.name) or BY_TYPE.get(kind, Fields.text)


def load_questions(
    loader: Loader, arguments: dict[str, Any], fields: Fields
) -> tuple[Question, ...]:
    """What the loader yields, once it is sure that these are questions with ids of their own."""
    place, name = fields.at("loader"), fields.values["loader"]
    try:
        questions = tuple(itertools.islice(loader(**arguments), MOST_WORK + 1))
    except ConfigError:
        raise
    except (ValueError, OSError) as error:
        raise ConfigError(
            f"{place}: {name!r} fails ({error}); correct it, or what it reads"
        ) from error
    if len(questions) > MOST_WORK:
        raise ConfigError(
            f"{place}: {name!r} yields more than {MOST_WORK:,} questions; give it a smaller count, or less "
            "to read"
        )
    seen: set[str] = set()
    for question in questions:
        if not isinstance(question, Question) or not question.prompt:
            raise ConfigError(
                f"{place}: {name!r} yields {shown(question)}, which is no raysweep.spec.Question with a "
                "prompt; correct it"
            )
        if not is_whole(f"{question.question_id}{question.prompt}{question.gold}"):
            raise ConfigError(
                f"{place}: {shown(question.question_id)} has half a character in it; correct the source"
            )
        if question.question_id in seen:
            raise ConfigError(
                f"{place}: {name!r} yields {shown(question.question_id)} twice; make the ids differ"
            )
        seen.add(question.question_id)
    return questions


def read_tolerance(fields: Fields) -> float | None:
    """How far real numbers in a program's results may be off; None if the definition says nothing."""
    given = fields.values.get("float_tolerance") is not None
    return fields.number("float_tolerance") if given else None


def tolerant(
    questions: tuple[Question, ...], tolerance: float, fields: Fields
) -> tuple[Question, ...]:
    """The questions, with tests that allow the tolerance."""
    try:
        return tuple(replace(q, gold=with_tolerance(q.gold, tolerance)) for q in questions)
    except ValueError as error:
        raise ConfigError(
            f"{fields.at('float_tolerance')}: {tolerance}, where the gold answers of "
            f"{fields.values['loader']!r} are no tests of programs ({error}); leave it out"
        ) from error


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
            grading.load_grader(benchmark.grader).check_gold(question.gold)
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


# How a loader's parameter of a name is read, else one of a type; others are texts.
READERS: dict[str, Reader] = {
    "count": lambda fields, key: fields.integer(key, most=MOST_WORK),
    "prompt": lambda fields, key: Prompt(fields.text(key), fields.at(key)),
    "seed": lambda fields, key: fields.integer(key, least=0),
    "since": read_date,
    "source": read_sources,
    "until": read_date,
}
BY_TYPE: dict[str, Reader] = {
    "bool": Fields.flag,
    "float": lambda fields, key: fields.number(key, least=-math.inf),
    "int": lambda fields, key: fields.integer(key, least=-MOST),
}
