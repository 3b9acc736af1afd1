"""Figures are pure functions of the tables: equal tables, equal bytes."""

import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from support import result_tables

from raysweep.analysis import study
from raysweep.analysis.candidates import Candidates
from raysweep.reporting.appearance import (
    LIGHT,
    fills,
    model_colours,
    models,
    policies,
    policy_colours,
    precisions,
    ramp,
)
from raysweep.reporting.figures import FIGURES, all_figures, draw, file_stem, memory_figure
from raysweep.reporting.results import Results, points_of, where
from raysweep.reporting.study_figures import parallel_figure

RESULTS = result_tables.results()
SCENARIOS = RESULTS.scenarios


@pytest.fixture(scope="module")
def figures():
    """One benchmark's figures, drawn once."""
    return dict(all_figures(RESULTS.of("chain")))


def test_each_benchmark_has_a_figure_for_each_question_it_can_be_asked_in_three_formats(figures):
    absent = {"eviction", "inflation"}  # no policy of fewer bits, and no lengths
    assert list(figures) == [f"chain-{name}" for name in FIGURES if name not in absent]
    for encodings in figures.values():
        assert ElementTree.fromstring(encodings["svg"]).tag.endswith("svg")
        assert encodings["pdf"].startswith(b"%PDF")
        assert encodings["png"].startswith(b"\x89PNG")


def test_equal_tables_give_equal_bytes_and_no_date(figures):
    assert dict(all_figures(result_tables.results().of("chain"))) == figures
    assert all(b"<dc:date>" not in encodings["svg"] for encodings in figures.values())
    assert all(b"CreationDate" not in encodings["pdf"] for encodings in figures.values())


def test_the_memory_figure_draws_the_frontier_at_the_batch_size():
    own = RESULTS.of("facts")
    for batch_size in own.batch_sizes:
        drawn = np.asarray(memory_figure(own, batch_size).axes[0].lines[0].get_xydata())
        points = points_of(where(own.frontier, batch_size=batch_size))
        assert drawn.tolist() == [[point.memory_bytes, point.expected] for point in points]


def test_the_votes_figure_draws_what_each_side_chooses_by_the_estimates():
    own = RESULTS.of("facts")
    figure = parallel_figure(own, 1)
    assert figure is not None
    rows = pd.DataFrame(study.parallel_scaling(own.candidates["facts"], 1))
    for line, side in zip(figure.axes[0].lines, ("serial", "parallel"), strict=True):
        drawn = np.asarray(line.get_xydata())
        assert drawn.tolist() == rows[["memory_bytes", f"{side}_estimate"]].to_numpy().tolist()
        # The best within more memory is at least as good, unlike its measured accuracy.
        assert rows[f"{side}_estimate"].is_monotonic_increasing


def test_the_composition_figure_draws_what_the_study_found():
    own = RESULTS.of("chain")
    found = study.composition(own.candidates["chain"], 8)
    figure = draw("composition", own, 8)
    assert figure is not None
    for axes, name in zip(
        figure.axes, ("weights_bytes", "token_budget", "group_size"), strict=False
    ):
        drawn = np.asarray(axes.lines[0].get_xydata())
        assert drawn.tolist() == [[row["memory_bytes"], row[name]] for row in found]


def test_eviction_meets_fewer_bits_in_a_panel_for_each_model():
    scenarios = SCENARIOS.assign(kv_kind=SCENARIOS.kv_kind)
    scenarios.loc[SCENARIOS.kv_policy == "streaming_llm-128", "kv_kind"] = "quantized"
    rows = where(scenarios, benchmark="chain").to_dict("records")
    own = RESULTS.of("chain")
    candidates = {"chain": Candidates.of_rows(rows, own.candidates["chain"].scores)}
    figure = draw("eviction", replace(own, candidates=candidates), 1)
    assert figure is not None
    assert [axes.get_title(loc="left") for axes in figure.axes] == list(models(SCENARIOS))


def test_a_decided_threshold_is_marked_with_its_interval_and_one_that_is_not_is_said():
    marked, unmarked = (draw("threshold", RESULTS.of(name), 1) for name in ("chain", "facts"))
    assert marked is not None and unmarked is not None
    assert len(marked.axes[0].patches) == 1 and not unmarked.axes[0].patches
    assert "these data do not decide it" in unmarked.get_supxlabel()


def test_policies_of_one_method_share_a_colour_and_the_full_caches_is_its_own():
    names = ["full", "r_kv-64", "r_kv-128-b32", "r_kv-128_quantized-4", *"abcdefghij"]
    colours = policy_colours(names, LIGHT)
    assert colours["r_kv-64"] == colours["r_kv-128-b32"] != colours["r_kv-128_quantized-4"]
    assert list(colours.values()).count(colours["full"]) == 1


def test_a_dollar_or_a_path_in_a_name_is_drawn_and_named_harmlessly():
    name = "../$\\frac{1}$<b>"
    stems = [stem for stem, _ in all_figures(result_tables.results(benchmark=name))]
    assert len(stems) == 7
    assert not any("/" in stem or "." in stem for stem in stems)


def test_names_that_look_alike_as_files_stay_apart():
    assert file_stem("chain") == "chain"
    assert file_stem("a/b") != file_stem("a:b")


def test_a_run_without_scenarios_has_no_figures():
    assert list(all_figures(Results(SCENARIOS.head(0), RESULTS.frontier.head(0), {}))) == []


def test_hues_follow_model_size_whatever_the_order_of_rows():
    shuffled = SCENARIOS.sample(frac=1, random_state=1)
    assert list(model_colours(shuffled)) == [f"tiny-{n}k" for n in (50, 104, 208, 394, 755)]
    assert model_colours(shuffled) == model_colours(SCENARIOS)
    assert ramp(("#000000", "#ffffff"), 3) == ("#000000", "#808080", "#ffffff")
    assert ramp(("#000000", "#ffffff"), 1) == ("#808080",)


def test_the_full_cache_comes_first_and_policies_sort_by_number():
    assert policies(SCENARIOS) == ["full", "streaming_llm-64", "streaming_llm-128"]


def test_a_legend_of_many_models_makes_the_figure_taller():
    many = pd.concat([SCENARIOS.assign(model=f"model-{i}") for i in range(40)], ignore_index=True)
    figure = memory_figure(
        replace(RESULTS, scenarios=many, frontier=RESULTS.frontier.head(0)).of("chain"), 1
    )
    assert figure.get_figheight() > 8


def test_fewer_bits_make_emptier_markers():
    assert fills(["bf16", "gptq8", "gptq4"]) == {"bf16": "full", "gptq8": "dotted", "gptq4": "open"}
    assert fills(["bf16", "gptq4"]) == {"bf16": "full", "gptq4": "open"}


def test_group_sizes_of_the_weights_are_precisions_of_their_own_the_finer_first():
    kinds = [("gptq", 4, -1), ("gptq", 4, 128), ("gptq", 4, 32), ("bf16", 16, 0)]
    tables = [
        SCENARIOS.head(1).assign(
            engine_id=str(kind),
            weight_method=kind[0],
            weight_bits=kind[1],
            weight_group_size=kind[2],
        )
        for kind in kinds
    ]
    assert precisions(pd.concat(tables)) == ["bf16", "gptq4-g32", "gptq4", "gptq4-column"]
