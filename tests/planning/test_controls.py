"""A control is `full` on torch, where `full` runs on vLLM and other policies of the comparison on torch."""

from dataclasses import replace

import pytest
from support.nouns import a_model, a_run_config, an_engine
from support.parts import parts_of

from actors.kv.full import Full
from actors.kv.kv_dtype import KVDtype
from actors.kv.streaming_llm import StreamingLLM
from raysweep.planning import backends
from raysweep.planning.estimate import estimates
from raysweep.planning.plan import make_plan
from raysweep.planning.plan_tables import engines_table
from raysweep.reporting.plan_text import plan_lines
from raysweep.run_config import RunConfig
from raysweep.spec import BF16, Checkpoint, WeightSpec
from raysweep.upkeep.regrade import wanted_parts
from raysweep.upkeep.verify import check_doubles

GPTQ3 = WeightSpec("gptq", 3, 128)  # vLLM has no kernel for it


def a_comparison(**changes) -> RunConfig:
    """The full cache, which vLLM runs, beside one that only torch runs."""
    usual = {
        "backend": "auto",
        "control": True,
        "kv_policies": (Full(), StreamingLLM(4, 60)),
        "gpus_per_actor": 1.0,
    }
    return a_run_config(**{**usual, **changes})


@pytest.fixture(autouse=True)
def vllm_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "vllm_installed", lambda: True)


def ran_by(config: RunConfig) -> dict[str, str]:
    return {engine.engine_id: engine.backend for engine in make_plan(config, []).engines}


def said(config: RunConfig) -> str:
    plan = make_plan(config, [])
    return "\n".join(
        f"{line.label}: {line.text}"
        for line in plan_lines(config, plan, estimates(config, plan), ())
    )


def test_each_model_and_precision_whose_full_cache_runs_on_vllm_gets_a_control_on_torch():
    files = ((GPTQ3, Checkpoint("models/gptq3", "1")),)
    models = (a_model("a", quantized=files), a_model("b", quantized=files))
    config = a_comparison(models=models, weights=(BF16, GPTQ3))
    assert ran_by(config) == {
        "a.bf16.full": "vllm",
        "a.bf16.streaming_llm-64": "torch",
        "a.gptq3.full": "torch",
        "a.gptq3.streaming_llm-64": "torch",
        "b.bf16.full": "vllm",
        "b.bf16.streaming_llm-64": "torch",
        "b.gptq3.full": "torch",
        "b.gptq3.streaming_llm-64": "torch",
        "a.bf16.full.control": "torch",
        "b.bf16.full.control": "torch",
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"control": False},
        {"backend": "torch"},
        {"kv_policies": (Full(),)},
        {"kv_policies": (Full(), KVDtype("fp8"))},
    ],
)
def test_without_a_comparison_of_two_backends_or_a_wish_there_is_no_control(changes):
    assert not any(engine.control for engine in make_plan(a_comparison(**changes), []).engines)


def test_a_control_has_samples_of_its_own_and_changes_no_name_of_other_samples():
    without, config = a_comparison(control=False), a_comparison()
    before = {shard.shard_id for shard in make_plan(without, []).to_do}
    added = [shard for shard in make_plan(config, []).to_do if shard.shard_id not in before]
    assert {shard.engine.engine_id for shard in added} == {"toy.bf16.full.control"}
    assert len(added) == len(before) / 2
    torch_run = make_plan(a_comparison(backend="torch"), []).to_do
    assert not {shard.stream_id for shard in added} & {shard.stream_id for shard in torch_run}


def test_an_engine_is_named_as_before_there_were_controls():
    assert an_engine().content == "10d93f173eec3d52"


def test_a_run_goes_on_with_its_controls_which_count_in_regrading_and_verifying():
    config = a_comparison()
    parts = parts_of(make_plan(config, []).to_do)
    assert make_plan(config, parts).to_do == ()
    wanted = {one.part.engine_id for one in wanted_parts(config, parts)}
    assert wanted == set(ran_by(config))
    assert list(check_doubles(parts)) == []
    own = next(part for part in parts if part.engine_id.endswith(".control"))
    overlapping = replace(own, shard_id="again", sample_start=own.sample_start + 1)
    (problem, *_) = check_doubles([overlapping, *parts])
    assert problem.name.startswith("samples/engine=toy.bf16.full.control/")


def test_the_plan_says_that_there_are_controls_or_that_there_might_be():
    assert "plan: 8 scenarios from 2 engines; 12 of 12 shards" in said(a_comparison())
    assert "control: 1 engine more, full on torch, to say how far vllm and torch" in said(
        a_comparison()
    )
    hint = "comparing them compares backends too; sweep.control=true says how far"
    assert hint in said(a_comparison(control=False))
    assert hint not in said(a_comparison(kv_policies=(Full(),)))
    config = a_comparison()
    rows = engines_table(config, estimates(config, make_plan(config, []))).to_pylist()
    assert [row["control"] for row in rows] == [False, False, True]
