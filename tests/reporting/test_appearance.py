"""No two KV policies of a shipped sweep look alike, neither as marks nor as lines."""

from pathlib import Path

import pandas as pd
import pytest
from support.shipped_sweeps import SWEEPS, policies_of

from raysweep.reporting.appearance import (
    DARK,
    LIGHT,
    MARKERS,
    policies,
    policy_colours,
    policy_styles,
)


def policies_in(path: Path) -> list[str]:
    """The KV policies of a sweep in the order of figures."""
    return policies(pd.DataFrame({"kv_policy": policies_of(path)}))


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_marks_tell_all_policies_of_a_sweep_apart_where_no_line_is_drawn(path: Path):
    names = policies_in(path)
    styles = policy_styles(names)
    assert len({style.marker for style in styles.values()}) == len(names)
    assert len({style.marker.svg_path for style in styles.values()}) == len(names)


@pytest.mark.parametrize("page", [LIGHT, DARK])
@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_lines_tell_all_policies_of_a_sweep_apart_by_colour_and_dash(path: Path, page: int):
    names = policies_in(path)
    colours, styles = policy_colours(names, page), policy_styles(names)
    assert len({(colours[name], styles[name].dash) for name in names}) == len(names)


def test_the_largest_sweep_has_nearly_as_many_policies_as_there_are_markers():
    """One that has more needs more markers."""
    assert max(len(policies_of(path)) for path in SWEEPS) == 16 <= len(MARKERS)


def test_ninety_five_policies_look_different():
    assert len(set(policy_styles([f"policy-{i}" for i in range(95)]).values())) == 95
