"""Composes the command line and conf/ into plain values, with Hydra.

This is the only module that uses Hydra. It returns plain values, and turns Hydra's complaints about a bad
command line into a ConfigError of one line.
"""

import io
import os
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import hydra
import yaml
from hydra._internal.utils import get_args_parser  # the only list of Hydra's flags
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from raysweep.configuration.config import SECTIONS, conf_folder
from raysweep.errors import ConfigError, one_line, shown, unknown
from raysweep.system.safe_text import without_secrets

UNKNOWN_OVERRIDE = re.compile(r"Could not override '([^']+)'")
UNKNOWN_OPTION = re.compile(r"Could not find '([^']+)/([^'/]+)'\s+Available options in '[^']+':")
BESIDE_THE_POINT = re.compile(r"Config search path:|See https://|full_key:|Error parsing override")
LONGEST_ADVICE = 200  # characters; a longer override is not repeated in its error

# For each kind of definition, the list below `sweep` that names them.
LISTS = {
    "model": "models",
    "weights": "weights",
    "kv_policy": "kv_policies",
    "benchmark": "benchmarks",
}


@dataclass(frozen=True)
class Composed:
    """A composed configuration as plain values, and the folders that hold definitions."""

    values: dict[str, Any]
    folders: tuple[Path, ...]


def compose() -> Composed | None:
    """Have Hydra read the command line. Returns None if it asked for information, such as --help."""
    # A long list in quotes may contain line breaks, which Hydra refuses.
    on_one_line = [" ".join(argument.splitlines()) for argument in sys.argv[1:]]
    sys.argv[1:] = overrides_first(on_one_line)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # otherwise Hydra prints errors and exits by itself
    kept: list[tuple[DictConfig, tuple[Path, ...]]] = []

    def keep(config: DictConfig) -> None:
        sources = HydraConfig.get().runtime.config_sources
        kept.append((config, tuple(Path(s.path).absolute() for s in sources if s.schema == "file")))

    try:
        with information_without_secrets(sys.argv[1:]):
            hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="config")(
                keep
            )()
        if not kept:
            return None
        config, folders = kept[0]
        values = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError) as error:
        raise in_our_words(error) from error
    assert isinstance(values, dict)
    return Composed({str(key): value for key, value in values.items()}, folders)


@contextmanager
def information_without_secrets(arguments: list[str]) -> Iterator[None]:
    """Mask secrets in the configuration that Hydra prints."""
    parsed = get_args_parser().parse_args(arguments)
    if not (parsed.cfg or parsed.info or parsed.help or parsed.hydra_help):
        yield  # Hydra sets up the log now, which needs the real standard output
        return
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            yield
    finally:
        print(without_secrets(printed.getvalue()), end="")


def overrides_first(arguments: list[str]) -> list[str]:
    """The arguments with all overrides first, as Hydra's parser requires. Unknown flags are refused."""
    parser = get_args_parser()

    def refuse(message: str) -> NoReturn:
        raise ConfigError(f"command line: {message}; write key=value or +sweep=NAME, or see --help")

    parser.error = refuse  # the parser's own would print the usage of all flags and exit
    parsed = parser.parse_intermixed_args(arguments)
    if parsed.multirun:
        raise ConfigError(
            "--multirun: is not needed, because raysweep sweeps by itself; give lists, such as "
            "sweep.group_sizes=[1,4]"
        )
    flags = list(arguments)
    for override in parsed.overrides:
        flags.remove(override)
    return [*parsed.overrides, *flags]


def quoted(override: str) -> str:
    """An override whose text Hydra cannot read as it is, quoted for Hydra and for a shell; else empty."""
    key, _, value = override.partition("=")
    if not value or value[0] in "[{\"'":  # a list or a text that was not closed
        return ""
    said = '{}="{}"'.format(key, value.replace('"', '\\"'))
    try:
        understood = OverridesParser.create().parse_override(said).value() == value
    except HydraException:
        return ""
    advice = shlex.quote(said)
    fits = len(advice) <= LONGEST_ADVICE and one_line(advice) == advice
    return advice if understood and fits else ""


def in_our_words(error: Exception) -> ConfigError:
    """Hydra's complaint about bad input, as one line with the field, its value and the way out."""
    message = str(error)
    if found := UNKNOWN_OVERRIDE.search(message):
        return unknown_key(found[1])
    if found := UNKNOWN_OPTION.search(message):
        group, option = found.groups()
        options = BESIDE_THE_POINT.split(message[found.end() :])[0].split()
        return unknown(group, option, group, options)
    gist = " ".join(BESIDE_THE_POINT.split(message)[0].split())
    if isinstance(error, OverrideParseException):
        if advice := quoted(error.override):
            return ConfigError(
                f"{shown(error.override)} has characters that need quotes; write {advice}"
            )
        return ConfigError(
            f"{shown(error.override)} is not key=value; quote a list as a whole "
            "('sweep.group_sizes=[1,4]'), and put a text with characters such as = # ~ or ü in double "
            "quotes inside those ('out=\"a=b\"')"
        )
    field = getattr(error, "full_key", None)
    return ConfigError(f"{field}: {gist}; give it a value" if field else f"configuration: {gist}")


def unknown_key(path: str) -> ConfigError:
    """The error for a key on the command line that no section has."""
    if path in LISTS:
        return ConfigError(f"{path}: is not a key; choose with sweep.{LISTS[path]}=[...]")
    if path == "sweep":
        return ConfigError("sweep: cannot be set as a key; choose with +sweep=NAME")
    first, *others = path.split(".")
    section, key = (first, others[0]) if first in SECTIONS and others else ("", first)
    if key in SECTIONS[section]:
        return ConfigError(f"{path}: {key!r} has no keys below it; give its value as a whole")
    owners = [owner for owner in SECTIONS if owner and key in SECTIONS[owner]]
    if owners and not section:
        return ConfigError(f"{path}: is not a known key; did you mean '{owners[0]}.{key}'?")
    return unknown(section, key, "key", SECTIONS[section])
