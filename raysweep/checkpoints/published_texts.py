"""Calibration texts from a data set on the Hugging Face hub: fetched as benchmarks are, and drawn by a seed.

A text is long enough if it has LEAST_CHARACTERS for each wanted token, so that nearly every drawn text fills
its tokens under any tokenizer. Shorter texts are left out, and none are joined. The draw is a reservoir: each
text that is long enough is as likely as any other, and the same file always gives the same texts.
"""

import gzip
import json
import random
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from raysweep.benchmarks.sources import File, hub_file
from raysweep.errors import ConfigError
from raysweep.recipe import Document, PublishedTexts
from raysweep.system.safe_text import is_whole

# Characters per token: English prose has some 4.5, mathematics 3.
LEAST_CHARACTERS = 6
# More characters than this per token are cut off, which bounds what is sent to workers.
MOST_CHARACTERS = 8
OWN_TEXTS = "give texts of your own, {path: texts.jsonl}"
# Rows of a Parquet file that are in memory at a time.
BATCH_ROWS = 512


def fetched_documents(
    texts: PublishedTexts, tokens: int, field: str
) -> tuple[File, tuple[Document, ...]]:
    """The file, which is fetched if the hub's cache lacks it, and the documents drawn from it.

    Raises ConfigError, which names `field`, if the file cannot be had or read, or has too few long texts.
    """
    file = hub_file(
        texts.data_set, texts.file, texts.revision, texts.sha256, field, instead=OWN_TEXTS
    )
    try:
        found = drawn(long_documents(read_columns(file.path, texts), texts, tokens), texts)
    except (OSError, EOFError, ValueError, KeyError) as error:  # Arrow's and JSON's are ValueErrors
        raise ConfigError(
            f"{field}: {file.origin} cannot be read ({error}); correct the names of its columns, or fetch "
            "it again"
        ) from error
    if len(found) < texts.count:
        raise ConfigError(
            f"{field}.count: {texts.count} texts are wanted, but {file.origin} has only {len(found)} of "
            f"{tokens * LEAST_CHARACTERS:,} characters; lower count or tokens"
        )
    return file, found


def drawn(documents: Iterable[Document], texts: PublishedTexts) -> tuple[Document, ...]:
    """`count` of the documents, each with the same chance (Vitter's algorithm R), in the file's order."""
    rng = random.Random(f"calibration/{texts.seed}")
    kept: list[tuple[int, Document]] = []
    for number, document in enumerate(documents):
        place = number if number < texts.count else rng.randrange(number + 1)
        if place < texts.count:
            kept[place : place + 1] = [(number, document)]
    return tuple(document for _, document in sorted(kept, key=lambda one: one[0]))


def long_documents(
    rows: Iterable[Mapping[str, Any]], texts: PublishedTexts, tokens: int
) -> Iterator[Document]:
    """The rows' documents that are long enough, cut to a bounded length."""
    for row in rows:
        text = row[texts.text]
        text = (text[0] if text else "") if isinstance(text, list) else text
        prompt = row[texts.prompt] if texts.prompt else ""
        if not isinstance(text, str) or not isinstance(prompt, str):
            raise ValueError(f"column {texts.text!r} or {texts.prompt!r} does not hold texts")
        whole = len(text) >= tokens * LEAST_CHARACTERS and is_whole(prompt) and is_whole(text)
        if whole and (prompt or not texts.prompt):
            yield Document(prompt, text[: tokens * MOST_CHARACTERS])


def read_columns(path: Path, texts: PublishedTexts) -> Iterator[Mapping[str, Any]]:
    """The rows of a Parquet file, or of a file with a JSON object per line, which may be compressed."""
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq  # imported here because it is slow and rarely needed

        columns = [column for column in (texts.prompt, texts.text) if column]
        missing = set(columns) - set(pq.read_schema(path).names)
        if missing:
            raise KeyError(*sorted(missing))
        for batch in pq.ParquetFile(path).iter_batches(BATCH_ROWS, columns=columns):
            yield from batch.to_pylist()
        return
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as lines:
        yield from (json.loads(line) for line in lines if line.strip())
