"""A configuration is read from a row and written to one, with every part of its precision."""

import pytest
from support.candidates import contest, rival

from raysweep.analysis.configurations import Configuration
from raysweep.analysis.study import eviction_or_bits
from raysweep.reducing.frontier_tables import frontiers
from raysweep.spec import WeightSpec

GPTQ4 = {"weight_method": "gptq", "weight_bits": 4, "weight_group_size": 128}
COARSE_AND_FINE = [{**GPTQ4}, {**GPTQ4, "weight_group_size": 32}]


def row(weights: WeightSpec) -> dict:
    return Configuration("toy.w.full", "toy", weights, "full", 18_000, 4).columns()


@pytest.mark.parametrize(
    "weights",
    [
        WeightSpec("bf16", 16),
        WeightSpec("gptq", 4, 128),
        WeightSpec("gptq", 4, 32),
        WeightSpec("gptq", 4, 128, symmetric=False),
        WeightSpec("gptq", 4, 128, act_order=True),
        WeightSpec("awq", 4, 128, symmetric=False),
    ],
)
def test_a_row_holds_all_of_a_configuration(weights: WeightSpec):
    read = Configuration.of_row(row(weights))
    assert read.weights == weights
    assert read.columns() == row(weights)


def test_a_row_of_an_older_run_gets_the_usual_values_of_the_columns_that_it_lacks():
    for weights in (WeightSpec("gptq", 4, 32), WeightSpec("awq", 4, 128, symmetric=False)):
        old = row(weights)
        del old["weight_symmetric"], old["weight_act_order"]
        assert Configuration.of_row(old).weights == weights


def test_a_configuration_is_written_in_words_with_its_unusual_groups():
    read = Configuration.of_row(row(WeightSpec("gptq", 4, 32)))
    assert read.in_words() == "toy gptq4-g32, full KV, 18,000 tokens, 4 samples"


def test_two_group_sizes_of_the_weights_have_a_frontier_each():
    fine = [rival(10, 5 + i, 0.3 + 0.1 * i, **weights) for i, weights in enumerate(COARSE_AND_FINE)]
    found = {one.value: one for one in frontiers(contest(*fine), [1]) if one.axis == "precision"}
    assert set(found) == {"gptq4", "gptq4-g32"}
    assert all(len(one.points) == 1 for one in found.values())


def test_two_group_sizes_of_the_weights_are_compared_apart():
    rivals = [
        rival(10, 10, 0.5, model="toy", kv_kind=kind, **weights)
        for weights in COARSE_AND_FINE
        for kind in ("evicting", "quantized")
    ]
    rows = eviction_or_bits(contest(*rivals), batch_size=1)
    assert [row["weights"] for row in rows] == ["gptq4", "gptq4-g32"]
