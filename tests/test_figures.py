"""Figures are pure functions of the tables: equal tables, equal bytes."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import result_tables

from raysweep.reporting.appearance import (
    LIGHT,
    fill_suffixes,
    model_colours,
    policies,
    policy_colours,
    policy_styles,
    ramp,
)
from raysweep.reporting.figures import all_figures, file_stem, memory_figure
from raysweep.reporting.results import points_of, where

SCENARIOS = result_tables.scenarios()
FRONTIER = result_tables.frontier(SCENARIOS)


@pytest.fixture(scope="module")
def figures():
    """One benchmark's figures, drawn once."""
    return dict(all_figures(where(SCENARIOS, benchmark="chain"), FRONTIER))


def test_each_benchmark_has_four_figures_in_two_formats(figures):
    assert list(figures) == [
        "chain-frontier",
        "chain-token-budget",
        "chain-group-size",
        "chain-kv-policy",
    ]
    for encodings in figures.values():
        assert ElementTree.fromstring(encodings["svg"]).tag.endswith("svg")
        assert encodings["png"].startswith(b"\x89PNG")


def test_equal_tables_give_equal_bytes_and_no_date(figures):
    again = dict(all_figures(where(SCENARIOS, benchmark="chain"), FRONTIER.copy()))
    assert again == figures
    assert all(b"<dc:date>" not in encodings["svg"] for encodings in figures.values())


def test_the_memory_figure_draws_the_frontier_of_the_smallest_batch():
    points = where(FRONTIER, benchmark="facts")
    axes = memory_figure(where(SCENARIOS, benchmark="facts"), points).axes[0]
    alone = points_of(where(points, batch_size=1))
    drawn = np.asarray(axes.lines[0].get_xydata())
    assert drawn.tolist() == [[point.memory_bytes, point.accuracy] for point in alone]


def test_policies_of_one_method_share_a_colour_and_the_full_caches_is_its_own():
    names = ["full", "r_kv-64", "r_kv-128-b32", "r_kv-128_quantized-4", *"abcdefghij"]
    colours = policy_colours(names, LIGHT)
    assert colours["r_kv-64"] == colours["r_kv-128-b32"] != colours["r_kv-128_quantized-4"]
    assert list(colours.values()).count(colours["full"]) == 1


def test_a_dollar_or_a_path_in_a_name_is_drawn_and_named_harmlessly():
    name = "../$\\frac{1}$<b>"
    rows = where(SCENARIOS, benchmark="chain").assign(benchmark=name)
    points = where(FRONTIER, benchmark="chain").assign(benchmark=name)
    stems = [stem for stem, _ in all_figures(rows, points)]
    assert len(stems) == 4
    assert not any("/" in stem or "." in stem for stem in stems)


def test_names_that_look_alike_as_files_stay_apart():
    assert file_stem("chain") == "chain"
    assert file_stem("a/b") != file_stem("a:b")


def test_a_run_without_scenarios_has_no_figures():
    assert list(all_figures(SCENARIOS.head(0), FRONTIER.head(0))) == []


def test_hues_follow_model_size_whatever_the_order_of_rows():
    shuffled = SCENARIOS.sample(frac=1, random_state=1)
    assert list(model_colours(shuffled)) == [f"tiny-{n}k" for n in (50, 104, 208, 394, 755)]
    assert model_colours(shuffled) == model_colours(SCENARIOS)
    assert ramp(("#000000", "#ffffff"), 3) == ("#000000", "#808080", "#ffffff")
    assert ramp(("#000000", "#ffffff"), 1) == ("#808080",)


def test_the_full_cache_comes_first_and_policies_sort_by_number():
    assert policies(SCENARIOS) == ["full", "streaming_llm-64", "streaming_llm-128"]


def test_thirty_five_policies_look_different():
    assert len(set(policy_styles([f"policy-{i}" for i in range(35)]).values())) == 35


def test_fewer_bits_make_emptier_markers():
    assert fill_suffixes(["bf16", "gptq8", "gptq4"]) == {
        "bf16": "",
        "gptq8": "-open-dot",
        "gptq4": "-open",
    }
    assert fill_suffixes(["bf16", "gptq4"]) == {"bf16": "", "gptq4": "-open"}
