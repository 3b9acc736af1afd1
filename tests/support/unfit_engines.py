"""What becomes of engines that fit on no GPU of the cluster, as the stages ask for it by their shards."""

from collections.abc import Iterable
from dataclasses import replace

from support.nouns import some_shards

from raysweep.planning.jobs import engines_of
from raysweep.planning.lengths import run_lengths
from raysweep.planning.unfit import held
from raysweep.run_config import Gpu, RunConfig
from raysweep.spec import EngineSpec


def skipped(
    config: RunConfig, engines: Iterable[EngineSpec], known: Iterable[Gpu] = ()
) -> tuple[EngineSpec, ...]:
    """The engines that are skipped. Raises ConfigError if the sweep is to refuse them."""
    (shard, *_) = some_shards()
    shards = [replace(shard, engine=engine) for engine in engines]
    return engines_of(held(config, shards, run_lengths(config), known)[1])
