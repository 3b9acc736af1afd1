"""Reading mappings that somebody else wrote: each value is checked where it stands.

`Fields` is a mapping together with its place, so that every error names the full field, be it a key of
the composed configuration (`sweep.samples`) or of a file (`conf/weights/bf16.yaml: bits`).
"""

import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from raysweep.errors import ConfigError, shown, unknown
from raysweep.system.safe_text import is_whole

PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # safe as a part of a file's name
LONGEST_NAME = 100  # three of which make an engine's folder, and file systems end at 255
MOST_WORK = (
    100_000  # questions of a benchmark, or samples of a question: more is a slip of the finger
)
MOST = 2**63 - 1  # what a Parquet integer column holds

Loaded = TypeVar("Loaded")


@dataclass(frozen=True)
class Fields:
    """The mapping `values`; `prefix` goes before a key to name the field: "", "sweep.", "a.yaml: "."""

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
        """Itself, once it is sure that it has no keys but these."""
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

    def text(self, key: str) -> str:
        value = self.value(key)
        if not isinstance(value, str) or not value:
            raise ConfigError(f"{self.at(key)}: {shown(value)} is not a text; write some")
        if not is_whole(value):
            raise ConfigError(
                f"{self.at(key)}: {shown(value)} has half a character in it; correct it"
            )
        return value

    def path(self, key: str) -> str:
        """A local path or an address."""
        return at_home(self.text(key), self.at(key))

    def name(self, key: str) -> str:
        """A text that is fit for a file's name; a whole number is taken for its digits."""
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
        """What `load` has for one of the `known` names or for an import path."""
        name = self.text(key)
        try:
            return load(name)
        except ValueError as error:
            if "." not in name:
                raise unknown(self.at(key), name, kind, known) from error
            raise ConfigError(f"{self.at(key)}: {error}; correct the import path") from error

    def choices(self, key: str, kind: str, known: Iterable[str]) -> tuple[str, ...]:
        """A list of different ones of the `known` names."""
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
                f"{self.at(key)}: {shown(value)} is neither true nor false; write one"
            )
        return value

    def integer(self, key: str, least: int = 1, most: int = MOST) -> int:
        return whole_number(self.value(key), self.at(key), least, most)

    def number(self, key: str, least: float = 0, most: float = math.inf) -> float:
        """A finite number between `least` and `most`, both included."""
        value = self.value(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ConfigError(f"{self.at(key)}: {shown(value)} is not a number; write one")
        finite = abs(value) <= sys.float_info.max  # a whole number may be too large for isfinite
        if not (finite and least <= value <= most):
            bounds = f"{least} or more" if most == math.inf else f"{least} to {most}"
            raise ConfigError(f"{self.at(key)}: {value} is out of range; write a number {bounds}")
        return float(value)

    def entries(self, key: str) -> list[tuple[str, Any]]:
        """The entries of a list, which must not be empty, each with the name of its place."""
        value = self.value(key)
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{self.at(key)}: {shown(value)} is not a list; write [...]")
        if not value:
            raise ConfigError(f"{self.at(key)}: the list is empty; write at least one entry")
        return [(f"{self.at(key)}[{index}]", entry) for index, entry in enumerate(value)]

    def integers(self, key: str) -> tuple[int, ...]:
        """A list of different positive whole numbers."""
        numbers = [(place, whole_number(entry, place)) for place, entry in self.entries(key)]
        seen: set[int] = set()
        for place, number in numbers:
            if number in seen:
                raise ConfigError(f"{place}: {number} stands there twice; remove one")
            seen.add(number)
        return tuple(number for _, number in numbers)


def whole_number(value: Any, field: str, least: int = 1, most: int = MOST) -> int:
    """`value` as a whole number from `least` to `most`, or to what a Parquet column holds."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(f"{field}: {shown(value)} is not a whole number; write one")
    if not least <= value <= most:
        bounds = f"{least} or more" if most == MOST else f"{least} to {most:,}"
        raise ConfigError(f"{field}: {value} is out of range; write {bounds}")
    return value


def refuse_duplicates(named: Iterable[tuple[str, str]]) -> None:
    """Raise if two of the (place, name) pairs have one name."""
    places: dict[str, str] = {}
    for place, name in named:
        if name in places:
            raise ConfigError(
                f"{place}: {shown(name)} is the name of {places[name]} too; "
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
