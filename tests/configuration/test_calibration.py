"""What `prepare.calibration` may be: texts that suit the models to be made, and that are pinned."""

import re
from pathlib import Path
from typing import Any

import pytest
from support.configurations import changed, read, write_definition, write_models

from raysweep.checkpoints.engine_files import makings
from raysweep.configuration.config import conf_folder
from raysweep.configuration.definitions import Definitions, read_yaml
from raysweep.configuration.preparation import read_calibration
from raysweep.errors import ConfigError
from raysweep.recipe import Calibration

REASONING = "prepare.calibration: 'embedded' has worked problems of the family 'tiny', and gptq4-g32 of small"


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """The models `small` and `large`, of another family than the embedded one."""
    folder = write_models(tmp_path, "small", "large")
    for name in ("small", "large"):
        path = str(tmp_path / "models" / name)
        write_definition(folder, "model", name, family="qwen3", path=path)
    return folder


def with_weights(weights: str, stages: list[str], calibration: Any = "embedded") -> dict:
    configuration = changed("sweep.weights", [weights])
    configuration["stages"] = stages
    configuration["prepare"]["calibration"] = calibration
    return configuration


@pytest.mark.parametrize("stages", [["plan", "prepare"], ["prepare"], ["generate", "reduce"]])
def test_embedded_texts_are_refused_where_another_family_would_be_made_on_them(
    stages: list[str], mine: Path
):
    with pytest.raises(ConfigError, match=re.escape(REASONING)) as raised:
        read(with_weights("gptq-4-g32", stages), mine)
    assert str(raised.value).endswith("reasoning, general, or {path: texts.jsonl}")


def test_embedded_texts_are_no_matter_where_nothing_is_made(mine: Path):
    assert read(with_weights("bf16", ["plan"]), mine).prepare.calibration is None
    for stages in (["plan"], ["reduce", "report"]):
        assert read(with_weights("gptq-4-g32", stages), mine).prepare.calibration


def test_published_texts_are_named_by_their_commit_and_nothing_is_fetched(mine: Path):
    config = read(with_weights("gptq-4-g32", ["plan"], "general"), mine)
    calibration = config.prepare.calibration
    assert calibration is not None and calibration.documents == () and calibration.count == 512
    others = [
        {"name": "general", "seed": 1},
        {"name": "general", "tokens": 1024},
        {"name": "general", "count": 256},
        "reasoning",
    ]
    names = {recipe_of(with_weights("gptq-4-g32", ["plan"], other), mine) for other in others}
    assert len({*names, recipe_of(with_weights("gptq-4-g32", ["plan"], "general"), mine)}) == 5


def recipe_of(configuration: dict, mine: Path) -> str:
    return next(makings(read(configuration, mine))).recipe.recipe_id


def test_a_sha256_that_becomes_known_leaves_the_recipe_what_it_is():
    known, unknown = (calibration({"name": "general", "source": source(s)}) for s in (True, False))
    assert known.published and known.published.sha256 and known.content == unknown.content


def source(with_sha256: bool) -> dict[str, Any]:
    found = dict(read_yaml(conf_folder() / "calibration" / "general.yaml")["source"])
    return found if with_sha256 else {**found, "sha256": None}


def calibration(entry: Any) -> Calibration:
    return read_calibration(Definitions((conf_folder(),)), entry, "calibration")


@pytest.mark.parametrize("name", ["general", "reasoning"])
def test_the_shipped_texts_are_512_of_2048_tokens_from_a_pinned_commit(name: str):
    found = calibration(name)
    assert found.published is not None
    assert (found.count, found.tokens) == (512, 2048)
    assert re.fullmatch("[0-9a-f]{40}", found.published.revision)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"source": {"hub": "a/b", "revision": "main", "file": "x.parquet"}},
            "calibration.source.revision: 'main' is not a commit; .* hf.co/datasets/a/b/commits/main",
        ),
        (
            {"source": {"hub": "a/b", "revision": 40 * "a", "file": "x", "sha256": "1"}},
            "calibration.source.sha256: '1' is not a SHA-256",
        ),
        ({"source": "x.parquet"}, "calibration.source: '.*x.parquet' is not a mapping"),
        ({"count": 0}, "calibration.count: 0 is out of range"),
        ({"colour": 1}, "'colour' is not a known key"),
    ],
)
def test_texts_that_are_not_pinned_or_not_understood_are_refused(change: dict, words: str):
    with pytest.raises(ConfigError, match=words):
        calibration({"name": "general", **change})


def test_too_few_published_tokens_are_refused_before_anything_is_fetched(mine: Path):
    few = {"name": "general", "count": 1, "tokens": 8}
    with pytest.raises(ConfigError, match="8 calibration tokens are too few for layers of 96"):
        read(with_weights("gptq-4-g32", ["plan"], few), mine)
