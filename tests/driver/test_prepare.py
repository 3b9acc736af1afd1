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
from support.data_sets import COMMIT, write_hub_cache

from raysweep.checkpoints.engine_files import is_there, makings
from raysweep.checkpoints.records import TextsRecord, read_texts, read_times, write_texts
from raysweep.configuration.identity import as_document
from raysweep.driver import prepare
from raysweep.errors import ConfigError
from raysweep.recipe import Calibration, PublishedTexts
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
        prepare.prepare(
            tuple(makings(config)), config.prepare.checkpoints, config.cluster, print, print
        )
    assert not (tmp_path / "checkpoints").exists()


def test_without_gptqmodel_the_way_out_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    config = a_config(tmp_path, "one")
    monkeypatch.setattr(prepare.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"not installed; pip install 'raysweep\[quantize\]'"):
        prepare.prepare(
            tuple(makings(config)), config.prepare.checkpoints, config.cluster, print, print
        )


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


# Published calibration texts


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunConfig:
    """A run that quantises on texts of a data set in the hub's cache; there is no network."""
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    write_texts_to_hub(tmp_path)
    texts = PublishedTexts("invented/texts", COMMIT, "a.parquet", "text", 64, 0, prompt="question")
    config = a_config(tmp_path, "one")
    prepare_ = replace(config.prepare, calibration=Calibration("invented", (), 40, texts))
    return replace(config, prepare=prepare_)


def write_texts_to_hub(folder: Path, more: str = "") -> None:
    problems = [f"a={i:02d};b=a+{i % 9};b?" for i in range(99)]
    shutil.rmtree(folder / "hub", ignore_errors=True)
    rows = [{"question": p, "text": more + f"{p};" * 30} for p in problems]
    write_hub_cache(folder / "hub", "invented/texts", "a.parquet", rows)


@pytest.mark.slow
def test_published_texts_are_drawn_once_and_their_sha256_is_on_record(published: RunConfig, capsys):
    assert run_stages(published, as_document(published)) == DONE
    (making,) = makings(published)
    assert is_there(making.checkpoint) and making.recipe.calibration.documents == ()
    record = read_texts(published.prepare.checkpoints, making.recipe.calibration)
    assert record and record.checked == tuple(one.asked for one in published.sweep.benchmarks)
    assert (
        "texts     drawing 64 calibration texts from hf://datasets/invented/"
        in capsys.readouterr().out
    )
    assert run_stages(published, as_document(published)) == DONE
    assert "drawing" not in capsys.readouterr().out


def test_a_file_that_is_not_the_one_first_fetched_is_refused(published: RunConfig, tmp_path: Path):
    assert published.prepare.calibration is not None
    before = TextsRecord("hf://datasets/invented/texts", 64 * "0")
    write_texts(published.prepare.checkpoints, published.prepare.calibration, before)
    with pytest.raises(ConfigError, match=r"SHA-256 .*, and checkpoints were made on .* with 000"):
        run_stages(published, as_document(published))
    assert not is_there(next(makings(published)).checkpoint)


def test_texts_with_a_test_question_are_refused_and_other_ones_can_be_drawn(
    published: RunConfig, tmp_path: Path
):
    question = published.sweep.benchmarks[0].questions[0]
    write_texts_to_hub(tmp_path, more=question.prompt)
    with pytest.raises(ConfigError) as raised:
        run_stages(published, as_document(published))
    assert str(raised.value) == (
        f"prepare.calibration: it contains the test question {question.question_id}, and weights must not be "
        "fitted to the test; draw others: prepare.calibration={name: invented, seed: 1}"
    )


def test_a_new_benchmark_is_compared_with_the_texts_of_finished_checkpoints(
    published: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("raysweep.stages.prepare.is_there", lambda checkpoint: True)
    assert run_stages(published, as_document(published)) == DONE
    known = published.sweep.benchmarks
    question = replace(known[0].questions[0], prompt="b=a+3;b?")
    added = replace(known[0], name="added", questions=(question,))
    more = replace(published, sweep=replace(published.sweep, benchmarks=(*known, added)))
    with pytest.raises(ConfigError, match="contains the test question"):
        run_stages(more, as_document(more))


def test_a_making_that_no_node_can_hold_fails_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    config = a_config(tmp_path, "one")
    monkeypatch.setattr(prepare, "ask_of", lambda *_: "no Ray node has 108 GB of memory")
    assert run_stages(config, as_document(config)) == WORK_REMAINS
    assert "failed    gptq4-g32 of one: no Ray node has 108 GB" in capsys.readouterr().out
