"""The plan's lines on where weights come from: own, published, made, or to be made, and what that takes."""

from dataclasses import replace
from pathlib import Path

import pytest
from support.configurations import changed, read, write_definition, write_models

from raysweep.checkpoints.engine_files import makings
from raysweep.checkpoints.records import MakingTime, write_time
from raysweep.reporting import weights_text
from raysweep.run_config import RunConfig

COMMIT = 40 * "a"


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    """Two models in three precisions, of which one is published for `small`."""
    folder = write_models(tmp_path, "small", "large")
    quantized = {"gptq-8-g32": {"hub": "invented/small-GPTQ", "revision": COMMIT}}
    path = str(tmp_path / "models" / "small")
    write_definition(folder, "model", "small", family="qwen3", path=path, quantized=quantized)
    (tmp_path / "models" / "large" / "other.txt").write_text("other files than those of small")
    configuration = changed("sweep.weights", ["bf16", "gptq-8-g32", "gptq-4-g32"])
    configuration["prepare"] = {"checkpoints": str(tmp_path / "c"), "calibration": "reasoning"}
    found = read({**configuration, "stages": ["plan"]}, folder)
    return found


def lines(config: RunConfig) -> list[str]:
    return [f"{line.label:<8}{line.text}" for line in weights_text.weights_lines(config)]


def test_each_source_has_a_line_and_what_is_missing_has_its_texts_and_price(config: RunConfig):
    own, published, prepare, price = lines(config)
    assert own == "weights bf16 of small and large: the models' own files"
    assert published == "        gptq8-g32 of small: published files (hf.co/invented)"
    assert prepare == (
        "prepare gptq4-g32 of small and large, gptq8-g32 of large: quantised by the stage prepare on "
        "'reasoning' (512 texts of open-r1/OpenR1-Math-220k, up to 2,048 tokens each)"
    )
    assert price.startswith("        that takes about ") and "(rough, by one model on two" in price
    assert price.endswith("of host memory for the largest")


def test_finished_makings_are_named_and_correct_the_time_of_the_rest(
    config: RunConfig, monkeypatch: pytest.MonkeyPatch
):
    first, *_ = makings(config)
    monkeypatch.setattr(weights_text, "is_there", lambda checkpoint: checkpoint == first.checkpoint)
    recipe_id = first.recipe.recipe_id
    write_time(config.prepare.checkpoints, recipe_id, MakingTime(30.0, 10.0, on_gpu=False))
    said = lines(config)
    assert said[2].endswith(": made by raysweep before")
    assert "(rough, corrected by 3, the slowness of those made before)" in said[-1]


def test_a_damaged_record_counts_as_missing(config: RunConfig, monkeypatch: pytest.MonkeyPatch):
    first, *_ = makings(config)
    monkeypatch.setattr(weights_text, "is_there", lambda checkpoint: checkpoint == first.checkpoint)
    Path(config.prepare.checkpoints).mkdir()
    file = Path(config.prepare.checkpoints) / f"{first.recipe.recipe_id}.json"
    for content in ("{", "[]", '{"seconds": "x", "modelled_s": 1, "on_gpu": true}'):
        file.write_text(content)
        assert "by one model on two cores" in lines(config)[-1]


def test_a_plan_says_what_prepare_will_refuse(config: RunConfig):
    assert config.prepare.calibration is not None
    embedded = replace(config.prepare.calibration, family="other")
    config = replace(config, prepare=replace(config.prepare, calibration=embedded))
    *_, last = weights_text.weights_lines(config)
    assert (last.label, last.urgent) == ("refused", True)
    assert last.text == (
        "gptq4-g32 of small and large, gptq8-g32 of large: the stage prepare does not quantise on these "
        "texts, which were made for the family 'other'; add prepare.calibration=reasoning, general, or "
        "{path: texts.jsonl}"
    )


def test_a_sweep_of_own_files_alone_needs_no_line(config: RunConfig):
    sweep = replace(config.sweep, weights=config.sweep.weights[:1])
    assert lines(replace(config, sweep=sweep)) == []
