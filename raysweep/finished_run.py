"""A finished run for notebooks: its tables as pandas, and the study's analyses of them.

    import raysweep
    run = raysweep.open_run("runs/embedded")
    run.scenarios.query("group_size == 1")
    run.composition("chain", batch_size=16)
    run.figure("composition", "chain", batch_size=16)

Tables are read on first use, from a local folder or from any address that `out` may have.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from raysweep.analysis import study
from raysweep.analysis.candidates import KEY, Candidates
from raysweep.analysis.uncertainty import paired_difference
from raysweep.errors import ConfigError, unknown
from raysweep.reporting.results import read_candidates, where
from raysweep.storage import result_files
from raysweep.storage.part_file import place_of
from raysweep.storage.record import CONFIG, read_record
from raysweep.storage.reductions import check_one_reduction
from raysweep.storage.result_files import COMPARISON
from raysweep.storage.schemas import SAMPLES
from raysweep.storage.store import Store
from raysweep.storage.summary import read_summary
from raysweep.system.json_text import parsed_json
from raysweep.system.quantities import GB

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from raysweep.reporting.results import Results


# Columns that name a sample of an engine.
SAMPLE = ("benchmark", "question_id", "sample_index")


@dataclass(frozen=True)
class FinishedRun:
    """A run's folder. raysweep/storage/schemas.py describes the columns of its tables."""

    store: Store

    @cached_property
    def scenarios(self) -> pd.DataFrame:
        return self._table(result_files.SCENARIOS)

    @cached_property
    def frontier(self) -> pd.DataFrame:
        return self._table(result_files.FRONTIER)

    @cached_property
    def frontiers(self) -> pd.DataFrame:
        return self._table(result_files.FRONTIERS)

    @cached_property
    def thresholds(self) -> pd.DataFrame:
        return self._table(result_files.THRESHOLDS)

    @cached_property
    def findings(self) -> pd.DataFrame:
        """A verdict on each of the study's findings, for each benchmark and batch size."""
        return self._table(result_files.FINDINGS)

    @cached_property
    def controls(self) -> pd.DataFrame:
        return self._table(result_files.CONTROLS)

    @cached_property
    def inflation(self) -> pd.DataFrame:
        return self._table(result_files.INFLATION)

    @cached_property
    def correlations(self) -> pd.DataFrame:
        """How far the luck of engines that differ in one choice alone agrees."""
        return self._table(result_files.CORRELATIONS)

    @cached_property
    def engines(self) -> pd.DataFrame:
        return self._table(result_files.ENGINES)

    @cached_property
    def plan(self) -> pd.DataFrame:
        return self._table(result_files.PLAN)

    @cached_property
    def scores(self) -> pd.DataFrame:
        """The accuracy of each scenario on each question, NaN where it has no sample; a row for each."""
        lists, questions = self._table(result_files.SCORES), self._table(result_files.QUESTIONS)
        ids = questions.groupby("benchmark").question_id.agg(list)
        lists["question_id"] = [ids[benchmark] for benchmark in lists.benchmark]
        long = lists.explode(["question_id", "scores"], ignore_index=True)
        return long.rename(columns={"scores": "score"}).astype({"score": float})

    @cached_property
    def summary(self) -> dict[str, Any]:
        return read_summary(self.store)

    @cached_property
    def comparison(self) -> pd.DataFrame:
        """A row for each published accuracy that the stage compare has put beside the run.

        Columns are the keys of `cells` in comparison.json, with dots: `published.model`, `here.engine_id`.
        """
        if not self.store.exists(COMPARISON):
            raise ConfigError(
                f"{self.store.path(COMPARISON)} is missing; run the stage 'compare' first"
            )
        return pd.json_normalize(parsed_json(self.store.read_text(COMPARISON))["cells"])

    @cached_property
    def configuration(self) -> dict[str, Any]:
        """config.yaml: the resolved configuration, package versions, and the run's identity."""
        return dict(read_record(self.store))

    def samples(self, engine_id: str, columns: Sequence[str] = SAMPLES.names) -> pd.DataFrame:
        """The samples of an engine on all benchmarks. Leave out the large `token_ids` if you can.

        Of a sample that was made up to several token budgets, the one with the most answers counts.
        """
        places = [place_of(part) for part in self.store.parts() if part.engine_id == engine_id]
        wanted = list(dict.fromkeys((*columns, *SAMPLE)))
        found = self.store.read_samples(places, wanted).to_pandas()
        if found.duplicated(list(SAMPLE)).any():
            answers = self.store.read_samples(places, ("answers",))["answers"]
            longest = np.argsort([-len(given) for given in answers.to_pylist()], kind="stable")
            kept = found.iloc[longest].drop_duplicates(list(SAMPLE)).index
            found = found.loc[kept.sort_values()].reset_index(drop=True)
        return found[list(columns)]

    @cached_property
    def _candidates(self) -> dict[str, Candidates]:
        return read_candidates(self.store)

    def candidates(self, benchmark: str) -> Candidates:
        """A benchmark's scenarios in the form that `study`, `threshold` and `recommend` take.

        Of a run that has not finished, they are those that were measured on the most questions.
        """
        return self._all_candidates(benchmark).comparable

    def _all_candidates(self, benchmark: str) -> Candidates:
        if benchmark not in self._candidates:
            raise unknown("benchmark", benchmark, "benchmark", self._candidates)
        return self._candidates[benchmark]

    def serial_scaling(self, benchmark: str) -> pd.DataFrame:
        return pd.DataFrame(study.serial_scaling(self.candidates(benchmark)))

    def composition(self, benchmark: str, batch_size: int = 1) -> pd.DataFrame:
        return pd.DataFrame(study.composition(self.candidates(benchmark), batch_size))

    def theoretical_batches(self, benchmark: str, memory_gb: float) -> pd.DataFrame:
        found = study.theoretical_batches(self.candidates(benchmark), memory_gb * GB)
        return pd.DataFrame(found)

    def parallel_scaling(self, benchmark: str, batch_size: int = 1) -> pd.DataFrame:
        return pd.DataFrame(study.parallel_scaling(self.candidates(benchmark), batch_size))

    def eviction_or_bits(self, benchmark: str, batch_size: int = 1) -> pd.DataFrame:
        return pd.DataFrame(study.eviction_or_bits(self.candidates(benchmark), batch_size))

    @cached_property
    def _results(self) -> "Results":
        from raysweep.reporting.results import read_results

        return read_results(self.store)

    def figure(self, name: str, benchmark: str, batch_size: int | None = None) -> "Figure | None":
        """A figure of the report. None if these scenarios cannot answer its question.

        batch_size  one of the sweep's batch sizes; the default is the smallest
        """
        from raysweep.reporting.figures import FIGURES, draw

        if name not in FIGURES:
            raise unknown("figure", name, "figure", FIGURES)
        self.candidates(benchmark)  # raises for an unknown benchmark
        own = self._results.of(benchmark)
        return draw(name, own, batch_size or own.batch_sizes[0])

    def differences(self, benchmark: str, **against: Any) -> pd.DataFrame:
        """The accuracy of every scenario of a benchmark minus that of one of them, paired by question.

        against  columns that select the one: engine_id=..., token_budget=..., group_size=...

        Each interval is for a scenario that was chosen beforehand. Of many, some exclude 0 by chance.
        """
        candidates = self._all_candidates(benchmark)
        own = where(self.scenarios, benchmark=benchmark).reset_index(drop=True)
        chosen = where(own, **against).index.tolist()
        if len(chosen) != 1:
            raise ConfigError(
                f"differences: {against} selects {len(chosen)} scenarios; select exactly one of them"
            )
        found = paired_difference(candidates.scores, candidates.scores[:, chosen])
        keys = own[list(KEY)]
        bounds = {"difference": found.mean, "difference_lo": found.low, "difference_hi": found.high}
        return keys.assign(**{name: np.asarray(values) for name, values in bounds.items()})

    @cached_property
    def _belong_together(self) -> bool:
        """True. Raises ConfigError if the tables belong to different reductions."""
        check_one_reduction(self.store)
        return True

    def _table(self, name: str) -> pd.DataFrame:
        if not self.store.exists(name):
            raise ConfigError(
                f"{self.store.path(name)} is missing; run the stages 'reduce' and 'plan' first"
            )
        if name in result_files.REDUCED:
            assert self._belong_together
        return self.store.read_table(name).to_pandas()


def open_run(path: str) -> FinishedRun:
    """The run in a folder or at an address. Raises ConfigError if it is missing."""
    store = Store(str(path))
    if not store.exists(CONFIG):
        raise ConfigError(
            f"{path}: this folder has no config.yaml, so it is not a run; give the folder of a run"
        )
    return FinishedRun(store)
