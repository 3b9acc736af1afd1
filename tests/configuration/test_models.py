"""Definitions of models: folders, files of the hub, and published precisions."""

import json
import re
import shutil
from pathlib import Path

import pytest
from support import tiny_models
from support.configurations import (
    ARCHITECTURE,
    changed,
    read,
    write_checkpoint,
    write_definition,
    write_models,
)
from support.data_sets import COMMIT

from raysweep.checkpoints.engine_files import engine_checkpoint, makings
from raysweep.configuration.config import conf_folder
from raysweep.configuration.definitions import Definitions
from raysweep.configuration.models import read_model
from raysweep.errors import ConfigError
from raysweep.spec import BF16, ModelSpec, WeightSpec

TINY = tiny_models.smallest()
HUB = {
    "family": "tiny",
    "hub": "Qwen/Qwen3-0.6B",
    "revision": "abc",
    "architecture": ARCHITECTURE,
}


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    return write_models(tmp_path, "small", "large")


@pytest.fixture(autouse=True)
def no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache instead of the user's."""
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def model(entry: object) -> ModelSpec:
    return read_model(Definitions((conf_folder(),)), entry, "model")


def refusal(entry: object) -> str:
    with pytest.raises(ConfigError) as raised:
        model(entry)
    return str(raised.value)


def test_a_model_of_the_hub_is_planned_from_the_numbers_of_its_definition():
    found = model({"name": "mine", **HUB})
    assert (found.path, found.revision) == ("hf://Qwen/Qwen3-0.6B", "abc")
    assert found.architecture.hidden_size == 32


PUBLISHED = {  # parameters as the model cards have them, in units of their last digit
    "qwen3-0.6b": ("0.6", 1e9),
    "qwen3-1.7b": ("1.7", 1e9),
    "qwen3-4b": ("4.0", 1e9),
    "qwen3-8b": ("8.2", 1e9),
    "qwen3-14b": ("14.8", 1e9),
    "qwen3-32b": ("32.8", 1e9),
    "r1-distill-qwen-1.5b": ("1.78", 1e9),
    "r1-distill-qwen-7b": ("7.62", 1e9),
    "r1-distill-qwen-14b": ("14.8", 1e9),
    "r1-distill-qwen-32b": ("32.8", 1e9),
    "openreasoning-nemotron-1.5b": ("1.54", 1e9),
    "openreasoning-nemotron-7b": ("7.62", 1e9),
    "openreasoning-nemotron-14b": ("14.8", 1e9),
    "openreasoning-nemotron-32b": ("32.8", 1e9),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_shipped_definitions_have_the_published_numbers_of_parameters(name):
    figure, unit = PUBLISHED[name]
    digits = len(figure.partition(".")[2])
    assert f"{model(name).params / unit:.{digits}f}" == figure


def test_files_in_the_cache_must_have_the_definitions_numbers(no_hub: Path):
    snapshot = no_hub / "models--Qwen--Qwen3-0.6B" / "snapshots" / "abc"
    write_checkpoint(snapshot)
    refs = snapshot.parent.parent / "refs"
    refs.mkdir()
    (refs / "abc").write_text("abc")
    assert model({"name": "mine", **HUB}).architecture.layers == 3
    config = json.loads((snapshot / "config.json").read_text())
    (snapshot / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 4}))
    assert "differs from" in refusal({"name": "mine", **HUB})
    without = {key: value for key, value in HUB.items() if key != "architecture"}
    assert model({"name": "mine", **without}).architecture.layers == 4


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hub": "Qwen3"}, "model.hub: 'Qwen3' is not of the form owner/name"),
        ({"revision": None}, "model.revision: None is not a text"),
        ({"path": "models/x"}, "models/x' is given together with hub; keep one of the two"),
        ({"architecture": {"model_type": "qwen3"}}, "model.architecture.hidden_size: missing"),
        ({"colour": 1}, "'colour' is not a known key"),
        ({"quantized": {"int3": {"path": "x"}}}, "'int3' is not a known weight precision"),
        ({"quantized": {"gptq-4": {"path": "nowhere"}}}, "is not a folder"),
        ({"quantized": {"gptq-4": {"hub": "a/b"}}}, "model.quantized.gptq-4.revision: missing"),
        (
            {"quantized": {"gptq-4": {"hub": "a/b", "revision": "main"}}},
            "model.quantized.gptq-4.revision: 'main' is not a commit; write its 40 hexadecimal digits, "
            "which hf.co/a/b/commits/main shows",
        ),
    ],
)
def test_what_is_not_understood_is_refused(changes, words):
    assert words in refusal({"name": "mine", **HUB, **changes})


