"""The Gantt figure of a schedule: a line for each GPU, coloured by the model that it holds."""

from collections.abc import Iterable, Mapping

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from raysweep.reporting.appearance import LIGHT_RAMP, ramp
from raysweep.reporting.drawing import GREY, INK, STYLE, canvas
from raysweep.scheduling.simulate import Simulation
from raysweep.scheduling.simulated_world import Bar
from raysweep.spec import EngineSpec
from raysweep.system.quantities import duration

LOADING, LOST = "#c9ccd1", "#c1121f"
HEIGHT = 4.6  # inches

Lines = Mapping[tuple[str, int], int]  # of a GPU (node, device), from below


def gantt_figure(found: Simulation, engines: Iterable[EngineSpec]) -> Figure:
    """Time in hours to the right, GPUs upwards; loads are grey, lost actors end in red."""
    models = {engine.model.name: engine.model.params for engine in engines}
    by_size = sorted(models, key=lambda name: models[name])
    colours = dict(zip(by_size, ramp(LIGHT_RAMP, len(by_size)), strict=True))
    model_of = {engine.engine_id: engine.model.name for engine in engines}
    with rc_context(STYLE):
        title = (
            f"{found.gpus:,} GPUs, {duration(found.makespan_s)}: "
            f"{found.makespan_s / max(found.bound_s, 1e-9):.3f} × the least possible"
        )
        figure, axes = canvas(title, 9.0, HEIGHT)
        draw_intervals(axes, found.intervals, {key: colours[m] for key, m in model_of.items()})
        bound = axes.axvline(found.bound_s / 3600, color=INK, linewidth=1, linestyle=(0, (4, 3)))
        axes.set_xlabel("hours")
        axes.set_ylabel("GPUs")
        axes.grid(visible=False)
        patches = [Line2D([], [], color=colours[name], linewidth=6) for name in by_size]
        patches += [Line2D([], [], color=colour, linewidth=6) for colour in (LOADING, LOST)]
        names = [*by_size, "loading", "actor lost", "least possible"]
        figure.legend([*patches, bound], names, loc="outside right upper", fontsize=8)
    return figure


def draw_intervals(axes: Axes, intervals: Iterable[Bar], colours: Mapping[str, str]) -> None:
    """Each place as a bar on its GPUs; those that share one share its line's height."""
    intervals = sorted(intervals, key=lambda interval: interval.start)
    lines = numbered(intervals)
    bars, faces = [], []
    lanes: dict[tuple[str, int], list[float]] = {}  # when each lane of a shared GPU is free
    for interval in intervals:
        share = min(1.0, interval.gpus)
        for device in interval.devices:
            lane = _lane(lanes.setdefault((interval.node_id, device), []), interval)
            low = lines[interval.node_id, device] + min(lane * share, 1 - share)
            for start, end, colour in _pieces(interval, colours[interval.engine_id]):
                bars.append(_bar(start / 3600, end / 3600, low, low + share))
                faces.append(colour)
    axes.add_collection(PolyCollection(bars, facecolors=faces, edgecolors="none", rasterized=True))
    axes.set_xlim(0, max((i.end for i in intervals), default=1.0) / 3600 * 1.01)
    axes.set_ylim(0, max(1, len(lines)))
    axes.tick_params(colors=GREY)


def numbered(intervals: Iterable[Bar]) -> Lines:
    devices = {(i.node_id, device) for i in intervals for device in i.devices}
    return {device: line for line, device in enumerate(sorted(devices))}


def _lane(free_at: list[float], interval: Bar) -> int:
    """The first lane of a GPU that is free when the interval begins; it is then taken until its end."""
    for lane, time in enumerate(free_at):
        if time <= interval.start:
            free_at[lane] = interval.end
            return lane
    free_at.append(interval.end)
    return len(free_at) - 1


def _pieces(interval: Bar, colour: str) -> list[tuple[float, float, str]]:
    pieces = [
        (interval.start, interval.loaded, LOADING),
        (interval.loaded, interval.end, colour),
    ]
    if interval.lost:
        mark = 0.02 * (interval.end - interval.start)
        pieces.append((interval.end - mark, interval.end, LOST))
    return pieces


def _bar(left: float, right: float, low: float, high: float) -> list[tuple[float, float]]:
    return [(left, low), (right, low), (right, high), (left, high)]
