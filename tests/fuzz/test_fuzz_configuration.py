"""Whatever stands in a configuration: it is a run, or one line of bad input. Nothing else is raised."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from many import many
from support.configurations import read, valid_configuration, write_models

from raysweep.configuration.identity import as_document
from raysweep.errors import ConfigError
from raysweep.run_config import RunConfig

WORDS = st.sampled_from(
    [
        *(
            "",
            " ",
            "null",
            "~",
            "../up",
            "/etc/passwd",
            "a\0b",
            "\x1b[2J",
            "\ud800",
            "x" * 5000,
            "${out}",
        ),
        *(
            "s3://",
            "s3://b/x?y=z",
            "hf://",
            "file:///",
            "nan",
            "1e999",
            "small",
            "chain",
            "full",
            "bf16",
        ),
        *(
            "gptq-4",
            "streaming_llm-64",
            "os.path",
            "raysweep.spec.Family",
            "</think>",
            "{{ x }}",
            "-1",
        ),
    ]
)
NUMBERS = st.one_of(
    st.integers(-3, 300),
    st.sampled_from([2**31, 2**63, -(2**63), 10**400, 0, -1]),
    st.floats(allow_nan=True, allow_infinity=True),
)
KEYS = st.sampled_from(
    [
        *(
            "name",
            "path",
            "method",
            "bits",
            "group_size",
            "loader",
            "count",
            "source",
            "hub",
            "window",
        ),
        *(
            "grader",
            "evict",
            "quantized",
            "family",
            "sampling",
            "temperature",
            "budget",
            "sinks",
            "repair",
        ),
        *(
            "prompt",
            "answer",
            "question",
            "answer_tokens",
            "levels",
            "",
            "a.b",
            "think_close",
            "layout",
        ),
    ]
)
PLAIN = st.one_of(st.none(), st.booleans(), NUMBERS, WORDS, st.text(max_size=12))
VALUES = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=8,
)


def places(value: Any, path: tuple = ()) -> Iterator[tuple]:
    """The paths of everything in a configuration."""
    for key in (
        value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    ):
        yield (*path, key)
        yield from places(value[key], (*path, key))


PLACES = list(places(valid_configuration()))


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    """The valid configuration with up to four changes: a value replaced, removed, or put beside another."""
    configuration = copy.deepcopy(valid_configuration())
    for _ in range(draw(st.integers(1, 4))):
        *parents, key = draw(st.sampled_from(PLACES))
        where: Any = configuration
        try:
            for parent in parents:
                where = where[parent]
            how = draw(st.sampled_from(["replace", "replace", "replace", "remove", "add"]))
            if how == "remove":
                del where[key]
            elif how == "add" and isinstance(where, dict):
                where[draw(KEYS)] = draw(VALUES)
            else:
                where[key] = draw(VALUES)
        except (KeyError, IndexError, TypeError):  # an earlier change has taken it away
            continue
    return configuration


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("fuzz")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield write_models(folder, "small", "large")


def check(configuration: dict[str, Any], mine: Path) -> None:
    try:
        config = read(configuration, mine)
    except ConfigError as error:
        said = str(error)
        assert said and said == " ".join(said.split()) and "\x1b" not in said and "\0" not in said
        return
    assert isinstance(config, RunConfig)
    yaml.safe_load(yaml.safe_dump(as_document(config)))


@many()
@given(configuration=mutated())
def test_a_mutated_configuration_is_a_run_or_bad_input(mine: Path, configuration: dict[str, Any]):
    check(configuration, mine)


@many(100)
@given(
    entry=st.dictionaries(KEYS, VALUES, max_size=6),
    kind=st.sampled_from(["kv_policies", "weights"]),
)
def test_any_definition_in_place_is_a_noun_or_bad_input(
    mine: Path, kind: str, entry: dict[str, Any]
):
    configuration = valid_configuration()
    configuration["sweep"][kind] = [entry]
    check(configuration, mine)
