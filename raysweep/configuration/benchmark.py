"""Turns a benchmark's definition into its questions and checks how its answers are graded.

The keys of a definition are the parameters of its loader. A parameter's name decides how its value is read,
so `source`, `prompt` and `count` mean the same in every definition. A parameter with any other name is
read by its type.
"""

import inspect
import itertools
import math
import re
from collections.abc import Callable
from dataclasses import replace
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

# The benchmark's own keys. No loader may have a parameter of these names.
OWN_KEYS = (
    *("loader", "questions", "grader"),
    *("answer_opener", "answer_tokens", "float_tolerance", "text_is_answer"),
)
NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
SHA256 = re.compile(r"[0-9a-f]{64}")
# These keys decide how many questions a benchmark has.
WHICH_ROWS = {"loader", "source", "since", "until"}


def load_benchmark(name: str, fields: Fields, stand_in: bool = False) -> Benchmark:
    """The benchmark that `fields` define. Raises ConfigError for anything unreadable.

    stand_in  replace questions that are missing on this machine by placeholders, if their number is known
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
        text_is_answer="text_is_answer" in fields.values and fields.flag("text_is_answer"),
    )
    if not stands_in:
        check_gold(benchmark, fields)
    return benchmark


def check_keys(loader: Loader, fields: Fields) -> None:
    """Raise unless every key is the benchmark's own or a parameter of the loader."""
    parameters = inspect.signature(loader).parameters
    for name, parameter in parameters.items():
        if name in OWN_KEYS or parameter.kind not in NAMED:
            raise ConfigError(
                f"{fields.at('loader')}: {fields.values['loader']!r} has a parameter {parameter} that no "
                "key can set; name its parameters one by one, and unlike the benchmark's own keys"
            )
    fields.only([*OWN_KEYS, *parameters])


def read_arguments(loader: Loader, fields: Fields) -> dict[str, Any]:
    """The arguments that the definition gives to its loader. The others keep their defaults."""
    parameters = inspect.signature(loader).parameters
    return {
        name: reader_of(parameter)(fields, name)
        for name, parameter in parameters.items()
        if fields.values.get(name, parameter.default) is not parameter.default
    }


def reader_of(parameter: inspect.Parameter) -> Reader:
    """The function that reads a loader's parameter, chosen by its name or else by its type."""
    kind = parameter.annotation
    kind = kind if isinstance(kind, str) else getattr(kind, "__name__", "")
    return READERS.get(parameter.name) or BY_TYPE.get(kind, Fields.text)


def load_questions(
    loader: Loader, arguments: dict[str, Any], fields: Fields
) -> tuple[Question, ...]:
    """The loader's questions. Raises ConfigError unless all are questions with different ids."""
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
            f"{place}: {name!r} yields more than {MOST_WORK:,} questions; lower its count, or give it "
            "fewer rows"
        )
    seen: set[str] = set()
    for question in questions:
        if not isinstance(question, Question) or not question.prompt:
            raise ConfigError(
                f"{place}: {name!r} yields {shown(question)}, which is not a raysweep.spec.Question with "
                "a prompt; correct the loader"
            )
        if not is_whole(f"{question.question_id}{question.prompt}{question.gold}"):
            raise ConfigError(
                f"{place}: {shown(question.question_id)} contains an unpaired surrogate; correct the "
                "source"
            )
        if question.question_id in seen:
            raise ConfigError(
                f"{place}: {name!r} yields {shown(question.question_id)} twice; make the ids differ"
            )
        seen.add(question.question_id)
    return questions


def read_tolerance(fields: Fields) -> float | None:
    """How far real numbers in a program's results may be off. None if the definition does not say."""
    given = fields.values.get("float_tolerance") is not None
    return fields.number("float_tolerance") if given else None


def tolerant(
    questions: tuple[Question, ...], tolerance: float, fields: Fields
) -> tuple[Question, ...]:
    """The questions with tests that allow the tolerance."""
    try:
        return tuple(replace(q, gold=with_tolerance(q.gold, tolerance)) for q in questions)
    except ValueError as error:
        raise ConfigError(
            f"{fields.at('float_tolerance')}: {tolerance} needs tests of programs, but the gold answers of "
            f"{fields.values['loader']!r} are not such tests ({error}); leave it out"
        ) from error


def check_count(questions: tuple[Question, ...], fields: Fields) -> None:
    """Raise unless there are as many questions as asked for and as the definition says."""
    wanted = fields.values.get("count") or 1
    if len(questions) < wanted:
        raise ConfigError(
            f"{fields.at('count')}: {wanted} is more than the number of questions found, "
            f"{len(questions)}; lower it, or give a source that has more"
        )
    if fields.values.get("questions") is None or fields.values.get("count") is not None:
        return
    known = fields.integer("questions")
    if len(questions) != known:
        raise ConfigError(
            f"{fields.at('questions')}: {known} is not the number of questions found, {len(questions)}; "
            "correct it, or leave it out"
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
    """One source, or a list of sources whose rows are joined in order."""
    if isinstance(fields.value(key), list | tuple):
        return tuple(read_source(entry, place) for place, entry in fields.entries(key))
    return (read_source(fields.value(key), fields.at(key)),)


def read_source(entry: Any, place: str) -> File:
    """A path, {path: ...}, or {hub: owner/name, revision: ..., file: ...}. Mappings may have sha256."""
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
            f"{fields.at('sha256')}: {shown(sha256)} is not a SHA-256; write 64 hexadecimal digits"
        )
    return sha256


# Readers of a loader's parameters by name, then by type. All other parameters are texts.
READERS: dict[str, Reader] = {
    "count": lambda fields, key: fields.integer(key, most=MOST_WORK),
    "prompt": lambda fields, key: Prompt(fields.text(key), fields.at(key)),
    "seed": lambda fields, key: fields.integer(key, least=0),
    "since": Fields.date,
    "source": read_sources,
    "until": Fields.date,
}
BY_TYPE: dict[str, Reader] = {
    "bool": Fields.flag,
    "float": lambda fields, key: fields.number(key, least=-math.inf),
    "int": lambda fields, key: fields.integer(key, least=-MOST),
}
