"""GPTQ by gptqmodel on the embedded family, and the files that it leaves."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support import tiny_models

from actors.tiny import rounding
from raysweep.checkpoints.engine_files import is_there
from raysweep.configuration.config import conf_folder
from raysweep.configuration.definitions import Definitions
from raysweep.configuration.models import read_model
from raysweep.configuration.preparation import read_calibration
from raysweep.recipe import Recipe
from raysweep.spec import Checkpoint, WeightSpec

SMALLEST = tiny_models.smallest()


def a_recipe(**changes) -> Recipe:
    definitions = Definitions((conf_folder(),))
    calibration = read_calibration(definitions, {"name": "embedded", "count": 64}, "calibration")
    recipe = Recipe(
        read_model(definitions, SMALLEST, "model"), WeightSpec("gptq", 4, 32), calibration
    )
    return replace(recipe, **changes)


QUANTIZE = """
import sys
sys.path[:0] = [".", "tests", "tests/actors"]
from test_quantize import a_recipe
from actors.quantize import quantize
from raysweep.spec import Checkpoint
print(quantize(a_recipe(), Checkpoint(sys.argv[1], "x")))
"""


def quantize_to(folder: Path) -> subprocess.Popen:
    """In a process of its own, as a Ray worker does: gptqmodel changes much of the one it runs in."""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", QUANTIZE, str(folder)]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, cwd=root, stdout=quiet, stderr=quiet, start_new_session=True)


@pytest.mark.slow
def test_equal_recipes_make_equal_files_that_are_published_whole(tmp_path: Path):
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        assert quantize_to(folder).wait() == 0
        assert is_there(Checkpoint(str(folder), "x"))
    first, second = ({f.name: f.read_bytes() for f in folder.iterdir()} for folder in folders)
    assert first == second
    assert "quant_log.csv" not in first  # which has timings
    assert not any(str(tmp_path).encode() in content for content in first.values())
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["first", "second"]


@pytest.mark.slow
def test_a_kill_in_the_middle_leaves_nothing_that_is_taken_for_a_checkpoint(tmp_path: Path):
    folder = tmp_path / "killed"
    process = quantize_to(folder)
    while not (aside := list(tmp_path.glob(".killed.*.tmp"))) and process.poll() is None:
        pass
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert aside and not folder.exists()
    assert not is_there(Checkpoint(str(folder), "x"))
    assert quantize_to(folder).wait() == 0
    assert is_there(Checkpoint(str(folder), "x"))


@pytest.mark.parametrize("bits", [4, 3])
def test_gptq_is_nearer_to_16_bit_than_rounding_on_text_that_neither_has_seen(bits):
    """On the smallest model; the model card has all of them (`python -m actors.tiny.rounding`)."""
    models = tiny_models.MODELS
    documents = rounding.held_out(models / SMALLEST, 12)
    plain = rounding.load_model(str(models / SMALLEST), torch.float32, rounding.CPU)
    gptq = rounding.load_model(
        rounding.quantized_folder(models, SMALLEST, bits), torch.float32, rounding.CPU
    )
    nearest = rounding.round_to_nearest(plain, bits, 32)
    by_gptq = rounding.divergence(gptq, plain, documents)
    assert 0 < by_gptq < 0.8 * rounding.divergence(nearest, plain, documents)


def test_what_is_shipped_was_made_from_the_models_that_are_shipped():
    """The recipe's id is in no file; but its settings are, and the manifest's sizes hold."""
    for name in tiny_models.names():
        for bits in (8, 4, 3):
            folder = rounding.quantized_folder(tiny_models.MODELS, name, bits)
            assert is_there(Checkpoint(folder, "x"))
            config = json.loads((Path(folder) / "config.json").read_text())
            assert config["quantization_config"]["meta"] == {"quantizer": ["gptqmodel:7.6.0"]}


def test_the_recipe_is_named_by_what_decides_the_result_and_nothing_else():
    recipe = a_recipe()
    model = recipe.model
    same = replace(recipe, model=replace(model, name="other", path="elsewhere"))
    other = [
        replace(recipe, weights=WeightSpec("gptq", 3, 32)),
        replace(recipe, model=replace(model, revision="other")),
        replace(recipe, calibration=replace(recipe.calibration, tokens=7)),
        replace(recipe, calibration=replace(recipe.calibration, documents=())),
        replace(recipe, model=replace(model, family=replace(model.family, system="Be brief."))),
    ]
    assert same.recipe_id == recipe.recipe_id
    assert len({recipe.recipe_id, *(changed.recipe_id for changed in other)}) == 6
