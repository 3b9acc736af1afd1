"""How long engines take to load: by a model first, and by earlier loads once there are some.

    load = start + bytes of the weights / speed of the disk

The start is an assumption: a process, its imports, and what is compiled and captured. Sessions note in
summary.json how long actors took to load their engines, without what they waited for: their turn on a shared
GPU, and files to be fetched. These waits differ from load to load. An engine takes what it took before on
that kind of GPU. One that has not been loaded there is as much slower than the model as the middle one of
those with its backend.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from raysweep.memory import architecture_bytes
from raysweep.spec import EngineSpec
from raysweep.storage.store import Store
from raysweep.storage.summary import read_summary

# The speed at which a checkpoint is read.
DISK_BYTES_S = 1e9
# Seconds to start, with a GPU and without. vLLM compiles the model and captures CUDA graphs on a GPU.
START_S, CPU_START_S = {"vllm": 120.0}, {"vllm": 20.0}
OTHERS_START_S, OTHERS_CPU_START_S = 30.0, 5.0


def modelled_load_s(engine: EngineSpec, on_gpu: bool) -> float:
    """Seconds to load an engine, by the model."""
    start_s = (
        START_S.get(engine.backend, OTHERS_START_S)
        if on_gpu
        else CPU_START_S.get(engine.backend, OTHERS_CPU_START_S)
    )
    return start_s + architecture_bytes(engine.model.architecture, engine.weights) / DISK_BYTES_S


@dataclass(frozen=True)
class LoadTime:
    """The loads of one engine on one kind of GPU."""

    loads: int = 0
    seconds: float = 0.0

    def __add__(self, other: "LoadTime") -> "LoadTime":
        return LoadTime(self.loads + other.loads, self.seconds + other.seconds)

    @property
    def mean_s(self) -> float:
        return self.seconds / self.loads


# By kind of GPU (Ray's label, "" for a CPU or an unknown kind) and engine id.
LoadTimes = Mapping[tuple[str, str], LoadTime]


@dataclass(frozen=True)
class Loads:
    """Measured loads.

    ratios  measured divided by modelled seconds, of the middle engine, by kind of GPU and backend
    """

    times: LoadTimes = field(default_factory=dict)
    ratios: Mapping[tuple[str, str], float] = field(default_factory=dict)

    def seconds(self, engine: EngineSpec, device: str, modelled_s: float) -> float:
        """Seconds that an engine takes to load on a kind of GPU."""
        if time := self.times.get((device, engine.engine_id)):
            return time.mean_s
        return modelled_s * self.ratios.get((device, engine.backend), 1.0)


NO_LOADS = Loads()


def loads_of(times: LoadTimes, engines: Iterable[EngineSpec]) -> Loads:
    """What earlier loads say about a run's engines."""
    known = {engine.engine_id: engine for engine in engines}
    ratios: dict[tuple[str, str], list[float]] = defaultdict(list)
    for (device, engine_id), time in times.items():
        if engine := known.get(engine_id):
            modelled_s = modelled_load_s(engine, on_gpu=bool(device))
            ratios[device, engine.backend].append(time.mean_s / modelled_s)
    return Loads(times, {key: median(found) for key, found in ratios.items()})


def noted_loads(store: Store) -> LoadTimes:
    """The loads of all sessions that ended, from summary.json. What cannot be read is left out."""
    noted = read_summary(store).get("loads")
    entries = noted if isinstance(noted, list) else []
    return {
        (entry["device"], entry["engine_id"]): LoadTime(entry["loads"], entry["seconds"])
        for entry in entries
        if _is_load(entry)
    }


def as_noted(times: LoadTimes) -> list[dict[str, Any]]:
    """Loads as the entry `loads` of summary.json."""
    return [
        {
            "device": device,
            "engine_id": engine_id,
            "loads": time.loads,
            "seconds": round(time.seconds, 1),
        }
        for (device, engine_id), time in sorted(times.items())
    ]


def _is_load(entry: Any) -> bool:
    if not isinstance(entry, dict):
        return False
    names = all(isinstance(entry.get(name), str) for name in ("device", "engine_id"))
    numbers = [entry.get(name) for name in ("loads", "seconds")]
    numeric = all(isinstance(number, int | float) and number >= 0 for number in numbers)
    return names and numeric and entry["loads"] > 0
