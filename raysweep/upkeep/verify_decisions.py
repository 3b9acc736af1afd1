"""Checks of the records of an adaptive run's decisions. Every byte is read, and nothing is changed."""

import re
from collections.abc import Iterator

from raysweep.adaptive.records import FOLDER, RECORD_NAME, content_of, read_document
from raysweep.errors import ConfigError, StorageError
from raysweep.storage.comparison_schemas import DECISIONS
from raysweep.storage.damaged import DamagedPartError
from raysweep.storage.store import Store

# A record's JSON file has these entries.
ENTRIES = {"benchmark", "samples_per_question", "rules", "asked", "engines", "after", "inputs"}
ENTRIES |= {"critical", "compared", "budgets", "out"}


def check_decisions(store: Store) -> Iterator[tuple[str, str, bool]]:
    """What is wrong with a record: the file, a text, and whether setting the file aside mends it.

    A table without its JSON file is no fault: it is what a killed driver leaves, and counts as no record.
    """
    for name in store.folder.names(FOLDER):
        if not re.match(RECORD_NAME, name):
            continue
        if name.endswith(".parquet"):
            yield from _table(store, name)
        else:
            yield from _document(store, name)


def _table(store: Store, name: str) -> Iterator[tuple[str, str, bool]]:
    try:
        table = store.read_whole_table(name)
    except (ConfigError, StorageError) as error:
        yield name, str(error), isinstance(error, DamagedPartError)
        return
    if not table.schema.equals(DECISIONS):
        yield name, "its columns are not those of a decision", True
        return
    document = read_document(store, name.replace(".parquet", ".json"))
    said = document.get("out")
    if document and said != {"rows": table.num_rows, "content": content_of(table)}:
        yield name, "it does not belong to the decision in the JSON file beside it", True


def _document(store: Store, name: str) -> Iterator[tuple[str, str, bool]]:
    document = read_document(store, name)
    if not document:
        yield name, "it is not JSON", True
    elif missing := ENTRIES - set(document):
        yield name, f"it lacks {', '.join(sorted(missing))}", True
    elif not store.exists(name.replace(".json", ".parquet")):
        yield name, "its table is missing", True
