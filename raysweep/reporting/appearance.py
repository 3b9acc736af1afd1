"""What a model, a KV policy and a precision look like, on the page and in the figures alike.

A model's size is an ordered hue, from indigo (small) to orange (large). Lightness rises with size, so
the order survives colour blindness and a grey print. A KV policy is a marker and a dash, and a precision
is how full the marker is. The markers alone tell all policies of a shipped sweep apart.
"""

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from raysweep.reporting.results import weights_column
from raysweep.spec import WeightSpec

# The colours of models on a white page and on a black one.
LIGHT_RAMP = ("#1b0c8c", "#6f0ca8", "#b7318c", "#e05e5a", "#e08a1e")
DARK_RAMP = ("#6a74ff", "#a468ee", "#e5699f", "#fb9a5f", "#ffdd66")

# Precisions and group sizes are ordered too. These ramps, for light and dark, colour by them.
PRECISION_RAMPS = (("#0b4f6c", "#1a8a6c", "#b8860b"), ("#5ab4d6", "#4fd1a5", "#f2c14e"))
GROUP_RAMPS = (("#3d5a80", "#8e5aa8", "#c8472f"), ("#9db8e0", "#d39bea", "#ff9478"))

# One sample, and votes, on a white page and on a black one.
SERIAL, PARALLEL = ("#0072b2", "#56b4e9"), ("#c84e00", "#ff8c42")

# The methods of KV policies, on a white page and on a black one.
LIGHT, DARK = 0, 1
FULL_COLOUR = ("#1c1e21", "#e9ebee")
METHOD_COLOURS = (
    *(("#0072b2", "#56b4e9"), ("#c84e00", "#ff8c42"), ("#00825f", "#3ddc97")),
    *(("#b8508c", "#f0a6ca"), ("#8f6b00", "#ffd166"), ("#6a3d9a", "#b794f6")),
    *(("#8c4a3f", "#d9a594"), ("#5a7d00", "#b5d94c"), ("#c2185b", "#ff7aa8")),
)


@dataclass(frozen=True)
class Marker:
    """One shape, as matplotlib knows it and as SVG draws it in a box from -6 to 6.

    matplotlib  a name, or the corners of a polygon, from -1 to 1 with y upwards
    """

    matplotlib: Any
    svg_path: str


def polygon(*corners: tuple[float, float]) -> Marker:
    """A shape by its corners, from -6 to 6 with y downwards as in SVG."""
    path = "M" + "L".join(f"{x:g} {y:g}" for x, y in corners) + "Z"
    # matplotlib does not close a polygon by itself.
    return Marker(tuple((x / 6, -y / 6) for x, y in (*corners, corners[0])), path)


@dataclass(frozen=True)
class Dash:
    """One line pattern. `lengths` are pixels, as in SVG's stroke-dasharray; a solid line has none."""

    lengths: tuple[int, ...]


@dataclass(frozen=True)
class PolicyStyle:
    """How a KV policy is drawn."""

    marker: Marker
    dash: Dash


MARKERS = (
    Marker("o", "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0Z"),
    Marker("s", "M-4.4 -4.4H4.4V4.4H-4.4Z"),
    Marker("^", "M0 -5.4L5.4 4.4H-5.4Z"),
    Marker("D", "M0 -6L6 0L0 6L-6 0Z"),
    Marker("v", "M0 5.4L5.4 -4.4H-5.4Z"),
    Marker("*", "M0 -6L1.5 -2H6L2.4 .8L3.7 5L0 2.5L-3.7 5L-2.4 .8L-6 -2H-1.5Z"),
    Marker("P", "M-2 -5.5H2V-2H5.5V2H2V5.5H-2V2H-5.5V-2H-2Z"),
    Marker(
        "X",
        "M0 -2.4L3.2 -5.6L5.6 -3.2L2.4 0L5.6 3.2L3.2 5.6L0 2.4L-3.2 5.6L-5.6 3.2L-2.4 0L-5.6 -3.2L-3.2-5.6Z",
    ),
    Marker("p", "M0 -5.6L5.3 -1.7L3.3 4.5H-3.3L-5.3 -1.7Z"),
    Marker("<", "M-5.4 0L4.4 -5.4V5.4Z"),
    Marker(">", "M5.4 0L-4.4 -5.4V5.4Z"),
    Marker("d", "M0 -6.5L3.6 0L0 6.5L-3.6 0Z"),
    # An hourglass, a bow tie, a star of four points, a trapezium, a flag, an L and a T.
    polygon((-5, -5.5), (5, -5.5), (1, 0), (5, 5.5), (-5, 5.5), (-1, 0)),
    polygon((-5.5, -5), (0, -1), (5.5, -5), (5.5, 5), (0, 1), (-5.5, 5)),
    polygon(
        (0, -6.5), (1.6, -1.6), (6.5, 0), (1.6, 1.6), (0, 6.5), (-1.6, 1.6), (-6.5, 0), (-1.6, -1.6)
    ),
    polygon((-2, -5.5), (2, -5.5), (5, 5), (-5, 5)),
    polygon((-5, -5.5), (5, -5.5), (1.5, 0), (5, 5.5), (-5, 5.5)),
    polygon((-5, -5.5), (-1, -5.5), (-1, 1.5), (5, 1.5), (5, 5.5), (-5, 5.5)),
    polygon(
        (-5.5, -5), (5.5, -5), (5.5, -1.2), (2, -1.2), (2, 5.5), (-2, 5.5), (-2, -1.2), (-5.5, -1.2)
    ),
)
DASHES = (
    Dash(()),
    Dash((6, 3)),
    Dash((2, 2)),
    Dash((6, 2, 2, 2)),
    Dash((10, 3)),
)


