"""Reads and checks the values of mappings that users write.

`Fields` is a mapping together with its place, so every error names the full field. This is a key of the
composed configuration (`sweep.samples`) or of a file (`conf/weights/bf16.yaml: bits`).
"""

import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar

from raysweep.errors import ConfigError, shown, unknown
from raysweep.system.safe_text import is_whole

# Such a name is safe as a part of a file's name.
PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
# Three names make up an engine's folder, and file systems allow 255 characters.
LONGEST_NAME = 100
# More questions per benchmark or samples per question are taken for a typing error.
MOST_WORK = 100_000
# The largest number that a Parquet integer column holds.
MOST = 2**63 - 1

Loaded = TypeVar("Loaded")


@dataclass(frozen=True)
class Fields:
    """The mapping `values`. A field's full name is `prefix` and its key: "", "sweep.", "a.yaml: "."""

    prefix: str
    values: Mapping[str, Any]

    @classmethod
    def of(cls, value: Any, field: str) -> "Fields":
        """The fields below `field`, which must be a mapping."""
        if not isinstance(value, Mapping):
            raise ConfigError(f"{field}: {shown(value)} is not a mapping; write key: value pairs")
        return cls(f"{field}.", value)

    def at(self, key: str) -> str:
        return f"{self.prefix}{key}"

    def only(self, keys: Iterable[str]) -> "Fields":
        """These fields. Raises ConfigError if they have a key that is not in `keys`."""
        keys = tuple(keys)
        for key in self.values:
            if key not in keys:
                raise unknown(self.prefix.rstrip(".: "), key, "key", keys)
        return self

    def value(self, key: str) -> Any:
        if key not in self.values:
            raise ConfigError(f"{self.at(key)}: missing; give it a value")
        return self.values[key]

    def below(self, key: str) -> "Fields":
        return Fields.of(self.value(key), self.at(key))

    def text(self, key: str, empty: bool = False) -> str:
        """A text, which may have no characters only if `empty` says so."""
        value = self.value(key)
        if not isinstance(value, str) or not (value or empty):
            raise ConfigError(f"{self.at(key)}: {shown(value)} is not a text; write a text")
        if not is_whole(value):
            raise ConfigError(
                f"{self.at(key)}: {shown(value)} contains an unpaired surrogate; correct it"
            )
        return value

    def path(self, key: str) -> str:
        """A local path or an address."""
        return at_home(self.text(key), self.at(key))

    def name(self, key: str) -> str:
        """A text that is fit for a file's name. A whole number stands for its digits."""
        value = self.value(key)
        if isinstance(value, bool):
            raise ConfigError(
                f"{self.at(key)}: {value} is a truth value, not a name; put it in two pairs of quotes, "
                f"\"'{str(value).lower()}'\""
            )
        name = str(value) if isinstance(value, int) else self.text(key)
        if not PLAIN_NAME.fullmatch(name):
            raise ConfigError(
                f"{self.at(key)}: {shown(name)} is not a plain name; use a-z, A-Z, digits, '_', '-' and "
                "'.' only"
            )
        if len(name) > LONGEST_NAME:
            raise ConfigError(
                f"{self.at(key)}: {shown(name)} has {len(name)} characters; use at most {LONGEST_NAME}"
            )
        return name

    def choice(self, key: str, kind: str, known: Iterable[str]) -> str:
        value, known = self.value(key), tuple(known)
        if value not in known:
            raise unknown(self.at(key), value, kind, known)
        return value

    def loaded(
        self, key: str, kind: str, known: Iterable[str], load: Callable[[str], Loaded]
    ) -> Loaded:
        """What `load` returns for one of the `known` names or for an import path."""
        name = self.text(key)
        try:
            return load(name)
        except ValueError as error:
            if "." not in name:
                raise unknown(self.at(key), name, kind, known) from error
            raise ConfigError(f"{self.at(key)}: {error}; correct the import path") from error

    def choices(self, key: str, kind: str, known: Iterable[str]) -> tuple[str, ...]:
        """A list of `known` names without duplicates."""
        entries, known = self.entries(key), tuple(known)
        for place, entry in entries:
            if entry not in known:
                raise unknown(place, entry, kind, known)
        refuse_duplicates(entries)
        return tuple(entry for _, entry in entries)

    def flag(self, key: str) -> bool:
        value = self.value(key)
        if not isinstance(value, bool):
            raise ConfigError(
                f"{self.at(key)}: {shown(value)} is neither true nor false; write one of them"
            )
        return value

    def integer(self, key: str, least: int = 1, most: int = MOST) -> int:
        return whole_number(self.value(key), self.at(key), least, most)

    def number(self, key: str, least: float = 0, most: float = math.inf) -> float:
        """A finite number between `least` and `most`, both included."""
        value = self.value(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ConfigError(f"{self.at(key)}: {shown(value)} is not a number; write a number")
        # math.isfinite would fail on a very large whole number.
        finite = abs(value) <= sys.float_info.max
        if not (finite and least <= value <= most):
            bounds = f"{least} or more" if most == math.inf else f"{least} to {most}"
            raise ConfigError(f"{self.at(key)}: {value} is out of range; write a number {bounds}")
        return float(value)

    def date(self, key: str) -> date:
        value = self.value(key)
        try:
            return date.fromisoformat(str(value))
        except ValueError as error:
            raise ConfigError(
                f"{self.at(key)}: {shown(value)} is not a date; write YYYY-MM-DD"
            ) from error

    def entries(self, key: str) -> list[tuple[str, Any]]:
        """The entries of a list, each with its full field. The list must not be empty."""
        value = self.value(key)
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{self.at(key)}: {shown(value)} is not a list; write [...]")
        if not value:
            raise ConfigError(f"{self.at(key)}: the list is empty; write at least one entry")
        return [(f"{self.at(key)}[{index}]", entry) for index, entry in enumerate(value)]

    def integers(self, key: str) -> tuple[int, ...]:
        """A list of positive whole numbers without duplicates."""
        numbers = [(place, whole_number(entry, place)) for place, entry in self.entries(key)]
        seen: set[int] = set()
        for place, number in numbers:
            if number in seen:
                raise ConfigError(f"{place}: {number} is in the list twice; remove one")
            seen.add(number)
        return tuple(number for _, number in numbers)


def whole_number(value: Any, field: str, least: int = 1, most: int = MOST) -> int:
    """`value` as a whole number from `least` to `most`. The default is what a Parquet column holds."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(f"{field}: {shown(value)} is not a whole number; write a whole number")
    if not least <= value <= most:
        bounds = f"{least} or more" if most == MOST else f"{least} to {most:,}"
        raise ConfigError(f"{field}: {value} is out of range; write {bounds}")
    return value


def refuse_duplicates(named: Iterable[tuple[str, str]]) -> None:
    """Raise if two of the (place, name) pairs have the same name."""
    places: dict[str, str] = {}
    for place, name in named:
        if name in places:
            raise ConfigError(
                f"{place}: {shown(name)} is also the name of {places[name]}; "
                "remove one, or make their names differ"
            )
        places[name] = place


def at_home(path: str, field: str) -> str:
    """A path in which ~ stands for a home folder, as in a shell; Python would make a folder called ~."""
    expanded = os.path.expanduser(path)
    if expanded.startswith("~"):
        raise ConfigError(
            f"{field}: {shown(path)} begins with ~, and no such home folder is known; write the whole "
            "path, or ./~ for a folder of that name"
        )
    return expanded
