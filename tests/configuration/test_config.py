"""From composed values to a RunConfig: what is accepted, and what it becomes."""

from pathlib import Path

import pytest
import yaml
from support.configurations import (
    changed,
    read,
    valid_configuration,
    write_checkpoint,
)

from actors.kv.full import Full
from actors.kv.quantized import Quantized
from actors.kv.r_kv import RKV
from actors.kv.streaming_llm import StreamingLLM
from raysweep.checkpoints.engine_files import makings
from raysweep.configuration import config, identity
from raysweep.errors import ConfigError
from raysweep.planning.grid import engines
from raysweep.spec import PLAIN

# What is accepted


def test_names_become_the_nouns_that_their_files_define(mine: Path):
    sweep = read(valid_configuration(), mine).sweep
    assert [model.name for model in sweep.models] == ["small", "large"]
    assert sweep.models[0].path == str(mine.parent / "models" / "small")
    assert sweep.models[0].family.think_close == "</think>"
    assert sweep.models[0].architecture.head_dim == 32
    assert sweep.kv_policies == (Full(), StreamingLLM(sinks=4, window=60))
    assert sweep.benchmarks[0].answer_opener == "\nThe answer is"


def test_a_named_mapping_changes_only_the_keys_it_gives(mine: Path):
    models = [{"name": "small", "family": {"name": "tiny", "sampling": {"temperature": 0}}}]
    model = read(changed("sweep.models", models), mine).sweep.models[0]
    assert model.family.sampling.temperature == 0
    assert model.family.sampling.top_p == 1
    assert model.path == str(mine.parent / "models" / "small")


def test_a_model_may_open_and_close_no_thinking_under_the_forcing_direct(mine: Path):
    configuration = changed("sweep.forcing", "direct")
    chain = {"name": "chain", "count": 4, "text_is_answer": True}
    configuration["sweep"] |= {
        "models": [{"name": "small", "family": "instruct"}],
        "benchmarks": [chain, {"name": "facts", "count": 4}],
    }
    run = read(configuration, mine)
    (model,), (chain, facts) = run.sweep.models, run.sweep.benchmarks
    assert (model.family.think_open, model.family.think_close) == ("", "")
    as_it_is, reopened = run.decoding(model, chain), run.decoding(model, facts)
    assert (as_it_is.end_closes, as_it_is.text_is_answer) == (True, True)
    assert (reopened.end_closes, reopened.text_is_answer) == (True, False)
    assert reopened.forced_closing == "\nThe answer is"


def test_a_forcing_that_does_not_say_what_the_end_of_the_text_does_lets_it_close_nothing(
    mine: Path,
):
    own = {"extension": "", "closing": "", "answer_opener": None, "loop_tokens": 0}
    forcing = read(changed("sweep.forcing", {**own, "end_loops": False}), mine).sweep.forcing
    assert forcing == PLAIN


def test_a_definition_can_be_written_in_place(mine: Path):
    policies = ["full", {"method": "streaming_llm", "sinks": 2, "window": 30}]
    sweep = read(changed("sweep.kv_policies", policies), mine).sweep
    assert sweep.kv_policies[1].slug == "streaming_llm-32-s2"


def test_any_checkpoint_folder_can_be_a_model_its_path_relative_to_the_working_folder(
    mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write_checkpoint(tmp_path / "here")
    monkeypatch.chdir(tmp_path)
    models = [{"name": "new", "family": "tiny", "path": "here"}]
    assert read(changed("sweep.models", models), mine).sweep.models[0].path == str(
        tmp_path / "here"
    )


def test_a_number_may_be_a_name(mine: Path):
    assert read(changed("run", 1), mine).run == "1"
    models = [{"name": 7, "family": "tiny", "path": str(mine.parent / "models" / "small")}]
    assert read(changed("sweep.models", models), mine).sweep.models[0].name == "7"


def test_the_number_of_actors_may_be_left_to_the_machine(mine: Path):
    assert read(changed("cluster.actors", None), mine).cluster.actors is None


def test_a_policy_has_its_parameters_defaults_and_a_policy_within(mine: Path):
    inner = {"method": "r_kv", "budget": 64, "importance_weight": 0.07, "window": 4}
    packed = {"method": "quantized", "bits": 4, "residual": 32, "axis": 1, "evict": inner}
    by_name = {**packed, "evict": "streaming_llm-64"}
    sweep = read(changed("sweep.kv_policies", [packed, by_name]), mine).sweep
    r_kv = RKV(budget=64, window=4, importance_weight=0.07)
    assert sweep.kv_policies == (
        Quantized(4, residual=32, axis=1, evict=r_kv),
        Quantized(4, residual=32, axis=1, evict=StreamingLLM(4, 60)),
    )
    described = identity.described_policy(sweep.kv_policies[0])
    assert described["evict"] == {"method": "r_kv", "buffer": 128, "kernel": 7, **inner}


def test_a_users_own_policy_is_named_by_its_import_path(mine: Path):
    own = {"method": "my_study.largest_keys.LargestKeys", "budget": 20, "window": 2}
    (policy,) = read(changed("sweep.kv_policies", [own]), mine).sweep.kv_policies
    assert policy.slug == "largest_keys-20-n2"
    assert identity.described_policy(policy)["method"] == "my_study.largest_keys.LargestKeys"


# The embedded default


def test_every_shipped_definition_is_valid():
    default = yaml.safe_load((config.conf_folder() / "config.yaml").read_text())
    cluster = yaml.safe_load((config.conf_folder() / "cluster" / "local.yaml").read_text())
    composed = {key: default[key] for key in config.SECTIONS[""] if key != "cluster"}
    run = config.read_config({**composed, "cluster": cluster}, [config.conf_folder()])
    assert len(run.sweep.models) >= 4
    assert len(run.sweep.token_budgets) >= 6
    assert {model.family.name for model in run.sweep.models} == {"tiny"}


def test_a_policy_whose_groups_divide_no_head_dimension_may_stand_where_it_is_left_out(mine: Path):
    configuration = valid_configuration()
    configuration["sweep"]["kv_policies"] = [
        "full",
        {"method": "quantized", "bits": 4, "axis": 1, "group_size": 24},
    ]
    with pytest.raises(ConfigError, match=r"kv_policies\[1\].group_size: 24 does not divide"):
        read(configuration, mine)
    configuration["sweep"]["leave_out"] = ["*.bf16.[!f]*"]
    assert {policy.slug for _, _, policy in read(configuration, mine).sweep.cells()} == {"full"}


def test_engines_that_are_left_out_are_no_part_of_the_grid_and_need_no_files(mine: Path):
    configuration = valid_configuration()
    configuration["sweep"]["weights"] = ["bf16", "gptq-4-g32"]
    whole = [engine.engine_id for engine in engines(read(configuration, mine))]
    configuration["sweep"]["leave_out"] = [whole[0], "small.gptq*"]
    found = read(configuration, mine)
    left = [engine.engine_id for engine in engines(found)]
    assert left == [one for one in whole[1:] if not one.startswith("small.gptq")]
    assert not any(making.recipe.model.name == "small" for making in makings(found))
