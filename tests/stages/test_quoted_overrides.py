"""What the advice for a value that Hydra cannot read says, followed to the letter."""

import re
import shlex
import sys
from pathlib import Path

import pytest

from raysweep.configuration.composition import Composed, compose
from raysweep.configuration.config import read_config
from raysweep.errors import ConfigError


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")


def composed(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Composed:
    monkeypatch.setattr(sys, "argv", ["raysweep", *arguments])
    found = compose()
    assert found is not None
    return found


@pytest.mark.parametrize(
    "value",
    [
        "/data/a=b",
        "/data/a#b",
        "~/runs",
        "müller",
        "日本",
        "a&b;c",
        "/it's",
        'say "hi"!',
        "a(b)",
        "s3://bucket/runs?endpoint_override=localhost:9000&scheme=http",
    ],
)
def test_the_advice_for_a_text_is_a_command_that_is_understood(
    monkeypatch: pytest.MonkeyPatch, value: str
):
    with pytest.raises(ConfigError, match="has characters that need quotes; write ") as raised:
        composed(monkeypatch, f"out={value}")
    (argument,) = shlex.split(str(raised.value).partition("; write ")[2])
    assert composed(monkeypatch, argument).values["out"] == value


@pytest.mark.parametrize("argument", ["sweep.group_sizes=[1,", "seed", 'out="a'])
def test_the_advice_for_all_else_shows_a_list_and_a_text_that_are_understood(
    monkeypatch: pytest.MonkeyPatch, argument: str
):
    with pytest.raises(ConfigError) as raised:
        composed(monkeypatch, argument)
    quoted = re.findall(r"\('([^']+)'\)", str(raised.value))
    values = composed(monkeypatch, *quoted).values
    assert (values["sweep"]["group_sizes"], values["out"]) == ([1, 4], "a=b")


def test_a_home_folder_is_written_as_in_a_shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("HOME", str(tmp_path))
    found = composed(monkeypatch, 'out="~/runs"')
    config = read_config(found.values, found.folders)
    assert config.out == f"{tmp_path}/runs"
    assert config.prepare.checkpoints == f"{tmp_path}/runs/checkpoints"


def test_a_home_folder_that_is_unknown_is_refused(monkeypatch: pytest.MonkeyPatch):
    found = composed(monkeypatch, 'out="~nobody_here/runs"')
    with pytest.raises(
        ConfigError, match="out: '~nobody_here/runs' begins with ~, and no such home"
    ):
        read_config(found.values, found.folders)


@pytest.mark.parametrize(("argument", "name"), [("run=50%", "50%"), ('run="müller"', "müller")])
def test_a_name_that_no_file_should_have_is_refused_with_the_characters_that_it_may_have(
    monkeypatch: pytest.MonkeyPatch, argument: str, name: str
):
    found = composed(monkeypatch, argument)
    with pytest.raises(
        ConfigError, match=f"run: '{name}' is not a plain name; use a-z, A-Z, digits"
    ):
        read_config(found.values, found.folders)
