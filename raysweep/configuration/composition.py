"""Hydra, and where it ends: the command line and conf/ composed into plain values.

Nothing that Hydra made leaves this module, and what it has to say about a bad command line becomes a
ConfigError of one line, in the words of the rest.
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

from raysweep.configuration.config import conf_folder, unknown_key
from raysweep.errors import ConfigError, one_line, shown, unknown
from raysweep.system.safe_text import without_secrets

UNKNOWN_OVERRIDE = re.compile(r"Could not override '([^']+)'")
UNKNOWN_OPTION = re.compile(r"Could not find '([^']+)/([^'/]+)'\s+Available options in '[^']+':")
BESIDE_THE_POINT = re.compile(r"Config search path:|See https://|full_key:|Error parsing override")
LONGEST_ADVICE = 200  # characters; a longer override is not repeated in its error


@dataclass(frozen=True)
class Composed:
    """A composed configuration as plain values, and the folders in which definitions lie."""

    values: dict[str, Any]
    folders: tuple[Path, ...]


def compose() -> Composed | None:
    """Have Hydra read the command line; None if that asked for information, such as --help."""
    on_one_line = [" ".join(argument.splitlines()) for argument in sys.argv[1:]]
    sys.argv[1:] = overrides_first(on_one_line)  # a long list in quotes may run over several lines
    os.environ["HYDRA_FULL_ERROR"] = "1"  # or Hydra prints errors and exits by itself
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
    """What Hydra prints of the configuration, printed with its secrets masked."""
    parsed = get_args_parser().parse_args(arguments)
    if not (parsed.cfg or parsed.info or parsed.help or parsed.hydra_help):
        yield  # the log is set up, and has to be so with the real standard output
        return
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            yield
    finally:
        print(without_secrets(printed.getvalue()), end="")


def overrides_first(arguments: list[str]) -> list[str]:
    """The arguments with all overrides together, as Hydra's parser wants them; refuses other flags."""
    parser = get_args_parser()

    def refuse(message: str) -> NoReturn:
        raise ConfigError(
            f"command line: {message}; write key=value, or +sweep=NAME; --help tells what there is"
        )

    parser.error = refuse  # it would print the usage of all flags, and exit
    parsed = parser.parse_intermixed_args(arguments)
    if parsed.multirun:
        raise ConfigError(
            "--multirun: raysweep sweeps by itself; give lists, such as sweep.group_sizes=[1,4]"
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
    """What Hydra says about bad input, as one line that names field, value and the way out."""
    message = str(error)
    if found := UNKNOWN_OVERRIDE.search(message):
        return unknown_key(found[1])
    if found := UNKNOWN_OPTION.search(message):
        group, option = found.groups()
        options = BESIDE_THE_POINT.split(message[found.end() :])[0].split()
        return unknown(group, option, group, options)
    gist = " ".join(BESIDE_THE_POINT.split(message)[0].split())
    if isinstance(error, OverrideParseException):
        advice = quoted(error.override) or (
            "key=value, a list in quotes as a whole ('sweep.group_sizes=[1,4]'), and a text with "
            "characters such as = # ~ or ü in double quotes inside those ('out=\"a=b\"')"
        )
        return ConfigError(f"{shown(error.override)} is not understood; write {advice}")
    field = getattr(error, "full_key", None)
    return ConfigError(f"{field}: {gist}; give it a value" if field else f"configuration: {gist}")
