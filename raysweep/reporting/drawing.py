"""What all figures are drawn with: canvas, axes, legend, and the looks they share."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.offsetbox import HPacker
from matplotlib.ticker import (
    FuncFormatter,
    LogLocator,
    NullFormatter,
    NullLocator,
    PercentFormatter,
)

from raysweep.reporting.appearance import PolicyStyle, model_colours, models, precisions
from raysweep.reporting.wording import human_bytes, human_count

INK, GREY, GRID = "#1c1e21", "#5c6169", "#e4e6ea"
LINES = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))  # precisions, most bits first
STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": GREY,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "figure.constrained_layout.use": True,
    "figure.dpi": 100,
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same glyphs on every machine
    "font.size": 9,
    "grid.color": GRID,
    "legend.frameon": False,
    "savefig.dpi": 200,
    "svg.hashsalt": "raysweep",  # names the SVG's inner ids, otherwise random
    "text.parse_math": False,  # a $ in a name is a $
    "xtick.color": GREY,
    "ytick.color": GREY,
}


def canvas(title: str, width: float, height: float) -> tuple[Figure, Axes]:
    """A figure with one set of axes; sizes in inches."""
    figure = Figure(figsize=(width, height))
    axes = figure.add_subplot()
    axes.set_title(title, pad=10)
    return figure, axes


def titled(scenarios: pd.DataFrame, question: str) -> str:
    return f"{scenarios.benchmark.iloc[0]}: {question}"


def accuracy_axis(axes: Axes, highs: pd.Series) -> None:
    axes.set_ylabel("Accuracy")
    axes.set_ylim(0, min(1.02, 1.05 * highs.max()))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def bytes_axis(axes: Axes, label: str) -> None:
    axes.set_xlabel(f"{label}, log scale")
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: human_bytes(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())


def doubling_axis(axes: Axes, values: pd.Series, label: str) -> None:
    axes.set_xlabel(label)
    axes.set_xscale("log", base=2)
    axes.set_xticks(sorted(values.unique()))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())


def memory_handles(
    colours: dict[str, str], styles: dict[str, PolicyStyle], scenarios: pd.DataFrame
) -> list[Line2D]:
    markers = {name: style.marker.matplotlib for name, style in styles.items()}
    shapes = [
        Line2D([], [], color=GREY, ls="", marker=marker, ms=5, label=name)
        for name, marker in markers.items()
    ]
    frontier = Line2D([], [], color=INK, lw=1.1, marker="o", mfc="white", label="with 95% interval")
    return [
        *model_handles(colours, scenarios),
        *(heading("KV policy"), *shapes),
        *(heading("Frontier"), frontier),
    ]


def line_handles(scenarios: pd.DataFrame) -> list[Line2D]:
    labels = precisions(scenarios)
    dashes = zip(labels, LINES * len(labels), strict=False)
    kinds = [Line2D([], [], color=GREY, ls=dash, label=label) for label, dash in dashes]
    handles = model_handles(model_colours(scenarios), scenarios)
    return handles + ([heading("Weights"), *kinds] if len(kinds) > 1 else [])


def model_handles(colours: dict[str, str], scenarios: pd.DataFrame) -> list[Line2D]:
    sizes = models(scenarios)
    swatches = [
        Line2D([], [], color=colour, lw=3, label=f"{name} ({human_count(sizes[name])})")
        for name, colour in colours.items()
    ]
    return [heading("Model (parameters)"), *swatches]


def heading(text: str) -> Line2D:
    return Line2D([], [], ls="", label=text)


def _is_heading(handle: Line2D) -> bool:
    return handle.get_linestyle() == "None" and handle.get_marker() == "None"


def outside_legend(figure: Figure, handles: list[Line2D]) -> None:
    """One legend to the right of the axes; entries without a mark are its headings."""
    legend = figure.legend(handles=handles, loc="outside right upper", handlelength=1.8)
    texts = zip(handles, legend.get_texts(), strict=True)
    headings = [text for handle, text in texts if _is_heading(handle)]
    for text in headings:
        text.set_fontweight("bold")
    for entry in legend.findobj(HPacker):
        mark, *label = entry.get_children()
        if len(label) == 1 and any(text in headings for text in label[0].get_children()):
            mark.set_visible(False)  # the heading moves to the left edge
