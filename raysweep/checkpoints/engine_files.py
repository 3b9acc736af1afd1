"""The files that each engine loads, and whether those that raysweep makes are complete.

A pair of model and precision is either published, and used as it is, or made once. The folder of a made
checkpoint is named by the hash of its recipe, so all runs with the same `prepare.checkpoints` share it. It
is complete if its manifest, which is written last, lists files that all exist with the right size.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from raysweep.errors import ConfigError
from raysweep.recipe import Recipe
from raysweep.run_config import Prepare, RunConfig
from raysweep.shard import Shard
from raysweep.spec import Checkpoint, ModelSpec, WeightSpec
from raysweep.storage.address import absolute, below
from raysweep.system.json_text import parsed_json
from raysweep.system.shapes import fits

MANIFEST = "raysweep.json"


@dataclass(frozen=True)
class Making:
    """A checkpoint that raysweep makes, and its recipe."""

    recipe: Recipe
    checkpoint: Checkpoint


def engine_checkpoint(prepare: Prepare, model: ModelSpec, weights: WeightSpec) -> Checkpoint:
    """The files that an engine of this model and precision loads. They may still have to be made."""
    return model.published(weights) or _making(prepare, model, weights).checkpoint


def makings(config: RunConfig) -> Iterator[Making]:
    """Every checkpoint of the run that raysweep makes itself, without duplicates."""
    made = set()
    for model, weights in config.sweep.pairs():
        if model.published(weights) is None:
            making = _making(config.prepare, model, weights)
            if making.checkpoint not in made:  # two names may stand for the same files
                made.add(making.checkpoint)
                yield making


def _making(prepare: Prepare, model: ModelSpec, weights: WeightSpec) -> Making:
    assert prepare.calibration is not None  # `read_prepare` has made sure of it
    recipe = Recipe(model, weights, prepare.calibration)
    path = below(absolute(prepare.checkpoints), recipe.recipe_id)
    return Making(recipe, Checkpoint(path, recipe.recipe_id))


def is_there(checkpoint: Checkpoint) -> bool:
    """Whether a checkpoint that raysweep makes is complete."""
    from raysweep.storage.store import Store

    store = Store(checkpoint.path)
    try:
        files = parsed_json(store.text_if_there(MANIFEST) or "{}").get("files")
    except (AttributeError, ValueError, KeyError, TypeError, ConfigError):
        return False
    return (
        fits(files, dict[str, int])
        and bool(files)
        and all(store.size(name) == size for name, size in files.items())
    )


def ready_shards(
    config: RunConfig, shards: Sequence[Shard]
) -> tuple[tuple[Shard, ...], tuple[Shard, ...]]:
    """The shards whose engines have their checkpoints, and the shards whose engines lack them."""
    checkpoints = {making.checkpoint for making in makings(config)}
    missing = {checkpoint for checkpoint in checkpoints if not is_there(checkpoint)}
    ready = tuple(shard for shard in shards if shard.engine.checkpoint not in missing)
    return ready, tuple(shard for shard in shards if shard.engine.checkpoint in missing)
