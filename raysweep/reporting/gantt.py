"""The Gantt figure of a schedule: a line per GPU, coloured by the model that it holds."""

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

# Inches.
HEIGHT = 4.6

# The line of each GPU (node, device), counted from below.
Lines = Mapping[tuple[str, int], int]


def gantt_figure(found: Simulation, engines: Iterable[EngineSpec]) -> Figure:
    """GPUs over time in hours. Loading is grey, and the bar of a lost actor ends in red."""
    models = {engine.model.name: engine.model.params for engine in engines}
    by_size = sorted(models, key=lambda name: models[name])
    colours = dict(zip(by_size, ramp(LIGHT_RAMP, len(by_size)), strict=True))
    model_of = {engine.engine_id: engine.model.name for engine in engines}
    with rc_context(STYLE):
        title = (
            f"{found.gpus:,} GPUs, {duration(found.makespan_s)}: "
            f"{found.makespan_s / max(found.bound_s, 1e-9):.3f} × the lower bound"
        )
        figure, axes = canvas(title, 9.0, HEIGHT)
        draw_bars(axes, found.intervals, {key: colours[m] for key, m in model_of.items()})
        bound = axes.axvline(found.bound_s / 3600, color=INK, linewidth=1, linestyle=(0, (4, 3)))
        axes.set_xlabel("Time (hours)")
        axes.set_ylabel("GPUs")
        axes.grid(visible=False)
        patches = [Line2D([], [], color=colours[name], linewidth=6) for name in by_size]
        patches += [Line2D([], [], color=colour, linewidth=6) for colour in (LOADING, LOST)]
        names = [*by_size, "loading", "actor lost", "lower bound"]
        figure.legend([*patches, bound], names, loc="outside right upper", fontsize=8)
    return figure


def draw_bars(axes: Axes, bars: Iterable[Bar], colours: Mapping[str, str]) -> None:
    """Draw each actor as a bar on its GPUs. Actors that share a GPU share the height of its line."""
    bars = sorted(bars, key=lambda bar: bar.start)
    lines = numbered(bars)
    shapes, faces = [], []
    # The times at which the lanes of each shared GPU become free.
    lanes: dict[tuple[str, int], list[float]] = {}
    for bar in bars:
        share = min(1.0, bar.gpus)
        for device in bar.devices:
            lane = _lane(lanes.setdefault((bar.node_id, device), []), bar)
            low = lines[bar.node_id, device] + min(lane * share, 1 - share)
            for start, end, colour in _pieces(bar, colours[bar.engine_id]):
                shapes.append(_rectangle(start / 3600, end / 3600, low, low + share))
                faces.append(colour)
    axes.add_collection(
        PolyCollection(shapes, facecolors=faces, edgecolors="none", rasterized=True)
    )
    axes.set_xlim(0, max((bar.end for bar in bars), default=1.0) / 3600 * 1.01)
    axes.set_ylim(0, max(1, len(lines)))
    axes.tick_params(colors=GREY)


def numbered(bars: Iterable[Bar]) -> Lines:
    devices = {(bar.node_id, device) for bar in bars for device in bar.devices}
    return {device: line for line, device in enumerate(sorted(devices))}


def _lane(free_at: list[float], bar: Bar) -> int:
    """The first lane of a GPU that is free when the bar starts. It is then occupied until its end."""
    for lane, time in enumerate(free_at):
        if time <= bar.start:
            free_at[lane] = bar.end
            return lane
    free_at.append(bar.end)
    return len(free_at) - 1


def _pieces(bar: Bar, colour: str) -> list[tuple[float, float, str]]:
    pieces = [
        (bar.start, bar.loaded, LOADING),
        (bar.loaded, bar.end, colour),
    ]
    if bar.lost:
        mark = 0.02 * (bar.end - bar.start)
        pieces.append((bar.end - mark, bar.end, LOST))
    return pieces


def _rectangle(left: float, right: float, low: float, high: float) -> list[tuple[float, float]]:
    return [(left, low), (right, low), (right, high), (left, high)]
