"""How quantities are written for people: on the page, in figures, in the terminal.

Three significant digits are all that the data support. Halves are rounded up, as in words.js, which has
twins of these functions. Bytes are decimal: GB = 1e9 bytes.
"""

import re
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Context, Decimal

# Bytes of a gigabyte, the one constant for this.
GB = 1e9

BYTE_UNITS = ("B", "kB", "MB", "GB", "TB")
COUNT_UNITS = ("", "k", "M", "B", "T")
THREE_DIGITS = Context(prec=3, rounding=ROUND_HALF_UP)


def human_bytes(count: float) -> str:
    """`1.25 MB`, `302 kB`."""
    return _scaled(count, BYTE_UNITS, " ")


def human_count(count: float) -> str:
    """`755k`, `1.72B`: parameters."""
    return _scaled(count, COUNT_UNITS, "")


def tied(text: str) -> str:
    """The text with its byte counts kept on one line: `1.25 MB` with a no-break space."""
    return re.sub(r"(?<=\d) (?=[kMGT]?B\b)", "\u00a0", text)


def _scaled(value: float, units: Sequence[str], gap: str) -> str:
    rounded = float(THREE_DIGITS.create_decimal_from_float(float(value)))  # 999,900 B is 1 MB
    power = 0
    while abs(rounded) >= 1000 and power < len(units) - 1:
        rounded, power = rounded / 1000, power + 1
    return f"{rounded:g}{gap}{units[power]}"


def percent(share: float) -> str:
    """`71.2%`; a missing share is a dash."""
    return "–" if share != share else f"{_tenths(100 * share)}%"


def interval(low: float, high: float) -> str:
    """`66.1–75.9`, in percent."""
    return f"{_tenths(100 * low)}–{_tenths(100 * high)}"


def percentage_points(share: float) -> str:
    """`−1.5`: a difference of accuracies, in percentage points."""
    return str(_tenths(100 * share)).replace("-", "−")


def _tenths(value: float) -> Decimal:
    # Adding 0 makes a negative zero a plain one.
    return Decimal(float(value)).quantize(Decimal("0.1"), ROUND_HALF_UP) + 0


def duration(seconds: float) -> str:
    """`12.3 s`, `5 min 4 s`, `3 h 20 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60:,} h {minutes % 60} min"


def plural(count: int, noun: str) -> str:
    """`1 point`, `1,204 points`."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
