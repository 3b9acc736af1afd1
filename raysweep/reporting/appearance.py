"""What a model, a KV policy and a precision look like: the same on the page and in the figures.

A model's size is an ordered hue, from indigo (small) to orange (large), whose lightness rises
with it, so that the order survives colour blindness and a grey print. A KV policy is a marker and a
dash, a precision is how full the marker is.
"""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from raysweep.system.quantities import weights_label

LIGHT_RAMP = ("#1b0c8c", "#6f0ca8", "#b7318c", "#e05e5a", "#e08a1e")  # on a white page
DARK_RAMP = ("#6a74ff", "#a468ee", "#e5699f", "#fb9a5f", "#ffdd66")  # on a black one

# Precisions and group sizes where they are what is coloured: ordered too. For light and dark.
PRECISION_RAMPS = (("#0b4f6c", "#1a8a6c", "#b8860b"), ("#5ab4d6", "#4fd1a5", "#f2c14e"))
GROUP_RAMPS = (("#3d5a80", "#8e5aa8", "#c8472f"), ("#9db8e0", "#d39bea", "#ff9478"))

SERIAL, PARALLEL = ("#0072b2", "#56b4e9"), ("#c84e00", "#ff8c42")  # one sample, and votes

# A KV policy's method, on a white page and on a black one.
LIGHT, DARK = 0, 1
FULL_COLOUR = ("#1c1e21", "#e9ebee")
METHOD_COLOURS = (
    *(("#0072b2", "#56b4e9"), ("#c84e00", "#ff8c42"), ("#00825f", "#3ddc97")),
    *(("#b8508c", "#f0a6ca"), ("#8f6b00", "#ffd166"), ("#6a3d9a", "#b794f6")),
    *(("#8c4a3f", "#d9a594"), ("#5a7d00", "#b5d94c"), ("#c2185b", "#ff7aa8")),
)


@dataclass(frozen=True)
class Marker:
    """One shape, as matplotlib and SVG (in a box from -6 to 6) name it."""

    matplotlib: str
    svg_path: str


@dataclass(frozen=True)
class Dash:
    """One line pattern; `lengths` in pixels, as in SVG's stroke-dasharray, none if solid."""

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
)
DASHES = (
    Dash(()),
    Dash((6, 3)),
    Dash((2, 2)),
    Dash((6, 2, 2, 2)),
    Dash((10, 3)),
)


def models(scenarios: pd.DataFrame) -> dict[str, int]:
    """Number of parameters of each model, smallest first."""
    sizes = scenarios.drop_duplicates("model").sort_values(["params", "model"])
    return {name: int(size) for name, size in zip(sizes.model, sizes.params, strict=True)}


def model_colours(scenarios: pd.DataFrame, stops: Sequence[str] = LIGHT_RAMP) -> dict[str, str]:
    """A colour for each model, along the ramp by size."""
    names = models(scenarios)
    return dict(zip(names, ramp(stops, len(names)), strict=True))


def policies(scenarios: pd.DataFrame) -> list[str]:
    """KV policies: `full` first, the others by method and then by number."""
    return sorted(scenarios.kv_policy.unique(), key=_policy_order)


def _policy_order(name: str) -> tuple:
    pieces = re.split(r"(\d+)", name)  # text and numbers alternate, so that tuples compare
    return name != "full", [int(piece) if i % 2 else piece for i, piece in enumerate(pieces)]


def policy_colours(policies: Sequence[str], page: int) -> dict[str, str]:
    """A colour for each KV policy by its method: `r_kv-64` and `r_kv-128` share one."""
    methods = dict.fromkeys(method for method in map(_method, policies) if method != "full")
    colours = {"full": FULL_COLOUR, **dict(zip(methods, itertools.cycle(METHOD_COLOURS)))}
    return {policy: colours[_method(policy)][page] for policy in policies}


def _method(policy: str) -> str:
    return re.sub(r"-[a-z]?[0-9.]+", "", policy)


def precisions(scenarios: pd.DataFrame) -> list[str]:
    """Weight precisions, most bits first."""
    kinds = set(zip(scenarios.weight_bits, scenarios.weight_method, strict=True))
    ordered = sorted(kinds, key=lambda kind: (-kind[0], kind[1]))
    return [weights_label(method, bits) for bits, method in ordered]


def policy_styles(policies: Sequence[str]) -> dict[str, PolicyStyle]:
    """A style for each KV policy; 45 differ, because the two cycles have no common factor."""
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
    """`count` colours spread evenly over a ramp; one alone is taken from the middle."""
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
