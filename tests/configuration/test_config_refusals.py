"""What a configuration is refused for: by field, value and way out, before anything starts."""

import shlex
from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from support.configurations import (
    changed,
    read,
    valid_configuration,
    write_definition,
    write_models,
)
from support.refused_configurations import REFUSED

from raysweep.configuration import config
from raysweep.errors import ConfigError
from raysweep.run_config import RunConfig
from raysweep.spec import Sampling


def refusal(configuration: dict[str, Any], mine: Path) -> str:
    with pytest.raises(ConfigError) as raised:
        read(configuration, mine)
    message = str(raised.value)
    assert "\n" not in message
    return message


LISTS = [
    *("models", "weights", "kv_policies", "benchmarks"),
    *("token_budgets", "group_sizes", "batch_sizes"),
]


@pytest.mark.parametrize("axis", LISTS)
def test_a_grid_that_expands_to_nothing_is_refused_and_one_that_says_something_twice(
    mine: Path, axis: str
):
    assert f"sweep.{axis}: the list is empty" in refusal(changed(f"sweep.{axis}", []), mine)
    first = valid_configuration()["sweep"][axis][0]
    twice = refusal(changed(f"sweep.{axis}", [first, first]), mine)
    assert twice.startswith(f"sweep.{axis}[1]: ") and "remove one" in twice


@pytest.mark.parametrize(("path", "value", "words"), REFUSED)
def test_what_cannot_be_run_is_refused_by_field_value_and_way_out(
    path: str, value: Any, words: str, mine: Path
):
    assert words in refusal(changed(path, value), mine)


@pytest.mark.parametrize("path", ["seed", "sweep", "sweep.samples", "cluster.address"])
def test_a_missing_key_is_named(path: str, mine: Path):
    configuration = valid_configuration()
    *parents, key = path.split(".")
    section = configuration
    for parent in parents:
        section = section[parent]
    del section[key]
    assert f"{path}: missing" in refusal(configuration, mine)


def test_a_mistake_in_a_definition_file_is_reported_with_that_file(mine: Path, tmp_path: Path):
    file = write_definition(tmp_path, "weights", "odd", method="bf16", bit=16)
    configuration = changed("sweep.weights", ["odd"])
    with pytest.raises(ConfigError, match=f"{file}: 'bit' is not a known key; did you mean 'bits'"):
        config.read_config(configuration, [config.conf_folder(), mine, tmp_path])
    file.write_text("method: [")
    with pytest.raises(ConfigError, match=f"{file}: cannot be read as YAML"):
        config.read_config(configuration, [config.conf_folder(), mine, tmp_path])


def test_a_definition_that_another_hides_is_refused(mine: Path, tmp_path: Path):
    write_definition(tmp_path, "benchmark", "chain", loader="chain")
    with pytest.raises(ConfigError, match=r"has the same kind and name as .*; rename your file"):
        config.read_config(valid_configuration(), [config.conf_folder(), mine, tmp_path])


def room_for_the_prompt(mine: Path, token_budget: int, opener: str) -> RunConfig:
    """Two questions of facts, each of 11 characters, in a context of 2048 tokens."""
    configuration = changed("sweep.token_budgets", [16, token_budget])
    facts = {"name": "facts", "count": 2, "answer_opener": opener, "answer_tokens": 8}
    configuration["sweep"]["benchmarks"] = [facts]
    return read(configuration, mine)


def test_prompt_template_thinking_opener_and_answer_must_fit_the_context(mine: Path):
    opener = "\nIt is"  # after the one token </think>
    prompt = len("user: " + 11 * "?" + "\nassistant: <think>\n")
    most = 2048 - prompt - 1 - len(opener) - 8
    assert room_for_the_prompt(mine, most, opener).sweep.token_budgets[-1] == most
    with pytest.raises(ConfigError) as raised:
        room_for_the_prompt(mine, most + 1, opener)
    assert str(raised.value) == (
        f"sweep.token_budgets: {most + 1} does not fit the context of small, 2048 tokens, beside a "
        f"prompt of facts (up to {prompt} tokens) and an answer (15); lower the budget to {most}"
    )
    with pytest.raises(ConfigError, match="leave out the model or the benchmark"):
        room_for_the_prompt(mine, 17, 2010 * " ")


def test_thinking_must_close_with_one_token_of_the_model(mine: Path):
    models = [{"name": "small", "family": {"name": "tiny", "think_close": "</end>"}}]
    words = refusal(changed("sweep.models", models), mine)
    assert words.startswith(
        "sweep.models[0].family: think_close '</end>' must be one token for small, alone and in the "
        "forced closing, but alone it takes "
    )


@pytest.mark.parametrize("forcing", ["plain", "wait", "qwen3"])
@pytest.mark.parametrize("close", ["", "</end>"])
def test_a_model_that_cannot_close_its_thinking_is_told_a_definition_that_can_be_pasted(
    forcing: str, close: str, mine: Path
):
    path = str(mine.parent / "models" / "small")
    family = {"name": "tiny", "think_close": close, "sampling": {"temperature": 0.3, "top_k": 5}}
    configuration = changed("sweep.models", [{"name": "new", "path": path, "family": family}])
    configuration["sweep"]["forcing"] = forcing
    words = refusal(configuration, mine)
    assert words.startswith(f"sweep.models[0].family: think_close {close!r} ")
    _, pasted = words.split("or if there is none: ")
    for override in OverridesParser.create().parse_overrides(shlex.split(pasted)):
        configuration["sweep"][override.key_or_group.removeprefix("sweep.")] = override.value()
    sweep = read(configuration, mine).sweep
    assert sweep.forcing.end_closes
    assert (sweep.models[0].name, sweep.models[0].path) == ("new", path)
    assert sweep.models[0].family.sampling == Sampling(0.3, top_p=1, top_k=5)
    assert (sweep.models[0].family.think_open, sweep.models[0].family.think_close) == ("", "")


