"""Figures are drawn again only where their data, their files or the code have changed."""

import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from support import result_tables

from raysweep.reducing.result_tables import score_table
from raysweep.reporting import drawn_figures
from raysweep.reporting.drawn_figures import DRAWN, write_figures
from raysweep.reporting.figures import FIGURES
from raysweep.reporting.results import Results, read_results
from raysweep.storage.store import Store

RESULTS = result_tables.results()
OF_A_BENCHMARK = len(FIGURES)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A folder with the tables of a run and all of its figures."""
    store = Store(str(tmp_path_factory.mktemp("drawn")))
    for name, table in {
        "scenarios": RESULTS.scenarios,
        "frontier": RESULTS.frontier,
        "thresholds": RESULTS.thresholds,
    }.items():
        store.write_table(f"{name}.parquet", pa.Table.from_pandas(table, preserve_index=False))
    store.write_table("scores.parquet", score_table(RESULTS.candidates))
    store.write_text("summary.json", json.dumps(RESULTS.summary))
    assert write_figures(read_results(store), store) == 2 * OF_A_BENCHMARK
    return store


def files(store: Store) -> dict[str, tuple[int, bytes]]:
    paths = Path(store.root, "figures").iterdir()
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in paths}


def test_a_figure_of_the_same_data_is_left_alone(drawn: Store):
    before = files(drawn)
    assert write_figures(read_results(drawn), drawn) == 0
    assert files(drawn) == before


def test_other_data_of_one_benchmark_leave_the_figures_of_the_other_alone(drawn: Store):
    results = read_results(drawn)
    scenarios = results.scenarios.copy()
    scenarios.loc[scenarios.benchmark == "chain", "accuracy"] *= 0.9
    before = files(drawn)
    assert write_figures(replace(results, scenarios=scenarios), drawn) == OF_A_BENCHMARK
    changed = {name for name, (_, data) in files(drawn).items() if data != before[name][1]}
    assert changed and all(name.startswith(("chain-", "drawn.json")) for name in changed)
    assert write_figures(results, drawn) == OF_A_BENCHMARK
    assert {name: data for name, (_, data) in files(drawn).items()} == {
        name: data for name, (_, data) in before.items()
    }


@pytest.mark.parametrize("how", ["removed", "cut off", "not noted"])
def test_a_figure_whose_file_is_not_as_it_was_written_is_drawn_again(drawn: Store, how: str):
    name = "figures/chain-frontier.png"
    whole = drawn.read_bytes(name)
    if how == "removed":
        drawn.folder.remove(name)
    elif how == "cut off":
        drawn.write_bytes(name, whole[:-1])
    else:
        known = json.loads(drawn.read_text(DRAWN))
        drawn.write_text(DRAWN, json.dumps({**known, "chain-frontier": None}))
    assert write_figures(read_results(drawn), drawn) == 1
    assert drawn.read_bytes(name) == whole


def test_a_draw_that_stops_leaves_no_file_under_the_name_of_other_data(
    drawn: Store, monkeypatch: pytest.MonkeyPatch
):
    results = read_results(drawn)
    scenarios = results.scenarios.assign(accuracy=results.scenarios.accuracy * 0.9)
    write, written = Store.write_bytes, []

    def stopping(self, name, data):
        if name.endswith(".svg"):
            written.append(name)
        if len(written) > 2:
            raise KeyboardInterrupt
        write(self, name, data)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "write_bytes", stopping)
        with pytest.raises(KeyboardInterrupt):
            write_figures(replace(results, scenarios=scenarios), drawn)
    assert write_figures(results, drawn) == 2 * OF_A_BENCHMARK


def test_other_code_draws_again(drawn: Store, monkeypatch: pytest.MonkeyPatch):
    results = RESULTS.of("chain")
    write_figures(results, drawn)
    monkeypatch.setattr(drawn_figures, "_code", lambda: "other")
    assert write_figures(results, drawn) == OF_A_BENCHMARK


def test_processes_side_by_side_draw_the_same(
    drawn: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    results = read_results(drawn)
    write_figures(results, drawn)
    expected = {name: data for name, (_, data) in files(drawn).items()}
    for path in Path(drawn.root, "figures").iterdir():
        path.unlink()
    monkeypatch.setattr(drawn_figures, "MANY_SCENARIOS", 1)
    monkeypatch.setattr(drawn_figures, "_encodings", None)  # nothing is drawn in this process
    write_figures(results, drawn)
    assert {name: data for name, (_, data) in files(drawn).items()} == expected


def test_a_run_without_scenarios_has_no_figures(tmp_path: Path):
    store = Store(str(tmp_path))
    empty = Results(RESULTS.scenarios.head(0), RESULTS.frontier.head(0), {})
    assert write_figures(empty, store) == 0
    assert not (tmp_path / "figures").exists()
