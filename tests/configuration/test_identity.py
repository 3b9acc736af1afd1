"""What a run's folder records about itself, and which configurations may share it."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from support.configurations import changed, read, valid_configuration

from raysweep.configuration import identity
from raysweep.errors import ConfigError
from raysweep.planning.grid import engines, whole_stream
from raysweep.run_config import RunConfig


def test_a_larger_run_is_the_same_run(mine: Path):
    small = changed("sweep.models", ["small"])
    recorded = identity.identity(read(small, mine))
    larger = valid_configuration()
    larger["stages"] = ["reduce"]
    larger["sweep"] |= {"samples": 9, "group_sizes": [1, 9], "batch_sizes": [3]}
    identity.check_same_run(read(larger, mine), recorded)


def test_another_grader_may_use_the_folder(mine: Path):
    """Parts name their grader, so outcomes of two graders are not mixed."""
    recorded = identity.identity(read(valid_configuration(), mine))
    benchmarks = [{"name": "chain", "count": 4, "grader": "mathematics"}]
    run = read(changed("sweep.benchmarks", benchmarks), mine)
    identity.check_same_run(run, recorded)
    described = identity.as_document(run)["configuration"]["sweep"]["benchmarks"]
    assert described[0]["grader"] == "mathematics-2"


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("seed", 7, "seed: 7 differs from 0"),
        ("sweep.token_budgets", [16], "sweep.token_budgets: [16] differs from [16, 32, 64]"),
        ("sweep.benchmarks", [{"name": "chain", "count": 5}], "questions.chain: "),
        (
            "sweep.models",
            [{"name": "small", "family": {"name": "tiny", "sampling": {"temperature": 0.5}}}],
            "family.tiny.sampling.temperature: 0.5 differs from 1.0",
        ),
        (
            "sweep.models",
            [{"name": "small", "family": {"name": "tiny", "template": {"enable_thinking": False}}}],
            "family.tiny.template",
        ),
    ],
)
def test_another_configuration_may_not_use_the_folder(
    path: str, value: Any, field: str, mine: Path
):
    recorded = identity.identity(read(valid_configuration(), mine))
    with pytest.raises(ConfigError) as raised:
        identity.check_same_run(read(changed(path, value), mine), recorded)
    assert str(raised.value).startswith(field)
    assert "runs/test was made; choose another run=NAME, or remove the folder" in str(raised.value)


def test_a_symmetric_cache_of_version_0_1_0_is_never_continued_with_hqq(mine: Path):
    run = read(changed("sweep.kv_policies", ["quantized-4", "r_kv-4096_quantized-4"]), mine)
    old = {"method": "quantized", "bits": 4, "group_size": 64, "residual": 128, "layout": "channel"}
    for slug, layout in (("quantized-4", "channel"), ("r_kv-4096_quantized-4", "token")):
        recorded = {f"kv_policy.{slug}": {**old, "layout": layout, "evict": None}}
        with pytest.raises(
            ConfigError,
            match=rf"^kv_policy\.{slug}\.layout: 'hqq' differs from '{layout}', the value",
        ):
            identity.check_same_run(run, recorded)


def test_a_policy_whose_formula_is_unchanged_continues_a_folder_of_version_0_1_0(mine: Path):
    run = read(changed("sweep.kv_policies", ["kivi-4"]), mine)
    old = {"method": "quantized", "bits": 4, "group_size": 64, "residual": 128, "layout": "kivi"}
    assert identity.identity(run)["kv_policy.kivi-4"] == {**old, "evict": None}
    changed_since = changed("sweep.kv_policies", [{**old, "sinks": 4}])
    assert identity.identity(read(changed_since, mine))["kv_policy.kivi-4-s4"]["sinks"] == 4


def test_a_named_backend_is_part_of_a_runs_identity_and_auto_goes_with_any(mine: Path):
    named = identity.identity(read(changed("sweep.backend", "torch"), mine))
    auto = read(changed("sweep.backend", "auto"), mine)
    identity.check_same_run(auto, named)
    with pytest.raises(ConfigError, match=r"sweep\.backend: 'fake' differs from 'torch'"):
        identity.check_same_run(read(changed("sweep.backend", "fake"), mine), named)


def test_the_document_of_a_run_survives_yaml_and_names_what_it_was_run_with(mine: Path):
    run = read(valid_configuration(), mine)
    document = yaml.safe_load(yaml.safe_dump(identity.as_document(run)))
    identity.check_same_run(run, document["identity"])
    assert document["configuration"]["sweep"]["kv_policies"][1]["method"] == "streaming_llm"
    assert document["configuration"]["sweep"]["benchmarks"][0]["questions"] == 4
    assert document["versions"]["hydra-core"] == "1.3.8"


def test_the_document_of_a_run_holds_no_secrets(mine: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_TOKEN", "sesame-1")
    run = read(changed("out", "s3://me:sesame-2@bucket/a?secret_key=sesame-3&region=x"), mine)
    document = identity.as_document(run)
    assert "sesame" not in yaml.safe_dump(document)
    assert document["configuration"]["out"] == "s3://***@bucket/a?secret_key=***&region=x"
    assert document["configuration"]["sweep"]["token_budgets"] == [16, 32, 64]


def test_secrets_are_known_by_their_keys_and_tokens_are_not_secrets():
    masked = identity.without_secrets({"api_key": 1, "hf_token": 2, "token_budgets": 3})
    assert masked == {"api_key": "***", "hf_token": "***", "token_budgets": 3}


def test_each_way_to_ask_makes_other_samples_and_no_way_leaves_them_as_version_0_1_0_named_them(
    mine: Path,
):
    def run(**ways: Any) -> RunConfig:
        return read(
            changed("sweep.models", [{"name": "small", "family": {"name": "tiny", **ways}}]), mine
        )

    def stream(config: RunConfig) -> str:
        return whole_stream(config, engines(config)[0], config.sweep.benchmarks[0]).stream_id

    plain = run(system=None, template={}, prompt_date=None)
    fields = {"name", "sampling", "think_open", "think_close"}
    assert identity.identity(plain)["family.tiny"].keys() == fields
    ways = [
        {"system": ""},
        {"system": "Be brief."},
        {"template": {"enable_thinking": False}},
        {"template": {"enable_thinking": True}},
        {"prompt_date": "2026-02-03"},
    ]
    named = [identity.identity(run(**way))["family.tiny"] for way in [{}, *ways]]
    assert len({repr(one) for one in named}) == 1 + len(ways)
    assert len({stream(config) for config in [plain, run(), *(run(**w) for w in ways)]}) == 1 + len(
        ways
    )