def test_without_numbers_and_without_files_nobody_knows_the_model():
    entry = {key: value for key, value in HUB.items() if key != "architecture"}
    assert "model.architecture: missing" in refusal({"name": "mine", **entry})


# Precisions that are there


def test_published_files_are_used_as_they_are():
    found = model(TINY)
    gptq = found.published(WeightSpec("gptq", 4, 32))
    assert gptq is not None and gptq.path.endswith(f"models/quantized/{TINY}-gptq4-g32")
    own = found.published(BF16)
    assert own is not None and (own.path, own.revision) == (found.path, found.revision)
    assert found.published(WeightSpec("gptq", 4, 128)) is None


def test_quantised_files_on_the_hub_are_named_by_repository_and_revision():
    awq = {"awq-4": {"hub": "Qwen/Qwen3-0.6B-AWQ", "revision": COMMIT}}
    found = model({"name": "mine", **HUB, "quantized": awq})
    checkpoint = found.published(WeightSpec("awq", 4, 128, symmetric=False))
    assert checkpoint is not None
    assert (checkpoint.path, checkpoint.revision) == ("hf://Qwen/Qwen3-0.6B-AWQ", COMMIT)


def test_every_published_file_of_the_shipped_models_is_pinned_by_a_commit():
    named = 0
    for name in PUBLISHED:
        for weights, checkpoint in model(name).quantized:
            assert weights.bits < 16 and re.fullmatch("[0-9a-f]{40}", checkpoint.revision)
            named += 1
    assert named >= 11


def test_published_files_can_be_left_out_so_that_all_sizes_are_made_alike():
    assert model({"name": "qwen3-0.6b", "quantized": None}).quantized == ()
    assert model("qwen3-0.6b").published(WeightSpec("gptq", 8, 128)) is not None


def test_a_folder_of_another_precision_or_model_is_refused():
    quantised = tiny_models.MODELS / "quantized" / f"{TINY}-gptq4-g32"
    entry = {"name": TINY, "quantized": {"gptq-8-g32": {"path": str(quantised)}}}
    assert "holds gptq4-g32, not gptq8-g32; name it under its own precision" in refusal(entry)
    other = next(name for name in tiny_models.names() if name != TINY)
    entry = {"name": other, "quantized": {"gptq-4-g32": {"path": str(quantised)}}}
    assert "holds another model" in refusal(entry)


def test_a_model_whose_own_files_are_quantised_has_no_16_bit(tmp_path: Path, mine: Path):
    folder = tmp_path / "quantised"
    shutil.copytree(tiny_models.MODELS / "quantized" / f"{TINY}-gptq4-g32", folder)
    write_definition(mine, "model", "packed", family="tiny", path=str(folder))
    wanted = changed("sweep.models", ["packed"])
    wanted["sweep"]["weights"] = ["gptq-4-g32"]
    config = read(wanted, mine)
    checkpoint = engine_checkpoint(config.prepare, config.sweep.models[0], config.sweep.weights[0])
    assert checkpoint.path == str(folder)
    wanted["sweep"]["weights"] = ["bf16"]
    with pytest.raises(
        ConfigError, match=r"weights\[0\]: bf16 of packed \(gptq4-g32\) does not exist"
    ):
        read(wanted, mine)


# Precisions that have to be made


def with_weights(*weights: object, **prepare: object) -> dict:
    configuration = changed("sweep.weights", list(weights))
    configuration["prepare"].update(prepare)
    return configuration


