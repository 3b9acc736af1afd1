"""Whatever stands in the small files of a run's folder: a stage ignores it or refuses it in one line."""

import copy
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.command import generate_here
from support.nouns import a_run_config

from raysweep.configuration.identity import as_document
from raysweep.driver import generate
from raysweep.errors import ConfigError
from raysweep.planning.loads import noted_loads
from raysweep.progress.nodes_json import read_nodes
from raysweep.progress.progress_json import read_progress
from raysweep.progress.sessions import note_killed_session, note_session
from raysweep.progress.status import Status, last_written, lines
from raysweep.reporting.adaptive_page import adaptive_section
from raysweep.reporting.provenance import facts, lead
from raysweep.reporting.quality import gaps, notes
from raysweep.reporting.results import Results, read_results
from raysweep.reporting.threshold_words import threshold_notes
from raysweep.stages import run_stages
from raysweep.stages.folder import check_folder, note_origin, origin
from raysweep.storage.lease import take_lease
from raysweep.storage.store import Store
from raysweep.storage.summary import read_summary

STRANGE = [None, [1], [None], -1, 1e300, "garbage", {"x": None}, True]
BROKEN = [b"", b"null", b"[", b"[1]", b'"text"', b"\xff\xfe", b"[" * 100_000, b"{" * 100_000]
FILES = ("summary.json", "progress.json", "nodes.json", "config.yaml")

PROGRESS = {
    "written_at": "2026-01-01T00:00:00Z",
    "epoch": 1,
    "engines": [
        dict.fromkeys(("engine_id", "model", "weights", "kv_policy", "benchmark"), "a")
        | {"shards_done": 1, "samples": 8, "tokens": 9}
    ],
    "actors": 1,
    "tokens_s": 2.5,
    "faults": {"actor": 2},
    "retries": 0,
    "seconds_left": None,
    "wall_s": 3.5,
}
GPU = {"name": "G", "memory_bytes": 2, "free_bytes": 1}
NODE = dict.fromkeys(("node", "host", "code", "cuda", "driver", "driver_cuda"), "a") | {
    "clock_s": 1.0,
    "versions": {"python": "3.11"},
    "gpus": [GPU],
    "bubblewrap": True,
    "compiler": False,
    "free_disk_bytes": 9,
    "problems": [],
}
COST = {"tokens": 9, "gpu_hours": 1.5, "usd": 2.0}
DECISION = dict.fromkeys(("samples", "comparisons", "stopped", "left", "engines"), 2)
COURSE = {
    **{"benchmark": "toy", "samples": 4, "engines": 2, "configurations": 8, "done": True},
    "decisions": [DECISION | {"critical_value": 2.1}],
    **{"never_judged": 0, "stopped_engines": 1},
    "largest": [
        {"engine_id": "a", "samples": 2, "out": ["a", 8, 1], "by": ["b", 8, 1], "margin": 0.1}
    ],
}
ADAPTIVE = {
    **{"epsilon": 0.01, "delta": 0.05, "memory_bytes": 1e9, "batch_size": 1, "samples": 4},
    **{"done": True, "benchmarks": [COURSE], "made": COST, "full_run": COST},
    **{"guarantee": "so it is", "never_judged": ""},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run's folder in which each small file has all that it can have."""
    out = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generate, "generate", generate_here)

        config = a_run_config(out=str(out), stages=("plan", "generate", "reduce"))
        assert run_stages(config, as_document(config)) == 0
    folder = out / "test"
    summary = json.loads((folder / "summary.json").read_text())
    summary["adaptive"] = ADAPTIVE
    summary["quarantined_questions"] = 1
    summary["quarantined"] = [{"engine_id": "a", "benchmark": "toy", "question_id": "q"}]
    summary["caches_as_full"] = [{"kv_policy": "a", "differs_from": 4, "token_budgets": [8]}]
    (folder / "summary.json").write_text(json.dumps(summary))
    (folder / "progress.json").write_text(json.dumps(PROGRESS))
    (folder / "nodes.json").write_text(json.dumps({"nodes": [NODE]}))
    return folder


