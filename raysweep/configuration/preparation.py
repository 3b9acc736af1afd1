"""The configuration's `prepare`: where quantised checkpoints are kept, and what they are calibrated on.

The calibration text is read only if a precision has to be made, and texts of the hub only by the stage
prepare. A pair of model and precision that neither exists nor can be made is refused here.
"""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from raysweep.checkpoints import calibration, tensors
from raysweep.checkpoints.overlap import check_no_test_question
from raysweep.configuration.benchmark import read_sha256
from raysweep.configuration.definitions import Definitions
from raysweep.configuration.fields import MOST_WORK, Fields
from raysweep.configuration.models import read_commit
from raysweep.configuration.token_checks import count_tokens
from raysweep.errors import ConfigError
from raysweep.recipe import Calibration, PublishedTexts
from raysweep.run_config import Prepare, Sweep
from raysweep.spec import ModelSpec, WeightSpec

TORCH_METHODS = ("bf16", "gptq")

# Stages that make a missing checkpoint, or need it. A plan only says what they would refuse.
MAKING_STAGES = frozenset({"prepare", "generate"})


def read_prepare(
    fields: Fields, sweep: Sweep, definitions: Definitions, stages: Collection[str]
) -> Prepare:
    """Where and on what to quantise. Raises ConfigError for a precision that cannot be made."""
    fields.only(["checkpoints", "calibration"])
    checkpoints = fields.path("checkpoints")
    to_make = list(missing_precisions(sweep))
    if not to_make:
        return Prepare(checkpoints, None)
    if fields.value("calibration") is None:
        model, weights = to_make[0]
        raise ConfigError(
            f"{fields.at('calibration')}: missing, but {weights.slug} of {model.name} has to be made; "
            "name a text to calibrate on, such as {path: texts.jsonl}"
        )
    place = fields.at("calibration")
    found = read_calibration(definitions, fields.value("calibration"), place)
    if not MAKING_STAGES.isdisjoint(stages):
        check_family(found, to_make, place)
    if found.published is None:
        for benchmark in sweep.benchmarks:
            way_out = "remove it from the texts"
            check_no_test_question(found.documents, benchmark.questions, place, way_out)
    for model in {model.name: model for model, _ in to_make}.values():
        tokens = most_tokens(model, found)
        if tokens is not None:  # otherwise the worker counts them, as it has the tokenizer
            calibration.check_enough(tokens, model.architecture, place)
    return Prepare(checkpoints, found)


def check_family(
    found: Calibration, to_make: list[tuple[ModelSpec, WeightSpec]], place: str
) -> None:
    """Raise ConfigError if a model would be quantised on texts that were made for another family."""
    for model, weights in to_make:
        if found.family not in (None, model.family.name):
            raise ConfigError(
                f"{place}: {found.name!r} has worked problems of the family {found.family!r}, and "
                f"{weights.slug} of {model.name} would be made on them; take texts like those that it reads "
                "and writes: reasoning, general, or {path: texts.jsonl}"
            )


def most_tokens(model: ModelSpec, found: Calibration) -> int | None:
    """The most tokens that the documents have. None if they must be counted and the tokenizer is missing."""
    if found.published is None:
        return count_tokens(model, found)
    return found.published.count * found.tokens


def missing_precisions(sweep: Sweep) -> Iterator[tuple[ModelSpec, WeightSpec]]:
    """The (model, precision) pairs without files. Raises ConfigError if raysweep cannot make one."""
    for model, weights in sweep.pairs():
        place = f"sweep.weights[{sweep.weights.index(weights)}]"
        if sweep.backend == "torch" and weights.method not in TORCH_METHODS:
            raise ConfigError(
                f"{place}: {weights.method} does not run on the torch backend; choose "
                "sweep.backend=vllm"
            )
        if model.published(weights) is not None:
            continue
        if weights.method != "gptq" or model.weights.bits != 16:
            raise ConfigError(
                f"{place}: {weights.slug} of {model.name} ({model.weights.slug}) does not exist, and "
                "raysweep makes only GPTQ from 16 bit; name its files in the model's `quantized`"
            )
        try:
            tensors.check_groups(model.architecture, weights)
        except ValueError as error:
            raise ConfigError(
                f"{place}: {weights.slug} does not suit {model.name} ({error}); choose another "
                "group_size"
            ) from error
        yield model, weights


def read_calibration(definitions: Definitions, entry: Any, place: str) -> Calibration:
    """Documents of the hub (`source`), of a generator (`loader`), or of a JSON Lines file (`path`)."""
    name, fields = definitions.resolve("calibration", entry, place)
    tokens = Fields(fields.prefix, {"tokens": 2048, **fields.values}).integer("tokens")
    if "path" in fields.values:
        fields.only(["path", "tokens"])
        file = Path(fields.text("path"))
        documents = tuple(calibration.read_file(file, fields.at("path")))
        return Calibration(name or file.stem, documents, tokens)
    if "source" in fields.values:
        texts = read_published(fields)
        return Calibration(name or texts.data_set, (), tokens, texts)
    fields.only(["loader", "count", "seed", "tokens"])
    loader = fields.choice("loader", "loader", [calibration.EMBEDDED])
    count, seed = fields.integer("count"), fields.integer("seed", least=0)
    documents = tuple(calibration.embedded(count, seed))
    return Calibration(name or loader, documents, tokens, family=calibration.EMBEDDED_FAMILY)


def read_published(fields: Fields) -> PublishedTexts:
    """Texts of the hub, from a file that is pinned by a commit."""
    fields.only(["source", "prompt", "text", "count", "seed", "tokens"])
    source = fields.below("source").only(["hub", "revision", "file", "sha256"])
    return PublishedTexts(
        data_set=source.text("hub"),
        revision=read_commit(source, f"datasets/{source.text('hub')}"),
        file=source.text("file"),
        sha256=None if source.values.get("sha256") is None else read_sha256(source),
        text=fields.text("text"),
        prompt="" if fields.values.get("prompt") is None else fields.text("prompt"),
        count=fields.integer("count", most=MOST_WORK),
        seed=fields.integer("seed", least=0),
    )