def test_a_precision_that_is_not_there_is_made_under_the_name_of_its_recipe(mine: Path):
    config = read(with_weights("bf16", "gptq-4-g32"), mine)
    (making,) = makings(config)  # the two models' files are the same
    assert making.checkpoint.path.endswith(f"checkpoints/{making.recipe.recipe_id}")
    assert making.checkpoint.revision == making.recipe.recipe_id
    for model in config.sweep.models:
        found = engine_checkpoint(config.prepare, model, config.sweep.weights[1])
        assert found == making.checkpoint


REFUSED = [
    (
        with_weights("gptq-4"),
        r"weights\[0\]: gptq4 does not suit small .groups of 128 do not divide",
    ),
    (with_weights("awq-4"), "awq does not run on the torch backend; choose sweep.backend=vllm"),
    (
        with_weights("gptq-4-g32", calibration=None),
        "prepare.calibration: missing, but gptq4-g32 of",
    ),
    (with_weights("gptq-4-g32", calibration="none"), "'none' is not a known calibration text"),
    (with_weights("gptq-4-g32", calibration={"path": "none"}), "cannot be read"),
    (
        with_weights("gptq-4-g32", calibration={"name": "embedded", "count": 1, "tokens": 8}),
        "prepare.calibration: 8 calibration tokens are too few for layers of 96 features; give at least 96",
    ),
    (with_weights({"method": "gptq", "bits": 5, "group_size": 32}), "gptq does not support 5 bits"),
    (
        with_weights({"method": "gptq", "bits": 4, "group_size": 0}),
        "group_size: 0 is not a group size",
    ),
    (with_weights({"method": "bf16", "bits": 16, "group_size": 8}), "'group_size' is not a known"),
]


@pytest.mark.parametrize(("configuration", "words"), REFUSED, ids=lambda v: str(v)[:30])
def test_what_can_neither_be_found_nor_made_is_refused(configuration, words, mine: Path):
    with pytest.raises(ConfigError, match=words):
        read(configuration, mine)


def test_a_file_to_calibrate_on_has_a_text_a_line(tmp_path: Path, mine: Path):
    file = tmp_path / "texts.jsonl"
    file.write_text(json.dumps({"text": "abc " * 60}) + '\n\n{"prompt": "a?", "text": "b"}\n')
    calibration = read(with_weights("gptq-4-g32", calibration={"path": str(file)}), mine).prepare
    assert calibration.calibration is not None
    assert [d.prompt for d in calibration.calibration.documents] == ["", "a?"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "line 2: is not JSON"),
        ('{"prompt": "x"}', "line 2: .* has no text"),
        ('{"prompt": 1, "text": "x"}', "line 2: the prompt 1 is not a text"),
    ],
)
def test_a_line_that_is_no_document_is_named(line: str, words: str, tmp_path: Path, mine: Path):
    file = tmp_path / "texts.jsonl"
    file.write_text('{"text": "a"}\n' + line)
    with pytest.raises(ConfigError, match=words):
        read(with_weights("gptq-4-g32", calibration={"path": str(file)}), mine)


def test_a_test_question_in_the_calibration_text_is_refused(tmp_path: Path, mine: Path):
    question = read(changed("seed", 0), mine).sweep.benchmarks[0].questions[2]
    file = tmp_path / "texts.jsonl"
    file.write_text(json.dumps({"text": f"so {question.prompt} it is" + " and" * 60}))
    with pytest.raises(ConfigError, match=f"contains the test question {question.question_id}"):
        read(with_weights("gptq-4-g32", calibration={"path": str(file)}), mine)


def test_a_budget_beyond_the_context_is_refused_though_the_tokenizer_is_on_the_hub(mine: Path):
    configuration = changed("sweep.models", ["qwen3-0.6b"])
    configuration["sweep"] |= {"weights": ["bf16"], "token_budgets": [40_960]}
    with pytest.raises(ConfigError, match=r"does not fit the context of qwen3-0\.6b, 40960"):
        read(configuration, mine)
