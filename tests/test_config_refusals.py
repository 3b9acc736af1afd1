"""What a configuration is refused for: by field, value and way out, before anything starts."""

from pathlib import Path
from typing import Any

import pytest
from configurations import (
    changed,
    read,
    valid_configuration,
    write_definition,
    write_models,
)

from raysweep.configuration import config
from raysweep.errors import ConfigError
from raysweep.run_config import RunConfig


def refusal(configuration: dict[str, Any], mine: Path) -> str:
    with pytest.raises(ConfigError) as raised:
        read(configuration, mine)
    message = str(raised.value)
    assert "\n" not in message
    return message


REFUSED = [
    # a name that nothing has
    ("sweep.models", ["small", "larg"], "sweep.models[1]: 'larg' is not a known model; did you"),
    ("sweep.models", ["none"], "'none' is not a known model; known: large, "),
    ("sweep.weights", ["int3"], "'int3' is not a known weights; known: awq-4, bf16, fp8, gptq"),
    ("sweep.kv_policies", ["ful"], "'ful' is not a known kv policy; did you mean 'full'?"),
    ("sweep.benchmarks", ["aime"], "sweep.benchmarks[0]: 'aime' is not a known benchmark"),
    ("sweep.benchmarks", [None], "sweep.benchmarks[0]: None is not a known benchmark"),
    (
        "sweep.models",
        [{"name": "small", "family": "big"}],
        "models[0].family: 'big' is not a known",
    ),
    ("sweep.benchmarks", [{"name": "chain", "grader": "vibes"}], "grader: 'vibes' is not a known"),
    ("sweep.benchmarks", [{"name": "chain", "loader": "x"}], "benchmarks[0].loader: 'x' is not a"),
    ("sweep.kv_policies", [{"method": "magic"}], "kv_policies[0].method: 'magic' is not a known"),
    (
        "sweep.backend",
        "jax",
        "sweep.backend: 'jax' is not a known backend; known: auto, fake, torch, vllm",
    ),
    ("stages", ["plan", "deploy"], "stages[1]: 'deploy' is not a known stage"),
    # a key that nothing reads
    ("sede", 1, "'sede' is not a known key; did you mean 'seed'?"),
    ("sweep.sample", 1, "sweep: 'sample' is not a known key; did you mean 'samples'?"),
    ("cluster.gpsu", 1, "cluster: 'gpsu' is not a known key; did you mean 'gpu"),
    ("sweep.benchmarks", [{"name": "chain", "cuont": 3}], "sweep.benchmarks[0]: 'cuont' is not a"),
    ("sweep.kv_policies", [{"method": "no.such.Policy"}], "method: 'no.such.Policy' cannot be imp"),
    (
        "sweep.kv_policies",
        [{"method": "my_study.largest_keys.Lost"}],
        "'my_study.largest_keys.Lost' cannot be imp",
    ),
    ("sweep.kv_policies", [{"method": "decimal.Decimal"}], "is not a frozen dataclass"),
    ("sweep.kv_policies", [{"method": "r_kv"}], "kv_policies[0].budget: missing"),
    ("sweep.kv_policies", [{"method": "r_kv", "budget": 8}], "kv_policies[0].budget: 8 leaves no"),
    (
        "sweep.kv_policies",
        [{"method": "r_kv", "budget": 64, "importance_weight": "x"}],
        "'x' is not",
    ),
    (
        "sweep.kv_policies",
        [{"method": "quantized", "bits": 3}],
        "kv_policies[0].bits: 3 is not known",
    ),
    (
        "sweep.kv_policies",
        [{"method": "quantized", "bits": 4, "layout": "token", "group_size": 24}],
        "group_size: 24 channels do not divide the heads of small, 32",
    ),
    (
        "sweep.kv_policies",
        [{"method": "quantized", "bits": 4, "layout": "token", "evict": {"method": "r_kv"}}],
        "sweep.kv_policies[0].evict.budget: missing",
    ),
    ("sweep.kv_policies", [{"method": "full", "window": 3}], "sweep.kv_policies[0]: 'window' is"),
    # a value of another type
    ("seed", "one", "seed: 'one' is not a whole number"),
    ("seed", True, "seed: True is not a whole number"),
    ("sweep", 3, "sweep: 3 is not a mapping"),
    ("sweep.models", "small", "sweep.models: 'small' is not a list; write [...]"),
    ("sweep.token_budgets", [16, 32.5], "sweep.token_budgets[1]: 32.5 is not a whole number"),
    ("cluster.cpus_per_actor", "two", "cluster.cpus_per_actor: 'two' is not a number"),
    ("out", None, "out: None is not a text"),
    # a value out of range
    ("seed", -1, "seed: -1 is out of range; write 0 or more"),
    ("seed", 2**63, "seed: 9223372036854775808 is out of range"),
    ("sweep.token_budgets", [0, 16], "sweep.token_budgets[0]: 0 is out of range; write 1 or more"),
    ("sweep.token_budgets", [32, 16], "[32, 16] does not increase; write [16, 32]"),
    ("sweep.token_budgets", [16, 2040], "2040, a prompt of chain with up to"),
    ("sweep.group_sizes", [1, 0], "sweep.group_sizes[1]: 0 is out of range"),
    ("sweep.group_sizes", [1, 8], "sweep.group_sizes[1]: 8 is more than sweep.samples = 4"),
    ("sweep.samples", 0, "sweep.samples: 0 is out of range"),
    ("generation.max_rows", 0, "generation.max_rows: 0 is out of range"),
    ("cluster.gpus_per_actor", 1.5, "cluster.gpus_per_actor: 1.5 is no whole number"),
    ("cluster.cpus_per_actor", 10**400, "0 is out of range; write a number 0.01 or more"),
    ("cluster.gpus_per_actor", float("nan"), "cluster.gpus_per_actor: nan is out of range"),
    ("cluster.gpus", 4, "cluster.gpus: 4, but no kind of GPU is named; name it with cluster.gpu"),
    ("cluster.gpu", {"name": "h100-80", "usd": 2}, "cluster.gpu: 'usd' is not a known key"),
    ("cluster.gpu", {"name": "mine", "memory_mib": 9}, "cluster.gpu.bandwidth_gb_s: missing"),
    (
        "cluster.gpu",
        ["l4-24", "l4-24"],
        "cluster.gpu[1]: 'l4-24' is the name of cluster.gpu[0] too",
    ),
    ("cluster.gpu", [], "cluster.gpu: the list is empty"),
    ("cluster.autoscaling", 1, "cluster.autoscaling: 1 is neither true nor false"),
    ("sweep.weights", [{"method": "bf16", "bits": 4}], "weights[0].bits: bf16 has no 4 bits"),
    ("sweep.kv_policies", [{"name": "streaming_llm-64", "window": 0}], "kv_policies[0].window: 0"),
    (
        "sweep.benchmarks",
        [{"name": "facts", "grader": "integer"}],
        "cannot grade against the gold answer",
    ),
    # a list that is empty, out of order, or says something twice
    ("sweep.models", [], "sweep.models: the list is empty; write at least one entry"),
    ("stages", ["reduce", "plan"], "stages: ['reduce', 'plan'] is not their order"),
    ("stages", ["plan", "plan"], "stages[1]: 'plan' is the name of stages[0] too"),
    ("sweep.models", ["small", "small"], "sweep.models[1]: 'small' is the name of sweep.models[0]"),
    ("sweep.token_budgets", [16, 16], "sweep.token_budgets[1]: 16 stands there twice; remove"),
    ("sweep.benchmarks", ["chain", {"name": "chain", "count": 2}], "sweep.benchmarks[1]: 'chain'"),
    # two engines that could not be told apart
    (
        "sweep.kv_policies",
        ["streaming_llm-64", {"method": "streaming_llm", "sinks": 4, "window": 60}],
        "sweep.kv_policies[1]: 'streaming_llm-64' is the name of sweep.kv_policies[0] too",
    ),
    # a folder's name that leads elsewhere
    ("run", "../other", "run: '../other' is not a plain name"),
    ("run", "..", "run: '..' is not a plain name"),
    ("run", "a/b", "run: 'a/b' is not a plain name"),
    (
        "run",
        True,
        "run: True is a truth value, not a name; put it in two pairs of quotes, \"'true'\"",
    ),
    ("run", 1.5, "run: 1.5 is not a text"),
    ("run", -1, "run: '-1' is not a plain name"),
    ("run", "", "run: '' is not a text"),
    # a model that is no definition
    ("sweep.models", ["./x/new"], "write {name: new, family: ..., path: ./x/new}"),
    ("sweep.models", [{"family": "tiny", "path": "x"}], "sweep.models[0].name: missing"),
    ("sweep.models", [{"name": "new", "path": "x"}], "sweep.models[0].family: missing"),
    ("sweep.models", [{"name": "a/b", "path": "x"}], "models[0].name: 'a/b' is not a plain name"),
]


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
    with pytest.raises(ConfigError, match=f"{file}: not readable as YAML"):
        config.read_config(configuration, [config.conf_folder(), mine, tmp_path])


def test_a_definition_that_another_hides_is_refused(mine: Path, tmp_path: Path):
    write_definition(tmp_path, "benchmark", "chain", loader="chain")
    with pytest.raises(ConfigError, match="has that name already; rename yours"):
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
        f"sweep.token_budgets: {most + 1}, a prompt of facts with up to {prompt} tokens and an "
        "answer of 15 do not fit the context of small, 2048 tokens; "
        f"lower the budget to {most}"
    )
    with pytest.raises(ConfigError, match="leave out the model or the benchmark"):
        room_for_the_prompt(mine, 17, 2010 * " ")


def test_thinking_must_close_with_one_token_of_the_model(mine: Path):
    models = [{"name": "small", "family": {"name": "tiny", "think_close": "</end>"}}]
    words = refusal(changed("sweep.models", models), mine)
    assert words.startswith(
        "sweep.models[0].family: think_close '</end>' is not one token of small"
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


def test_two_families_of_one_name_are_refused(mine: Path):
    models = ["small", {"name": "large", "family": {"name": "tiny", "think_open": "Hm"}}]
    assert "sweep.models[1].family: 'tiny'" in refusal(changed("sweep.models", models), mine)
