"""The stage publish: page, figures, tables and provenance as one folder, for a web host or the hub."""

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import yaml

from raysweep.errors import ConfigError
from raysweep.reporting.citation import bibtex, citation_file
from raysweep.reporting.drawn_figures import DRAWN
from raysweep.reporting.page import render
from raysweep.reporting.provenance import lead
from raysweep.reporting.publication import AS_CSV, TABLES, card, provenance, public_summary
from raysweep.reporting.results import Results, read_results
from raysweep.reporting.traces_page import FOLDER as TRACES
from raysweep.reporting.traces_page import traces_address
from raysweep.stages.context import Context, need
from raysweep.storage import result_files
from raysweep.storage.address import below
from raysweep.storage.bundle import Entry, write_bundle
from raysweep.storage.record import read_record
from raysweep.storage.reductions import REDUCTION, REDUCTION_KEY
from raysweep.storage.store import Store
from raysweep.storage.summary import read_mapping, read_summary
from raysweep.system.disclosure import Private, private_here
from raysweep.system.exit_status import DONE
from raysweep.system.quantities import plural
from raysweep.system.safe_text import without_secrets

# A text that a spreadsheet would read as a formula gets an apostrophe before it.
FORMULA = r"^([=+\-@\t\r])"


def run_stage(run: Context) -> int:
    """Bundle what the run has shown, check it, and put it in place as a whole."""
    need(run, result_files.SCORES, "reduce")
    need(run, result_files.PAGE, "report")
    check_is_new(run.store, result_files.PAGE, "report")
    if run.config.publish.traces:
        check_is_new(run.store, TRACES, "traces,report")
    private = private_of(run)
    entries = [checked(entry, private) for entry in entries_of(run, private)]
    to = run.config.publish.to or below(run.store.root, "publish")
    place = write_bundle(to, entries, run.config.run)
    run.say("publish", f"{without_secrets(place)}: {plural(len(entries) + 1, 'file')}")
    run.say("note", texts_in_words(run))
    return DONE


def texts_in_words(run: Context) -> str:
    asked = run.config.publish
    if asked.traces or asked.samples:
        return "it holds texts of the benchmarks' questions, or of models that repeat them: their terms hold"
    return (
        "traces and samples are left out, since some benchmarks, such as GPQA, ask not to publish their "
        "questions in plain form; publish.traces=true and publish.samples=true add them"
    )


def private_of(run: Context) -> Private:
    """What may be in no published file."""
    config, models = run.config, run.config.sweep.models
    nodes = read_mapping(run.store, "nodes.json").get("nodes") or ()
    hosts = [str(node[key]) for node in nodes for key in ("host", "node") if node.get(key)]
    addresses = [config.out, run.store.root, config.prepare.checkpoints]
    addresses += [model.path for model in models if not model.path.startswith("hf://")]
    if config.publish.to is not None:
        addresses.append(config.publish.to)
    servers = [config.server.of_all, *(server for _, server in config.server.by_engine)]
    keys = [server.key_env for server in servers if server is not None]
    return private_here(addresses, keys, [host for host in hosts if host != "this machine"])


def check_is_new(store: Store, name: str, stage: str) -> None:
    """Raise if what a stage has made, a file or a folder, is older than the tables."""
    made = store.folder.last_written(name)
    tables = store.folder.last_written(result_files.SCENARIOS)
    if made is not None and tables is not None and made < tables:
        raise ConfigError(
            f"stages: {store.path(name)} is older than the tables; run stages=[{stage},publish]"
        )


