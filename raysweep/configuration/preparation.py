"""The configuration's `prepare`: where quantised checkpoints are kept, and what they are calibrated on.

The calibration text is read only if a precision has to be made. A pair of model and precision that neither
exists nor can be made is refused here.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from raysweep.checkpoints import calibration, tensors
from raysweep.configuration.definitions import Definitions
from raysweep.configuration.fields import Fields
from raysweep.configuration.token_checks import count_tokens
from raysweep.errors import ConfigError
from raysweep.recipe import Calibration
from raysweep.run_config import Prepare, Sweep
from raysweep.spec import ModelSpec, WeightSpec

TORCH_METHODS = ("bf16", "gptq")


def read_prepare(fields: Fields, sweep: Sweep, definitions: Definitions) -> Prepare:
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
    for benchmark in sweep.benchmarks:
        calibration.check_no_test_question(found, benchmark.questions, place)
    for model in {model.name: model for model, _ in to_make}.values():
        tokens = count_tokens(model, found)
        if tokens is not None:  # otherwise the worker counts them, as it has the tokenizer
            calibration.check_enough(tokens, model.architecture, place)
    return Prepare(checkpoints, found)


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
    """Documents from a generator (`loader`, `count`, `seed`) or a JSON Lines file (`path`)."""
    name, fields = definitions.resolve("calibration", entry, place)
    if "path" in fields.values:
        fields.only(["path", "tokens"])
        file = Path(fields.text("path"))
        name, documents = name or file.stem, tuple(calibration.read_file(file, fields.at("path")))
    else:
        fields.only(["loader", "count", "seed", "tokens"])
        loader = fields.choice("loader", "loader", [calibration.EMBEDDED])
        count, seed = fields.integer("count"), fields.integer("seed", least=0)
        name, documents = name or loader, tuple(calibration.embedded(count, seed))
    tokens = Fields(fields.prefix, {"tokens": 2048, **fields.values}).integer("tokens")
    return Calibration(name, documents, tokens)
