"""Where an engine's actor may run: each kind of GPU of the cluster that holds it, with its speed there."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from raysweep.planning.fit import Fit, fit_of, placed
from raysweep.planning.lengths import Lengths
from raysweep.planning.loads import NO_LOADS, Loads
from raysweep.planning.measured import Modelled
from raysweep.planning.speed import Speed, speed
from raysweep.run_config import Cluster, Generation, Gpu
from raysweep.spec import EngineSpec


@dataclass(frozen=True)
class Need:
    """What an actor occupies: CPUs, and a share of one GPU (below 1) or whole GPUs of one kind."""

    cpus: float
    gpus: float
    kind: str = ""


@dataclass(frozen=True)
class Option:
    """A way to run an engine: what its actor occupies, and its speed."""

    need: Need
    speed: Speed


@dataclass(frozen=True)
class Placement:
    """An engine's actor on GPUs of one kind. With no known kind (None) it is on a nominal CPU."""

    gpu: Gpu | None
    fit: Fit
    speed: Speed

    @property
    def token_s(self) -> float:
        """Seconds per token by the cost model, with all rows of the actor in use."""
        return 1 / self.speed.tokens_s()

    @property
    def token_price(self) -> tuple[float, float]:
        """The price of a token as (dollars, GPU-seconds). Dollars are 0 if the price is unknown."""
        gpu_s = self.token_s * self.fit.gpus
        return (self.gpu.usd_per_hour if self.gpu else 0) * gpu_s, gpu_s

    def option(self, cluster: Cluster) -> Option:
        """What an actor occupies there, and its speed."""
        gpus, kind = cluster.gpus_per_actor or 0.0, ""
        if self.gpu is not None:
            gpus, kind = self.fit.gpus, self.gpu.accelerator_type
        return Option(Need(cluster.cpus_per_actor, gpus, kind), self.speed)


def placements(
    engine: EngineSpec,
    generation: Generation,
    cluster: Cluster,
    lengths: Lengths,
    loads: Loads = NO_LOADS,
) -> tuple[Placement, ...]:
    """Each way to run an engine with sequences of such lengths, sorted by price per token."""
    rows, cluster = generation.max_rows, seen_by(engine, cluster)
    fits = (
        [(pool.gpu, fit_of(engine, pool, cluster, rows, lengths)) for pool in cluster.pools]
        if cluster.kinds
        else [(None, placed(engine, None, rows, lengths))]
    )
    found = [
        Placement(gpu, fit, _loading(speed(engine, gpu, fit, lengths.trace), engine, gpu, loads))
        for gpu, fit in fits
        if fit
    ]
    return tuple(sorted(found, key=lambda place: place.token_price))


def seen_by(engine: EngineSpec, cluster: Cluster) -> Cluster:
    """The cluster as an engine uses it: one on a server of its own takes no GPU of the cluster."""
    on_server = engine.backend == "server"
    return replace(cluster, pools=(), gpus_per_actor=0.0) if on_server else cluster


def _loading(speed: Speed, engine: EngineSpec, gpu: Gpu | None, loads: Loads) -> Speed:
    """The speed with the time to load as it was measured, if it was."""
    device = gpu.accelerator_type if gpu else ""
    return replace(speed, load_s=loads.seconds(engine, device, speed.load_s))


def modelled(options: Mapping[str, Iterable[Option]]) -> Modelled:
    """A function that gives modelled seconds per token for an engine id and a device.

    A device is a kind of GPU by Ray's label, or "" for a CPU. The function gives 0 for a device that is not
    an option. If two kinds share a label, the first counts.
    """
    found: dict[tuple[str, str], float] = {}
    for engine_id, ways in options.items():
        for way in ways:
            found.setdefault((engine_id, way.need.kind), 1 / way.speed.tokens_s())
    return lambda engine_id, device: found.get((engine_id, device), 0.0)
