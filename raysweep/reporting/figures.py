"""The figures of a run: pure functions from one benchmark's results to matplotlib figures.

The figure of accuracy over memory, which shows all scenarios, is here. Those with a line per engine are in
`line_figures`, and those that answer the study's questions in `study_figures`. No global state is changed
and no date is written, so equal tables give equal bytes.
"""

import io
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from raysweep.reporting import line_figures, study_figures
from raysweep.reporting.appearance import PolicyStyle, model_colours, policies, policy_styles
from raysweep.reporting.drawing import (
    GREY,
    INK,
    STYLE,
    accuracy_axis,
    bytes_axis,
    canvas,
    heading,
    memory_handles,
    outside_legend,
    titled,
)
from raysweep.reporting.inflation_figure import inflation_figure
from raysweep.reporting.results import Point, Results, points_of, where
from raysweep.system.content import content_hash

# The legend's entry for what an adaptive run has stopped.
HOLLOW = Line2D([], [], color=GREY, marker="o", mfc="none", ls="", ms=4, label="stopped early")

# More dots than this are drawn as an image within the SVG and PDF.
MANY_DOTS = 3000


def all_figures(results: Results) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Each figure of each benchmark, at the smallest batch size: its file's stem, and its bytes by ending."""
    for benchmark in sorted(results.scenarios.benchmark.unique()):
        own = results.of(benchmark)
        for name in FIGURES:
            if figure := draw(name, own, own.batch_sizes[0]):
                yield f"{file_stem(benchmark)}-{name}", encoded(figure)


def draw(name: str, own: Results, batch_size: int) -> Figure | None:
    """A figure of one benchmark's results; None where these results cannot answer its question."""
    with matplotlib.rc_context(STYLE):
        return FIGURES[name](own, batch_size)


def file_stem(name: str) -> str:
    """A benchmark's name if it is plain, otherwise its plain part and a hash."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", name)[:40]
    return plain if plain == name else f"{plain}-{content_hash(name)}"


def encoded(figure: Figure) -> dict[str, bytes]:
    """The figure's bytes by file ending. Equal figures give equal bytes."""
    metadata = {
        "svg": {"Date": None, "Creator": None},
        "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
        "png": {"Software": None},
    }
    with matplotlib.rc_context(STYLE):
        return {ending: _saved(figure, ending, entries) for ending, entries in metadata.items()}


def _saved(figure: Figure, ending: str, metadata: dict) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=ending, metadata=metadata)
    return buffer.getvalue()


def memory_figure(own: Results, batch_size: int) -> Figure:
    """Accuracy over the memory of one question of a batch: every scenario as measured, and the frontier
    with what to expect of it on new questions."""
    scenarios, points = own.scenarios, points_of(where(own.frontier, batch_size=batch_size))
    colours, styles = model_colours(scenarios), policy_styles(policies(scenarios))
    figure, axes = canvas(titled(scenarios, "accuracy by memory"), width=8.0, height=4.6)
    memory = scenarios.weights_bytes / batch_size + scenarios.kv_bytes
    many = len(scenarios) > MANY_DOTS
    for model, policy in itertools.product(colours, styles):
        rows = where(scenarios, model=model, kv_policy=policy)
        marker, colour = styles[policy].marker.matplotlib, colours[model]
        for chosen, look in (
            (rows[rows.stopped_at.isna()], {"color": colour, "lw": 0}),
            (
                rows[rows.stopped_at.notna()],
                {"facecolors": "none", "edgecolors": colour, "lw": 0.7},
            ),
        ):
            x = memory[chosen.index]
            look = {**look, "alpha": 0.35, "rasterized": many}
            axes.scatter(x, chosen.accuracy, s=13, marker=marker, **look)
    _draw_frontier(axes, points, colours, styles)
    accuracy_axis(axes, scenarios.accuracy_hi)
    axes.set_ylabel("Accuracy (dots: measured, line: on new questions)")
    shared = "" if batch_size == 1 else f" / {batch_size}"
    bytes_axis(axes, f"Memory (weights{shared} + KV cache)")
    handles = memory_handles(colours, styles, scenarios)
    if scenarios.stopped_at.notna().any():
        handles += [heading("Hollow"), HOLLOW]
    outside_legend(figure, handles)
    return figure


def _draw_frontier(
    axes: Axes, points: Sequence[Point], colours: dict[str, str], styles: dict[str, PolicyStyle]
) -> None:
    memory = [point.memory_bytes for point in points]
    accuracy = [point.expected for point in points]
    axes.step(memory, accuracy, where="post", color=INK, lw=1.1, zorder=3)
    for point in points:
        axes.errorbar(
            point.memory_bytes,
            point.expected,
            yerr=[[point.expected - point.expected_lo], [point.expected_hi - point.expected]],
            fmt=styles[point.configuration.kv_policy].marker.matplotlib,
            color=colours[point.configuration.model],
            markeredgecolor=INK,
            markeredgewidth=0.8,
            markersize=6,
            elinewidth=1.1,
            zorder=4,
        )


FIGURES: Mapping[str, Callable[[Results, int], Figure | None]] = {
    "frontier": memory_figure,
    "composition": study_figures.composition_figure,
    "token-budget": line_figures.token_budget_figure,
    "group-size": line_figures.group_size_figure,
    "parallel": study_figures.parallel_figure,
    "batches": study_figures.batches_figure,
    "kv-policy": line_figures.kv_policy_figure,
    "eviction": study_figures.eviction_figure,
    "threshold": study_figures.threshold_figure,
    "inflation": inflation_figure,
}
