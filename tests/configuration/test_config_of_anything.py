"""Any wrong value gives an error of one line: any JSON, any size, even unpaired surrogates."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.configurations import (
    changed,
    read,
    valid_configuration,
)
from support.refused_configurations import REFUSED

from raysweep.errors import ConfigError
from raysweep.run_config import RunConfig

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 99) | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=4,
)
PATHS = [
    *(path for path, _, _ in REFUSED),
    "sweep.batch_sizes",
    "generation.shard_questions",
    "generation",
    "cluster",
]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(sorted(set(PATHS))), JSON), min_size=1, max_size=3))
def test_a_broken_configuration_never_gives_anything_but_one_line(
    mine: Path, changes: list[tuple[str, Any]]
):
    configuration = valid_configuration()
    for path, value in changes:
        *parents, key = path.split(".")
        section = configuration
        for parent in parents:
            section = section.get(parent, {})
            section = section if isinstance(section, dict) else {}
        section[key] = value
    try:
        assert isinstance(read(configuration, mine), RunConfig)
    except ConfigError as error:
        assert len(str(error).splitlines()) == 1


@pytest.mark.parametrize("count", [100_001, 2**40])
def test_a_number_of_questions_or_samples_that_no_machine_holds_is_refused_at_once(
    mine: Path, count: int
):
    chain = {"name": "chain", "count": count}
    with pytest.raises(ConfigError, match=r"count: \d+ is out of range; write 1 to 100,000"):
        read(changed("sweep.benchmarks", [chain]), mine)
    with pytest.raises(
        ConfigError, match=r"^sweep\.samples: \d+ is out of range; write 1 to 100,000"
    ):
        read(changed("sweep.samples", count), mine)


def test_a_text_with_half_a_character_in_it_is_refused(mine: Path):
    family = {"name": "tiny", "think_open": "\ud800"}
    with pytest.raises(ConfigError, match=r"think_open: '.ud800' contains an unpaired surrogate"):
        read(changed("sweep.models", [{"name": "small", "family": family}]), mine)
