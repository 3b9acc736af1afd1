"""The stage publish: a bundle that others can read, without anything that is the user's own."""

import csv
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from support.browser import Browser
from support.report_page import texts
from support.traced_run import HOSTILE, staged, store_of, traced_run

from raysweep.errors import ConfigError
from raysweep.reporting.results import Results
from raysweep.run_config import RunConfig
from raysweep.run_config.outputs import Publish
from raysweep.stages import publish
from raysweep.storage import result_files
from raysweep.storage.reductions import REDUCTION_KEY
from raysweep.storage.store import Store
from raysweep.storage.summary import add_to_summary
from raysweep.system.disclosure import PACKED, _unpacked

TABLES = ("scenarios", "frontier", "frontiers", "scores", "questions", "thresholds", "findings")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    folder = tmp_path_factory.mktemp("made")
    return traced_run(folder, "plan", "reduce", "traces", "report")


@pytest.fixture
def run(made: RunConfig, tmp_path: Path) -> RunConfig:
    """The finished run, in a folder of the test's own."""
    shutil.copytree(Path(made.out).parent, tmp_path / "own", dirs_exist_ok=True)
    return replace(made, out=str(tmp_path / "own" / "runs"))


def published(run: RunConfig, **asked: object) -> Path:
    """The folder of the bundle."""
    to = Path(run.out).parent / "site"
    staged(run, "publish", publish=Publish(to=str(to), **asked))  # pyright: ignore[reportArgumentType]
    return to


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def readable(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file of a bundle, and what is packed in it."""
    for name, data in files(folder).items():
        yield name, data
        if name.endswith(".parquet"):
            table = pq.read_table(folder / name)
            yield name, json.dumps(table.to_pylist(), default=str).encode()
        for unpacked in _unpacked(data):
            yield name, unpacked


def test_the_bundle_holds_page_figures_tables_and_provenance(run: RunConfig):
    folder = published(run)
    names = set(files(folder))
    assert {"README.md", "index.html", "provenance.json", "CITATION.cff", "citation.bib"} <= names
    assert {f"tables/{name}.parquet" for name in TABLES} <= names
    assert "tables/csv/scenarios.csv" in names and any(
        name.startswith("figures/") for name in names
    )
    assert not any(name.startswith(("traces/", "samples/")) for name in names)
    own = files(Path(run.out) / "test")
    for name in TABLES:
        assert files(folder)[f"tables/{name}.parquet"] == own[f"{name}.parquet"]


def test_without_a_place_it_is_in_the_folder_of_the_run_and_nothing_else_changes(
    run: RunConfig, capsys: pytest.CaptureFixture[str]
):
    folder = Path(run.out) / "test"
    before = files(folder)
    staged(run, "publish")
    after = files(folder)
    assert {name: data for name, data in after.items() if not name.startswith("publish/")} == before
    assert "publish/README.md" in after
    said = capsys.readouterr().out
    assert (
        "traces and samples are left out, since some benchmarks, such as GPQA, ask not to" in said
    )


def test_the_card_names_every_table_with_rows_as_the_hub_reads_it(run: RunConfig):
    folder = published(run, license="cc-by-4.0")
    _, front, body = (folder / "README.md").read_text().split("---\n", 2)
    read = yaml.safe_load(front)
    assert read["license"] == "cc-by-4.0"
    for one in read["configs"]:
        assert pq.read_metadata(folder / one["data_files"]).num_rows > 0
    assert read["configs"][0] == {
        "config_name": "scenarios",
        "data_files": "tables/scenarios.parquet",
        "default": True,
    }
    assert "sha256sum --check checksums.sha256" in body
    folder = published(run)
    assert "license" not in yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])


def test_the_csv_files_say_what_the_tables_say(run: RunConfig):
    folder = published(run)
    with (folder / "tables/csv/scenarios.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    table = pq.read_table(folder / "tables/scenarios.parquet").to_pylist()
    assert [(r["engine_id"], float(r["accuracy"])) for r in rows] == [
        (r["engine_id"], r["accuracy"]) for r in table
    ]


def test_the_run_the_code_and_the_data_can_be_cited(run: RunConfig, browser: Browser):
    folder = published(run, license="cc-by-4.0")
    citation = yaml.safe_load((folder / "CITATION.cff").read_text())
    assert citation["type"] == "dataset" and citation["license"] == "cc-by-4.0"
    (code,) = citation["references"]
    assert (code["version"], code["commit"]) == ("1", "abc")
    entries = (folder / "citation.bib").read_text()
    assert "Measured with raysweep 1, revision abc, seed 0" in entries
    page = browser.visit((folder / "index.html").as_uri())
    assert texts(page, "#bibtex") == [entries.strip()]
    page.front()
    page.evaluate("byId('cite-copy').click()")
    page.until("byId('cite-copy').textContent !== 'Copy BibTeX'")
    assert page.troubles == []


def test_no_secret_and_no_place_is_in_any_file(
    run: RunConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    secrets = {
        **{"HF_TOKEN": "hf_sesame_open_1", "AWS_SECRET_ACCESS_KEY": "sesame_open_2"},
        **{"RAYSWEEP_SERVER_KEY": "sesame_open_3", "WANDB_API_KEY": "sesame_open_4"},
    }
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(tmp_path / "home" / "ada"))
    store = store_of(run)
    record = yaml.safe_load(store.read_text("config.yaml"))
    record["configuration"]["out"] = "s3://key:sesame_open_5@bucket/runs?token=sesame_open_6"
    record["configuration"]["sweep"]["models"][0]["path"] = "s3://ada:sesame_open_7@bucket/toy"
    record["configuration"]["sweep"]["models"][0]["family"]["template"] = {
        "api_key": "sesame_open_8",
        "note": f"see {tmp_path}/home/ada/notes and {secrets['HF_TOKEN']}",
    }
    sources = [f"{tmp_path}/my own/gpqa.csv#sha256=ab", "hf://a/b@main/c.csv#sha256=cd"]
    record["configuration"]["sweep"]["benchmarks"][0]["sources"] = sources
    store.write_text("config.yaml", yaml.safe_dump(record))
    node = {"node": "10.1.2.3", "host": "ada-laptop", "gpus": [{"name": "H100"}], "driver": "550.1"}
    store.write_text(
        "nodes.json", json.dumps({"nodes": [node, {**node, "host": "b", "node": "c"}]})
    )
    add_to_summary(
        store,
        {
            "parts_set_aside": [
                f"{run.out}/test/samples/engine=toy.bf16.full/shard-a.parquet.damaged"
            ],
            "warnings": [
                f"ada-laptop (10.1.2.3:8265) lost {run.out}/x, {secrets['WANDB_API_KEY']}"
            ],
        },
    )
    staged(run, "report")
    folder = published(run, traces=True, samples=True)
    private = (b"sesame", str(tmp_path).encode(), b"ada-laptop", b"10.1.2.3", b"home/ada")
    for name, data in readable(folder):
        for one in private:
            assert one not in data, f"{name} holds {one!r}"
    found = json.loads((folder / "provenance.json").read_text())
    assert found["hardware"] == [
        {"count": 2, "node": {"gpus": [{"name": "H100"}], "driver": "550.1"}}
    ]
    assert found["summary"]["parts_set_aside"] == ["shard-a.parquet.damaged"]
    (benchmark,) = found["configuration"]["sweep"]["benchmarks"]
    assert benchmark["sources"] == ["gpqa.csv#sha256=ab", "hf://a/b@main/c.csv#sha256=cd"]
    assert found["git_revision"] == "abc" and "out" not in found["configuration"]


@pytest.mark.parametrize(
    "where", ["figures/mine.svg", "engines.parquet", "report/traces/sums/x/q9.js"]
)
def test_what_was_not_masked_is_found_and_nothing_is_published(
    run: RunConfig, monkeypatch: pytest.MonkeyPatch, where: str
):
    from raysweep.reporting.packing import packed

    monkeypatch.setenv("HF_TOKEN", "hf_sesame_open_1")
    store = store_of(run)
    if where.endswith(".parquet"):
        table = store.read_table(where)
        at = table.column_names.index("family")
        column = [["hf_sesame_open_1"] * table.num_rows]
        store.write_table(where, table.set_column(at, "family", column))
    elif where.endswith(".js"):
        store.write_text(where, f'traceData("q9","{packed("hf_sesame_open_1")}")')
    else:
        store.write_text(where, "<svg>hf_sesame_open_1</svg>")
    with pytest.raises(ConfigError, match=r"would hold the value of HF_TOKEN, so nothing is"):
        published(run, traces=True)
    assert not (Path(run.out).parent / "site").exists()


def test_traces_are_added_if_they_are_asked_for(run: RunConfig, browser: Browser):
    folder = published(run, traces=True)
    page = browser.visit((folder / "index.html").as_uri())
    page.evaluate("1")
    assert page.troubles == []
    traces = browser.visit((folder / "traces" / "sums.html").as_uri())
    assert HOSTILE in texts(traces, "#prompt")[0]
    back = traces.evaluate("document.querySelector('header a').href")
    assert back == (folder / "index.html").as_uri()
    assert "their terms hold for these files too" in (folder / "README.md").read_text()


def test_without_traces_no_text_of_a_question_is_in_the_bundle(run: RunConfig):
    folder = published(run)
    assert all(b"What is this?" not in data for _, data in readable(folder))
    assert any(PACKED.search(data) for data in files(folder).values())


def test_traces_that_were_never_made_are_refused(run: RunConfig):
    shutil.rmtree(Path(run.out) / "test" / "report" / "traces")
    with pytest.raises(ConfigError, match="the run has no pages of traces"):
        published(run, traces=True)


def test_samples_are_added_byte_for_byte_if_they_are_asked_for(run: RunConfig):
    folder = published(run, samples=True)
    own = {n: d for n, d in files(Path(run.out) / "test").items() if n.startswith("samples/")}
    assert {n: d for n, d in files(folder).items() if n.startswith("samples/")} == own and own
    configs = yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])["configs"]
    assert configs[-1] == {"config_name": "samples", "data_files": "samples/*/*.parquet"}


def test_tables_of_two_reductions_are_refused(run: RunConfig):
    folder = Path(run.out) / "test"
    for number, name in enumerate(sorted(result_files.REDUCED)):
        table = pq.read_table(folder / name)
        named = {**(table.schema.metadata or {}), b"raysweep.reduction": str(number % 2).encode()}
        pq.write_table(table.replace_schema_metadata(named), folder / name)
    (folder / "report" / "index.html").touch()
    with pytest.raises(ConfigError, match=r"belong to \d reductions"):
        published(run)


def test_tables_that_are_reduced_again_meanwhile_are_refused(
    run: RunConfig, monkeypatch: pytest.MonkeyPatch
):
    read = publish.read_results

    def reduced_meanwhile(store: Store) -> Results:
        results, name = read(store), "frontier.parquet"
        table = pq.read_table(Path(run.out) / "test" / name)
        named = {**table.schema.metadata, REDUCTION_KEY: b"another"}
        pq.write_table(table.replace_schema_metadata(named), Path(run.out) / "test" / name)
        return results

    monkeypatch.setattr(publish, "read_results", reduced_meanwhile)
    with pytest.raises(ConfigError, match="the tables were reduced again meanwhile"):
        published(run)


def test_a_report_that_is_older_than_the_tables_is_refused(run: RunConfig):
    (Path(run.out) / "test" / "scenarios.parquet").touch()
    with pytest.raises(
        ConfigError, match=r"is older than the tables; run stages=\[report,publish\]"
    ):
        published(run)


def test_a_run_without_a_report_is_refused(run: RunConfig):
    (Path(run.out) / "test" / "report" / "index.html").unlink()
    with pytest.raises(ConfigError, match="run the stage 'report' first"):
        published(run)
