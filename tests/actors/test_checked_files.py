"""Published files are read before an engine is built: they must hold the model and precision of the plan."""

from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.numpy import save_file
from support.configurations import tensors_of, write_checkpoint

from actors.checked_files import checked_folder
from actors.engine_actor import load_engine
from raysweep import catalogue
from raysweep.configuration.architecture import read_architecture
from raysweep.errors import ConfigError
from raysweep.spec import Checkpoint, EngineSpec, WeightSpec

COMMIT = 40 * "a"
GPTQ = WeightSpec("gptq", 4, 32)
SAID = {"quant_method": "gptq", "bits": 4, "group_size": 32, "sym": True, "desc_act": False}


@pytest.fixture
def snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cached files of a repository that publishes GPTQ in 4 bits, groups of 32."""
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return published(tmp_path / "models--invented--small-GPTQ" / "snapshots" / COMMIT)


def published(folder: Path, holds: WeightSpec = GPTQ, **said: object) -> Path:
    write_checkpoint(folder, quantization_config={**SAID, **said})
    save_file(tensors_of(folder, holds), folder / "model.safetensors")
    return folder


def spec(folder: Path, weights: WeightSpec = GPTQ) -> EngineSpec:
    model = replace(
        catalogue.model("tiny-60k"),
        name="small",
        architecture=read_architecture(folder / "config.json"),
    )
    checkpoint = Checkpoint("hf://invented/small-GPTQ", COMMIT)
    return EngineSpec(model, weights, catalogue.kv_policy("full"), "torch", checkpoint)


def test_files_that_are_what_they_are_named_are_loaded(snapshot: Path):
    assert checked_folder(spec(snapshot)) == str(snapshot)


@pytest.mark.parametrize(
    ("holds", "said", "slug"),
    [
        (WeightSpec("gptq", 8, 32), {"bits": 8}, "gptq8-g32"),
        (WeightSpec("gptq", 4, 16), {"group_size": 16}, "gptq4-g16"),
        (GPTQ, {"sym": False}, "gptq4-g32-asym"),
        (GPTQ, {"desc_act": True}, "gptq4-g32-act"),
        (WeightSpec("awq", 4, 32, False), {"quant_method": "awq", "zero_point": True}, "awq4-g32"),
    ],
)
def test_files_of_another_precision_are_refused_before_an_engine_is_built(
    holds: WeightSpec, said: dict, slug: str, snapshot: Path
):
    expected = spec(snapshot)
    published(snapshot, holds, **said)
    with pytest.raises(ConfigError) as raised:
        load_engine(expected, max_rows=1)
    assert str(raised.value).startswith(
        f"small as gptq4-g32: hf://invented/small-GPTQ@{COMMIT} holds {slug} ("
    )
    assert str(raised.value).endswith("name it under its own precision in the model's `quantized`")


def test_files_of_another_model_are_refused(snapshot: Path):
    expected = spec(snapshot)
    write_checkpoint(snapshot, quantization_config=SAID, num_hidden_layers=2)
    save_file(tensors_of(snapshot, GPTQ), snapshot / "model.safetensors")
    with pytest.raises(
        ConfigError, match="holds another model, whose layers is 2 and not 3; correct"
    ):
        checked_folder(expected)


def test_tensors_that_contradict_the_config_are_refused(snapshot: Path):
    """A single layer of other bits, as gptqmodel's `dynamic` makes them."""
    tensors = tensors_of(snapshot, GPTQ)
    name = "model.layers.1.mlp.up_proj.qweight"
    tensors[name] = tensors[name].repeat(2, axis=0)
    save_file(tensors, snapshot / "model.safetensors")
    with pytest.raises(ConfigError, match=f"{name} is I32 .*, but its config.json requires I32"):
        checked_folder(spec(snapshot))
