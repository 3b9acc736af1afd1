"""A checkpoint's files on this worker, checked before an engine is built from them.

The plan knows a model's architecture and precision from definitions, and published files may hold something
else under a promising name. So config.json and the headers of the safetensors files are read here, and they
must agree with the plan tensor by tensor.
"""

from dataclasses import asdict
from pathlib import Path

from actors.checkpoint_files import local_folder
from raysweep.configuration.checkpoint_folder import look_into
from raysweep.errors import ConfigError, shown
from raysweep.spec import EngineSpec


def checked_folder(spec: EngineSpec) -> str:
    """The folder with the files that the engine loads.

    Raises ConfigError unless they hold the architecture and the precision of the spec.
    """
    folder, checkpoint = local_folder(spec.checkpoint), spec.checkpoint
    place = f"{spec.model.name} as {spec.weights.slug}"
    architecture, weights = look_into(Path(folder), place)
    files = f"{checkpoint.path}@{checkpoint.revision}"
    if weights != spec.weights:
        raise ConfigError(
            f"{place}: {files} holds {weights.slug} ({shown(weights)}); name it under its own precision in "
            "the model's `quantized`"
        )
    if architecture != spec.model.architecture:
        theirs, ours = asdict(architecture), asdict(spec.model.architecture)
        field = next(name for name in ours if ours[name] != theirs[name])
        raise ConfigError(
            f"{place}: {files} holds another model, whose {field} is {theirs[field]} and not {ours[field]}; "
            "correct the repository or the model's `architecture`"
        )
    return folder
