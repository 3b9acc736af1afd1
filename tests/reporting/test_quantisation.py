"""Which quantisation of the KV cache was run: said beside what is concluded from it."""

import json
from dataclasses import replace

import pandas as pd
import pytest
from support import result_tables

from actors.kv.quantized import Quantized
from actors.kv.r_kv import RKV
from raysweep.analysis.candidates import Candidates
from raysweep.kv_policy import KVPolicy, parameters
from raysweep.reporting.page import render
from raysweep.reporting.quantisation import quantisations
from raysweep.reporting.results import where
from raysweep.reporting.study_findings import study_notes


def table(*policies: KVPolicy) -> pd.DataFrame:
    rows = [(policy.slug, json.dumps(parameters(policy))) for policy in policies]
    return pd.DataFrame(rows * 2, columns=["kv_policy", "kv_params"])


@pytest.mark.parametrize(
    ("policies", "said"),
    [
        ([RKV(budget=64)], []),
        (
            [Quantized(8), Quantized(4)],
            [
                "quantized-8, quantized-4: HQQ (asymmetric, refined zero points), groups of 64 tokens per "
                "channel, 128 newest tokens in 16 bit"
            ],
        ),
        (
            [Quantized(4, axis=1, sinks=4, evict=RKV(budget=256)), Quantized(2, layout="kivi")],
            [
                "r_kv-256_quantized-4-s4: HQQ (asymmetric, refined zero points), groups of 64 channels per "
                "token, 128 newest and 4 first tokens in 16 bit",
                "kivi-2: KIVI (asymmetric), groups of 64 tokens per channel (keys) and channels per token "
                "(values), 128 newest tokens in 16 bit",
            ],
        ),
    ],
)
def test_each_quantisation_is_described_once(policies, said):
    assert quantisations(table(*policies)) == said


def test_the_symmetric_form_of_version_0_1_0_is_told_apart():
    old = {"bits": 4, "group_size": 64, "residual": 128, "layout": "channel", "evict": None}
    (said,) = quantisations(
        pd.DataFrame([{"kv_policy": "quantized-4", "kv_params": json.dumps(old)}])
    )
    assert said.startswith(
        "quantized-4: symmetric levels without 0, groups of 64 tokens per channel"
    )


def test_a_comparison_of_eviction_and_bits_and_the_page_name_the_quantisation():
    scenarios = result_tables.scenarios()
    packed = scenarios.kv_policy == "streaming_llm-128"
    scenarios.loc[packed, ["kv_kind", "kv_policy"]] = ["quantized", "quantized-4"]
    scenarios.loc[packed, "kv_params"] = json.dumps(parameters(Quantized(4)))
    results = replace(result_tables.results(), scenarios=scenarios)
    own = results.of("facts")
    rows = where(scenarios, benchmark="facts").to_dict("records")
    candidates = {"facts": Candidates.of_rows(rows, own.candidates["facts"].scores)}
    notes = list(study_notes(replace(own, candidates=candidates)))
    assert any(note.startswith("What was stored in fewer bits: quantized-4: HQQ") for note in notes)
    assert "quantized-4: HQQ (asymmetric, refined zero points)" in render(results)