def test_a_model_of_the_hub_is_told_it_without_its_tokenizer(mine: Path):
    family = {"name": "qwen3", "think_close": ""}
    words = refusal(changed("sweep.models", [{"name": "qwen3-8b", "family": family}]), mine)
    assert words.startswith("sweep.models[0].family: think_close '' closes no thinking; give the ")
    assert "{name: qwen3-8b, hub: Qwen/Qwen3-8B, revision: " in words


def test_a_closing_text_must_occur_once_in_the_forced_closing(mine: Path):
    configuration = changed("sweep.models", ["small"])
    family = {"name": "tiny", "think_close": "Answer:"}
    configuration["sweep"] |= {"models": [{"name": "small", "family": family}], "forcing": "direct"}
    read(configuration, mine)
    configuration["sweep"]["forcing"] = {"name": "direct", "closing": "Now the Answer: "}
    words = refusal(configuration, mine)
    assert words.startswith("sweep.models[0].family: think_close 'Answer:' must occur once in the ")
    assert words.endswith(
        "in the tokens of small it occurs 2 times; change sweep.forcing or the opener of chain"
    )


def test_an_extension_leaves_no_early_end_that_could_close_the_thinking(mine: Path):
    words = refusal(changed("sweep.forcing", {"name": "wait", "end_closes": True}), mine)
    assert words == (
        "sweep.forcing.end_closes: true, but 'Wait' replaces every early end of the text; write "
        "end_closes: false, or extension: ''"
    )


def test_a_damaged_tokenizer_is_refused(tmp_path: Path):
    mine = write_models(tmp_path, "small", "large")
    (tmp_path / "models" / "large" / "tokenizer.json").write_text("version https://git-lfs")
    words = refusal(valid_configuration(), mine)
    assert "sweep.models[1]: the tokenizer.json or" in words and "fetch it again" in words


def test_a_model_without_a_chat_template_is_refused(tmp_path: Path):
    mine = write_models(tmp_path, "small", "large")
    (tmp_path / "models" / "large" / "chat_template.jinja").unlink()
    words = refusal(valid_configuration(), mine)
    assert words.startswith("sweep.models[1]: ") and "has no chat template; add its" in words


@pytest.mark.parametrize(
    ("family", "words"),
    [
        ({"system": 7}, "family.system: 7 is not a text; write a text"),
        ({"system": False}, "family.system: False is not a text; write a text"),
        ({"template": {"x": {1: 2}}}, "family.template.x: 1 is not a text; put the key in quotes"),
        ({"system": "\ud800"}, "family.system: '\\ud800' contains an unpaired surrogate"),
        ({"template": 7}, "family.template: 7 is not a mapping"),
        (
            {"template": {"messages": []}},
            "template.messages: 'messages' is given by raysweep; choose",
        ),
        (
            {"template": {"a-b": 1}},
            "template.a-b: 'a-b' is no name of a variable; choose another name",
        ),
        (
            {"template": {"x": float("nan")}},
            "template.x: nan is not a plain value; write a text, a num",
        ),
        ({"template": {"x": [{"y": "\ud800"}]}}, "template.x.0.y: '\\ud800' is not a plain value"),
        ({"template": {"x": {1, 2}}}, "family.template.x: {1, 2} is not a plain value"),
        ({"prompt_date": "today"}, "family.prompt_date: 'today' is not a date; write YYYY-MM-DD"),
        ({"prompt_date": 2026}, "family.prompt_date: 2026 is not a date; write YYYY-MM-DD"),
    ],
)
def test_how_a_family_is_asked_is_checked(family: dict, words: str, mine: Path):
    models = [{"name": "small", "family": {"name": "tiny", **family}}]
    assert words in refusal(changed("sweep.models", models), mine)


def test_a_template_that_needs_a_date_is_refused_without_one(tmp_path: Path):
    mine = write_models(tmp_path, "small", "large")
    template = tmp_path / "models" / "large" / "chat_template.jinja"
    template.write_text("{{ strftime_now('%Y') }}{{ messages[0].content }}")
    words = refusal(valid_configuration(), mine)
    assert words.startswith("sweep.models[1]: ") and words.endswith(
        "asks for the day, but prompt_date of the family 'tiny' is null; write prompt_date: YYYY-MM-DD "
        "into the family"
    )
    dated = {"name": "large", "family": {"name": "tiny", "prompt_date": "2026-02-03"}}
    assert read(changed("sweep.models", [dated]), mine).sweep.models[0].family.prompt_date


def test_two_families_of_one_name_are_refused(mine: Path):
    models = ["small", {"name": "large", "family": {"name": "tiny", "think_open": "Hm"}}]
    assert "sweep.models[1].family: 'tiny'" in refusal(changed("sweep.models", models), mine)