def entries_of(run: Context, private: Private) -> Iterator[Entry]:
    """Every file of the bundle but its checksums."""
    store, asked = run.store, run.config.publish
    summary = public_summary(read_summary(store), private.masked)
    results = replace(read_results(store), summary=summary)
    tables = read_tables(store)
    check_of_one_reduction(tables, summary.get(REDUCTION))
    rows = {name: pq.read_metadata(pa.BufferReader(data)).num_rows for name, data in tables.items()}
    first = lead(results.scenarios, summary)
    yield Entry.of("index.html", render(results, _traces(run, results)))
    for name, data in tables.items():
        yield Entry.of(f"tables/{name}", data)
        if name in AS_CSV:
            yield Entry.of(f"tables/csv/{name.removesuffix('.parquet')}.csv", as_csv(data))
    record, nodes = read_record(store), read_mapping(store, "nodes.json")
    made = provenance(record, summary, nodes, private.masked)
    yield Entry.of("provenance.json", json.dumps(made, indent=1, ensure_ascii=False) + "\n")
    citation = citation_file(summary, asked.license)
    yield Entry.of("CITATION.cff", yaml.safe_dump(citation, sort_keys=False, allow_unicode=True))
    yield Entry.of("citation.bib", bibtex(summary))
    yield Entry.of(
        "README.md",
        card(run.config.run, summary, rows, first, asked.license, asked.traces, asked.samples),
    )
    figures = [name for name in store.folder.names("figures") if name != DRAWN]
    yield from copies(store, figures, "")
    if asked.traces:
        yield from copies(store, store.folder.names(TRACES), TRACES.removesuffix("traces"))
    if asked.samples:
        # Where compaction was killed, a part may lie in two files, but its samples count once.
        yield from copies(store, sorted({part.file for part in run.folder.parts}), "")


def _traces(run: Context, results: Results) -> str | None:
    """The address of the traces' pages, if they are part of the bundle."""
    if not run.config.publish.traces:
        return None
    address = traces_address(results, run.store)
    if address is None:
        raise ConfigError(
            "publish.traces: true, but the run has no pages of traces; run stages=[traces,report,publish]"
        )
    return address


def copies(store: Store, names: Iterable[str], above: str) -> Iterator[Entry]:
    """Files of the run, each read when it is written, under their names below the folder `above`."""
    for name in names:
        yield Entry(
            name.removeprefix(above),
            lambda name=name: str(store.size(name)),
            lambda name=name: store.read_bytes(name),
        )


def read_tables(store: Store) -> dict[str, bytes]:
    """The files of the tables that the run has."""
    return {name: store.read_bytes(name) for name in TABLES if store.exists(name)}


def check_of_one_reduction(tables: Mapping[str, bytes], reduction: str | None) -> None:
    """Raise if a table that was read is of another reduction than the summary, as beside a running one."""
    found = {
        (pq.read_metadata(pa.BufferReader(data)).metadata or {}).get(REDUCTION_KEY)
        for name, data in tables.items()
        if name in result_files.REDUCED
    }
    if found != {None if reduction is None else reduction.encode()}:
        raise ConfigError(
            "publish: the tables were reduced again meanwhile; run stages=[report,publish] again"
        )


def as_csv(data: bytes) -> bytes:
    """A table as CSV, in which no text is a formula."""
    table = pq.read_table(pa.BufferReader(data))
    columns = {
        name: pc.call_function(
            "replace_substring_regex",
            [column],
            pc.ReplaceSubstringOptions(FORMULA, r"'\1"),
        )
        if pa.types.is_string(column.type)
        else column
        for name, column in zip(table.column_names, table.columns, strict=True)
    }
    sink = io.BytesIO()
    pyarrow.csv.write_csv(pa.table(columns), sink)
    return sink.getvalue()


def checked(entry: Entry, private: Private) -> Entry:
    """The file, which when it is read must hold nothing private. Raises ConfigError then."""

    def read() -> bytes:
        data = entry.read()
        for readable in (data, *_texts(entry.name, data)):
            if given_away := private.found_in(readable):
                raise ConfigError(
                    f"publish: {entry.name} would hold {without_secrets(given_away)}, so nothing is "
                    "published; take it out of the names and definitions of the run"
                )
        return data

    return Entry(entry.name, entry.identity, read)


def _texts(name: str, data: bytes) -> Sequence[bytes]:
    """The texts of a table, which Parquet compresses. Samples hold those of models alone."""
    if not name.startswith("tables/") or not name.endswith(".parquet"):
        return ()
    table = pq.read_table(pa.BufferReader(data))
    texts = [column.unique().to_pylist() for column in table if pa.types.is_string(column.type)]
    return ["\n".join(str(text) for column in texts for text in column).encode()]
