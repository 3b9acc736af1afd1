"""The stage prepare: a missing checkpoint is made once, and a failure does not stop other work."""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from support import tiny_models
from support.configurations import changed, read, write_definition

from raysweep.checkpoints.engine_files import is_there, makings
from raysweep.checkpoints.records import read_times
from raysweep.configuration.identity import as_document
from raysweep.driver import prepare
from raysweep.errors import ConfigError
from raysweep.run_config import RunConfig
from raysweep.stages import run_stages
from raysweep.storage.store import Store
from raysweep.system.exit_status import DONE, WORK_REMAINS

ROOT = Path(__file__).parents[2]
SMALLEST = tiny_models.smallest()


def a_config(folder: Path, *models: str, stages: tuple[str, ...] = ("prepare",)) -> RunConfig:
    """A run that has to quantise copies of the smallest model."""
    mine = folder / "mine"
    for name in models:
        shutil.copytree(tiny_models.MODELS / SMALLEST, folder / name)
        (folder / name / "names.txt").write_text(name)  # another revision
        write_definition(mine, "model", name, family="tiny", path=str(folder / name))
    configuration = changed("sweep.models", list(models))
    configuration["sweep"] |= {"weights": ["gptq-4-g32"], "kv_policies": ["full"], "samples": 1}
    configuration["sweep"] |= {"group_sizes": [1], "token_budgets": [8]}
    configuration |= {"out": str(folder / "runs"), "stages": list(stages)}
    configuration["prepare"] = {
        "checkpoints": str(folder / "checkpoints"),
        "calibration": {"name": "embedded", "count": 32},
    }
    return read(configuration, mine)


@pytest.mark.slow
def test_a_checkpoint_is_made_once_and_another_runs_too(tmp_path: Path):
    config = a_config(tmp_path, "one", stages=("prepare", "generate", "reduce"))
    assert run_stages(config, as_document(config)) == DONE
    (making,) = makings(config)
    files = {f: f.stat().st_mtime_ns for f in Path(making.checkpoint.path).iterdir()}
    assert is_there(making.checkpoint)
    (row,) = Store(f"{config.out}/{config.run}").read_table("engines.parquet").to_pylist()
    assert (row["weight_method"], row["weight_bits"], row["weight_group_size"]) == ("gptq", 4, 32)

    assert run_stages(config, as_document(config)) == DONE
    assert {f: f.stat().st_mtime_ns for f in Path(making.checkpoint.path).iterdir()} == files
    (time,) = read_times(config.prepare.checkpoints, [making.recipe.recipe_id])
    assert time.seconds > 0 and time.modelled_s > 0 and not time.on_gpu


@pytest.mark.slow
def test_what_cannot_be_made_is_told_and_the_rest_goes_on(tmp_path: Path, capsys):
    config = a_config(tmp_path, "sound", "broken", stages=("prepare", "generate"))
    (tmp_path / "broken" / "model.safetensors").unlink()  # after it was looked at
    assert run_stages(config, as_document(config)) == WORK_REMAINS
    said = capsys.readouterr().out
    assert "failed    gptq4-g32 of broken" in said and "prepared  gptq4-g32 of sound" in said
    assert "prepare   gptq4-g32 of sound: 3 of 3 layers" in said
    assert "4 shards cannot run before the stage prepare makes their checkpoints" in said
    made = {making.recipe.model.name: is_there(making.checkpoint) for making in makings(config)}
    assert made == {"sound": True, "broken": False}
    parts = Store(f"{config.out}/{config.run}").parts()
    assert {part.engine_id for part in parts} == {"sound.gptq4-g32.full"}


@pytest.mark.slow
def test_after_sigterm_it_says_why_it_stops_and_leaves_no_temporary_folder(tmp_path: Path):
    shutil.copytree(tiny_models.MODELS / "tiny-755k", tmp_path / "mine")
    (tmp_path / "mine" / "names.txt").write_text("another revision")
    models = f"sweep.models=[{{name: mine, family: tiny, path: {tmp_path / 'mine'}}}]"
    command = [sys.executable, "-m", "raysweep", "stages=[prepare]", "sweep.weights=[gptq-4-g32]"]
    driver = subprocess.Popen(
        [*command, models],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    checkpoints = tmp_path / "runs" / "checkpoints"
    while not list(checkpoints.glob(".*.tmp")):
        assert driver.poll() is None
        time.sleep(0.05)
    driver.terminate()
    said = driver.communicate()[0]
    assert driver.returncode == WORK_REMAINS
    assert "stopped   SIGTERM: checkpoints in work are dropped, finished ones stay" in said
    assert list(checkpoints.iterdir()) == []


def test_models_of_equal_files_share_a_checkpoint(tmp_path: Path):
    config = a_config(tmp_path, "one", "two")
    assert len(list(makings(config))) == 2
    path = str(tmp_path / "one")
    models = [{"name": name, "family": "tiny", "path": path} for name in ("one", "alias")]
    same = changed("sweep.models", models)
    same["sweep"]["weights"] = ["gptq-4-g32"]
    assert len(list(makings(read(same, tmp_path / "mine")))) == 1


def test_a_disk_that_is_too_small_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    config = a_config(tmp_path, "one")
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(ConfigError, match=r"prepare\.checkpoints: .* GB free, and the missing"):
        prepare.prepare(tuple(makings(config)), config.cluster, print, print)
    assert not (tmp_path / "checkpoints").exists()


def test_without_gptqmodel_the_way_out_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    config = a_config(tmp_path, "one")
    monkeypatch.setattr(prepare.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"not installed; pip install 'raysweep\[quantize\]'"):
        prepare.prepare(tuple(makings(config)), config.cluster, print, print)


def test_the_recipe_is_on_record_and_the_calibration_text_is_not(tmp_path: Path):
    config = a_config(tmp_path, "one", stages=("plan",))
    assert run_stages(config, as_document(config)) == DONE
    recorded = (Path(config.out) / config.run / "config.yaml").read_text()
    (making,) = makings(config)
    assert making.recipe.recipe_id in recorded
    assert json.dumps(making.recipe.calibration.documents[0].text) not in recorded


def test_another_calibration_text_is_another_run_once_there_are_samples(tmp_path: Path):
    config = a_config(tmp_path, "one", stages=("plan",))
    assert run_stages(config, as_document(config)) == DONE
    assert config.prepare.calibration is not None
    own = replace(config.prepare.calibration, name="mine", tokens=7)
    other = replace(config, prepare=replace(config.prepare, calibration=own))
    assert run_stages(other, as_document(other)) == DONE
    store = Store(f"{config.out}/{config.run}")
    store.write_bytes("samples/engine=one.gptq4-g32.full/shard-0.parquet", b"samples")
    with pytest.raises(ConfigError) as raised:
        run_stages(config, as_document(config))
    assert str(raised.value) == (
        "prepare.calibration: 'embedded' would make another one.gptq4-g32 than the calibration text with "
        f"which the samples in {config.out}/test were made; take that text, or choose another run=NAME"
    )