def places(value: Any, above: tuple = ()) -> Iterator[tuple]:
    """The path of each value in a document: of each entry, and of the first of each list."""
    yield above
    if isinstance(value, dict):
        for key, entry in value.items():
            yield from places(entry, (*above, key))
    elif isinstance(value, list) and value:
        yield from places(value[0], (*above, 0))


def with_value(document: Any, place: tuple, value: Any) -> Any:
    changed = copy.deepcopy(document)
    if not place:
        return value
    *way, last = place
    inner = changed
    for step in way:
        inner = inner[step]
    inner[last] = value
    return changed


def say_all(results: Results, store: Store) -> None:
    """Say all that the page says of summary.json."""
    results = replace(results, summary=read_summary(store))
    for said in (facts, lead):
        said(results.scenarios, results.summary)
    for told in (gaps, notes, adaptive_section):
        told(results.summary)
    list(threshold_notes(results, 1))
    noted_loads(store)


# The entries of config.yaml that are read; the rest of it tells people what was configured.
READ = ("identity", "versions", "git_revision")


def texts(name: str, content: str, depth: int = 99) -> Iterator[bytes]:
    """The file's text with each value, down to a depth, replaced by each strange one, and broken texts."""
    yield from BROKEN
    document = yaml.safe_load(content) if name.endswith("yaml") else json.loads(content)
    write = yaml.safe_dump if name.endswith("yaml") else json.dumps
    for place in places(document):
        unread = name == "config.yaml" and place and place[0] not in READ
        if unread or len(place) > depth:
            continue
        for strange in STRANGE[:4] if name == "config.yaml" else STRANGE:  # YAML is slow
            yield write(with_value(document, place, strange)).encode()


@pytest.mark.parametrize("name", FILES)
def test_a_strange_value_is_ignored_or_refused_and_never_a_traceback(
    made: Path, tmp_path: Path, name: str
):
    folder = tmp_path / "runs" / "test"
    shutil.copytree(made, folder)
    store, content = Store(str(folder)), (folder / name).read_text()
    results = read_results(store)
    config = a_run_config(out=str(tmp_path / "runs"))
    for text in texts(name, content):
        (folder / name).write_bytes(text)
        try:
            if name == "config.yaml":
                check_folder(store, config)
                origin(store, config)
                note_origin(store, as_document(config))
                continue
            status = Status(
                (), last_written(store, None), read_summary(store), read_progress(store)
            )
            list(lines(status, now=0.0))
            list(lines(Status((), {}, {}, None, read_nodes(store)), now=0.0))
            if name == "summary.json":
                say_all(results, store)
        except ConfigError as error:
            assert name == "config.yaml" and len(str(error).splitlines()) == 1
        except Exception as error:
            raise AssertionError(text[:2000]) from error


@pytest.mark.parametrize("name", ["summary.json", "progress.json"])
def test_a_session_is_added_to_whatever_was_noted_before(made: Path, tmp_path: Path, name: str):
    folder = tmp_path / "test"
    shutil.copytree(made, folder)
    content = (folder / name).read_text()
    take_lease(Store(str(folder)).folder)  # of a driver that was killed
    store = Store(str(folder), take_lease(Store(str(folder)).folder))
    assert store.lease is not None and store.lease.displaced is not None
    store.lease.displaced["epoch"] = 1
    for text in texts(name, content, depth=1):
        (folder / name).write_bytes(text)
        try:
            note_killed_session(store)
            note_session(store, 1.0, 2.0, {"actor": 1}, ["a warning"])
        except Exception as error:
            raise AssertionError(text[:2000]) from error
        assert read_summary(store)["faults_by_kind"]["driver"] >= 1
