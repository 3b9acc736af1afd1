"""Calibration texts of the hub: drawn without a network from a cached file, always the same."""

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest
from support.data_sets import COMMIT, write_hub_cache

from raysweep.checkpoints.published_texts import (
    LEAST_CHARACTERS,
    MOST_CHARACTERS,
    drawn,
    fetched_documents,
)
from raysweep.errors import ConfigError
from raysweep.recipe import Document, PublishedTexts

TOKENS = 10
TEXTS = PublishedTexts("invented/texts", COMMIT, "data/a.parquet", "text", count=3, seed=0)
LONG = "x" * TOKENS * LEAST_CHARACTERS


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub's cache instead of the user's, and no network."""
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return tmp_path


def rows(count: int = 40) -> list[dict]:
    """Long and short texts in turn, each with its number."""
    return [
        {"text": f"{i:03d}" + (LONG if i % 2 else ""), "problem": f"{i}?"} for i in range(count)
    ]


def texts_in(cache: Path, texts: PublishedTexts = TEXTS) -> list[str]:
    _, documents = fetched_documents(texts, TOKENS, "calibration")
    return [document.text[:3] for document in documents]


def test_texts_are_drawn_from_the_long_ones_by_the_seed_alone(cache: Path):
    write_hub_cache(cache, "invented/texts", "data/a.parquet", rows())
    found = texts_in(cache)
    assert len(set(found)) == 3 and all(int(number) % 2 for number in found)
    assert found == sorted(found) == texts_in(cache)
    assert found != texts_in(cache, replace(TEXTS, seed=1))


def test_a_compressed_file_of_json_lines_gives_the_texts_of_the_same_parquet_file(cache: Path):
    write_hub_cache(cache, "invented/texts", "data/a.parquet", rows())
    file = cache / "datasets--invented--texts" / "snapshots" / COMMIT / "data" / "a.json.gz"
    with gzip.open(file, "wt") as lines:
        lines.writelines(json.dumps(row) + "\n" for row in rows())
    assert texts_in(cache, replace(TEXTS, file="data/a.json.gz")) == texts_in(cache)


def test_a_column_of_lists_gives_its_first_text_with_the_question(cache: Path):
    listed = [{"problem": row["problem"], "traces": [row["text"], "another"]} for row in rows()]
    write_hub_cache(cache, "invented/texts", "data/a.parquet", listed)
    texts = replace(TEXTS, text="traces", prompt="problem")
    _, documents = fetched_documents(texts, TOKENS, "calibration")
    assert all(document.prompt == f"{int(document.text[:3])}?" for document in documents)


def test_a_long_text_is_cut_to_what_its_tokens_can_need(cache: Path):
    write_hub_cache(cache, "invented/texts", "data/a.parquet", [{"text": LONG * 9}] * 3)
    _, documents = fetched_documents(TEXTS, TOKENS, "calibration")
    assert {len(document.text) for document in documents} == {TOKENS * MOST_CHARACTERS}


def test_each_text_is_drawn_as_often_as_any_other():
    documents = [Document("", str(number)) for number in range(10)]
    counts = dict.fromkeys(map(str, range(10)), 0)
    for seed in range(2000):
        for document in drawn(documents, replace(TEXTS, seed=seed)):
            counts[document.text] += 1
    assert all(520 < count < 680 for count in counts.values())  # 600 each, within 4 deviations


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"count": 21}, "calibration.count: 21 texts are wanted, but hf://.* has only 20 of 60 characters"),
        ({"sha256": 64 * "0"}, "has the SHA-256 .*, not the pinned 000"),
        ({"text": "body"}, "cannot be read .*body.*; correct the names of its columns"),
        ({"file": "data/b.parquet"}, "b.parquet of .* is not in the cache .*, or give texts of your own"),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_is_refused_with_the_way_out(changes: dict, words: str, cache: Path):
    write_hub_cache(cache, "invented/texts", "data/a.parquet", rows())
    with pytest.raises(ConfigError, match=words):
        fetched_documents(replace(TEXTS, **changes), TOKENS, "calibration")