def models(scenarios: pd.DataFrame) -> dict[str, int]:
    """The number of parameters of each model, smallest first."""
    sizes = scenarios.drop_duplicates("model").sort_values(["params", "model"])
    return {name: int(size) for name, size in zip(sizes.model, sizes.params, strict=True)}


def model_colours(scenarios: pd.DataFrame, stops: Sequence[str] = LIGHT_RAMP) -> dict[str, str]:
    """A colour for each model, along the ramp by size."""
    names = models(scenarios)
    return dict(zip(names, ramp(stops, len(names)), strict=True))


def policies(scenarios: pd.DataFrame) -> list[str]:
    """The KV policies: `full` first, the others by method and then by number."""
    return sorted(scenarios.kv_policy.unique(), key=_policy_order)


def _policy_order(name: str) -> tuple:
    # Text and numbers alternate, so that any two lists can be compared.
    pieces = re.split(r"(\d+)", name)
    return name != "full", [int(piece) if i % 2 else piece for i, piece in enumerate(pieces)]


def policy_colours(policies: Sequence[str], page: int) -> dict[str, str]:
    """A colour for each KV policy by its method: `r_kv-64` and `r_kv-128` share one."""
    methods = dict.fromkeys(method for method in map(_method, policies) if method != "full")
    colours = {"full": FULL_COLOUR, **dict(zip(methods, itertools.cycle(METHOD_COLOURS)))}
    return {policy: colours[_method(policy)][page] for policy in policies}


def _method(policy: str) -> str:
    return re.sub(r"-[a-z]?[0-9.]+", "", policy)


def precisions(scenarios: pd.DataFrame) -> list[str]:
    """The precisions of the weights, most bits first; smaller groups of weights come before larger."""
    distinct = weights_column(scenarios.drop_duplicates("engine_id"))
    return list(dict.fromkeys(weights.slug for weights in sorted(distinct, key=_weights_order)))


def _weights_order(weights: WeightSpec) -> tuple:
    group = weights.group_size if weights.group_size >= 0 else math.inf
    return -weights.bits, weights.method, group, weights.slug


def policy_styles(policies: Sequence[str]) -> dict[str, PolicyStyle]:
    """A style for each KV policy.

    19 have a marker of their own, which tells them apart where no line is drawn. 95 of them differ, since
    the two cycles have no common factor.
    """
    return {
        name: PolicyStyle(MARKERS[i % len(MARKERS)], DASHES[i % len(DASHES)])
        for i, name in enumerate(policies)
    }


def fills(labels: Sequence[str]) -> dict[str, str]:
    """How full a marker is for each precision, most bits first: full, dotted, open."""
    kinds = ("full", "dotted", "open")
    spread = max(1, len(labels) - 1)
    return {label: kinds[min(2, round(2 * i / spread))] for i, label in enumerate(labels)}


def ramp(stops: Sequence[str], count: int) -> tuple[str, ...]:
    """`count` colours spread evenly over a ramp. A single one is taken from the middle."""
    positions = [0.5] if count == 1 else [i / (count - 1) for i in range(count)]
    return tuple(_colour_at(stops, position) for position in positions)


def _colour_at(stops: Sequence[str], position: float) -> str:
    place = position * (len(stops) - 1)
    left = min(int(place), len(stops) - 2)
    start, end = (_channels(stop) for stop in stops[left : left + 2])
    mixed = (round(a + (b - a) * (place - left)) for a, b in zip(start, end, strict=True))
    return "#" + "".join(f"{channel:02x}" for channel in mixed)


def _channels(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))
