"""A line of the terminal with its label, and numbers as people read them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    label: str
    text: str
    urgent: bool = False


def span(values: Sequence[float], shown: Callable[[float], str]) -> str:
    """`0.25–2`: the least and the largest value; empty if there are none."""
    if not values:
        return ""
    least, largest = shown(min(values)), shown(max(values))
    return least if least == largest else f"{least}–{largest}"


def human_hours(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 10 else f"{hours:.2g}"


def human_usd(usd: float) -> str:
    return f"${usd:,.0f}" if usd >= 10 else f"${usd:.2f}"
