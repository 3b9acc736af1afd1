"""How the samples of one engine on one benchmark become scenarios.

The one idea: reducing a partition is a function of the files in its folder, so it can run anywhere. Only
the columns that are counted are read, strings as dictionaries. The result is rows and scores, about a
thousandth of what was read.
"""

import itertools
import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from raysweep.grading.equivalence import Equivalence
from raysweep.metrics import Floats
from raysweep.reducing.answer_counts import COLUMNS, DICTIONARIES, Ints, Tally, positions, tally
from raysweep.reducing.scenarios import Scenario, make_scenarios
from raysweep.run_config import Sweep
from raysweep.shard import Place
from raysweep.spec import Benchmark, EngineSpec
from raysweep.storage.damaged import DamagedPartError
from raysweep.storage.rescue import rescued
from raysweep.storage.schemas import SAMPLES
from raysweep.storage.store import Store
from raysweep.system.workers import Workers


@dataclass(frozen=True)
class Partition:
    """What the plan knows about one engine on one benchmark.

    described  the engine's row of engines.parquet
    finished   for the place of each finished part, the ids of the questions that count
    rests_on   names all that its votes follow from (`stored_votes`); "" if that is unknown
    """

    engine: EngineSpec
    benchmark: str
    described: Mapping[str, Any]
    finished: Mapping[Place, tuple[str, ...]]
    shards_missing: int
    rests_on: str = ""


@dataclass(frozen=True)
class Counted:
    """The votes of a partition, and what was lost of it (`Read`)."""

    votes: Tally
    set_aside: tuple[str, ...] = ()
    lost: int = 0


@dataclass(frozen=True)
class Reduced:
    """The scenarios of a partition, and how much was read.

    outcomes                          the number of answers of each outcome, in the order of OUTCOMES
    samples_missing                   those that are missing, or go up to fewer token budgets
    finishes                          traces up to the largest budget by the way they ended
    lengths                           mean thinking tokens of each question at the largest budget: [questions]
    set_aside                         files that could not be read, by their new paths
    reused_tokens, recomputed_tokens  thinking tokens before answers that were prompts of their own
    seeded_samples                    samples that may change if they run again, in another batch
    right                             1 for a correct sample, 0 for another, -1 for a missing one:
                                      [budgets, questions, samples]
    """

    engine: EngineSpec
    benchmark: str
    scenarios: tuple[Scenario, ...]
    shards: int
    shards_missing: int
    samples: int
    samples_missing: int
    tokens_generated: int
    outcomes: Ints
    finishes: Mapping[str, int]
    lengths: Floats
    longest_prompt_tokens: int
    set_aside: tuple[str, ...]
    reused_tokens: int
    recomputed_tokens: int
    seeded_samples: int
    right: NDArray[np.int8]


def count_here(partitions: Sequence[Partition], sweep: Sweep, store: Store) -> Iterator[Counted]:
    """Count all partitions in this process, in order. The next one is read while one is counted."""
    with Workers(os.cpu_count() or 1) as workers:
        known = Equivalence(workers)
        reads = _read_ahead(partitions, sweep, store)
        for partition, read in zip(partitions, reads, strict=True):
            yield count(partition, sweep, read, known)


@dataclass(frozen=True)
class Read:
    """The samples that the run asks for, each once, and the damaged files that were set aside.

    lost  the number of parts in these files that could not be read
    """

    samples: pa.Table
    set_aside: tuple[str, ...]
    lost: int = 0


def count(partition: Partition, sweep: Sweep, read: Read, equivalence: Equivalence) -> Counted:
    """The votes of one partition's samples."""
    benchmark, budgets = _benchmark(partition, sweep), sweep.token_budgets
    votes = tally(read.samples, partition.engine, benchmark, budgets, equivalence)
    return Counted(votes, read.set_aside, read.lost)


def reduce_votes(partition: Partition, sweep: Sweep, counted: Counted) -> Reduced:
    """One partition, from its votes to its scenarios."""
    votes = counted.votes
    made = make_scenarios(votes, sweep.group_sizes, sweep.samples, dict(partition.described))
    return Reduced(
        engine=partition.engine,
        benchmark=partition.benchmark,
        scenarios=tuple(made),
        shards=len(partition.finished) + partition.shards_missing,
        shards_missing=partition.shards_missing + counted.lost,
        samples=votes.n_samples_read,
        samples_missing=votes.samples.shape[1] * sweep.samples - int(votes.samples[-1].sum()),
        tokens_generated=votes.tokens_generated,
        outcomes=votes.outcomes.sum(axis=0),
        finishes=votes.finishes,
        lengths=votes.lengths,
        longest_prompt_tokens=votes.longest_prompt_tokens,
        set_aside=counted.set_aside,
        reused_tokens=votes.reused_tokens,
        recomputed_tokens=votes.recomputed_tokens,
        seeded_samples=votes.seeded_samples,
        right=votes.right,
    )


def _benchmark(partition: Partition, sweep: Sweep) -> Benchmark:
    return next(one for one in sweep.benchmarks if one.name == partition.benchmark)


def _read_ahead(partitions: Sequence[Partition], sweep: Sweep, store: Store) -> Iterator[Read]:
    """The samples of each partition. The next one is read while one is counted."""
    with ThreadPoolExecutor(1) as reader:
        coming: deque[Future[Read]] = deque()
        for partition in partitions:
            coming.append(reader.submit(read_partition, partition, sweep, store))
            if len(coming) > 1:
                yield coming.popleft().result()
        for last in coming:
            yield last.result()


def read_partition(partition: Partition, sweep: Sweep, store: Store) -> Read:
    """Read a partition's samples from its parts; set damaged files aside."""
    own = itertools.groupby(sorted(partition.finished), lambda place: place.file)
    files = [tuple(places) for _, places in own]
    found: dict[Place, pa.Table | DamagedPartError] = {}
    read = store.folder.side_by_side(partial(_read_file, store), files)
    for places, tables in zip(files, read, strict=True):
        found |= zip(places, tables, strict=True)
    names = {one.name: None for one in found.values() if isinstance(one, DamagedPartError)}
    set_aside = tuple(store.path(rescued(store, name)) for name in names)
    asked = ((found[place], ids) for place, ids in partition.finished.items())
    parts = [_asked(table, ids) for table, ids in asked if isinstance(table, pa.Table)]
    lost = len(found) - len(parts)
    if not parts:
        return Read(SAMPLES.empty_table(), set_aside, lost)
    samples = _wanted(pa.concat_tables(parts), _benchmark(partition, sweep), sweep.samples)
    return Read(samples, set_aside, lost)


def _read_file(store: Store, places: Sequence[Place]) -> list[pa.Table | DamagedPartError]:
    """The parts of one file. Where it is damaged, those that are not, and the error of each other one."""
    with suppress(DamagedPartError):
        return list(store.read_parts(places, COLUMNS, DICTIONARIES))
    return [_read_part(store, place) for place in places]


def _read_part(store: Store, place: Place) -> pa.Table | DamagedPartError:
    try:
        return store.read_part(place, COLUMNS, DICTIONARIES)
    except DamagedPartError as error:
        return error


def _asked(part: pa.Table, question_ids: Sequence[str]) -> pa.Table:
    """The samples of these questions. A part of an earlier run may hold some that have changed since."""
    planned = positions(part["question_id"], question_ids) >= 0
    return part if planned.all() else part.filter(pa.array(planned))


def _wanted(samples: pa.Table, benchmark: Benchmark, n_samples: int) -> pa.Table:
    """The samples that the run asks for, each once, by question and index.

    Parts may hold more than is asked for, and two attempts may have generated the same sample twice. It
    must not vote twice. Of one that parts hold up to different token budgets, the longest is taken, whose
    answers at the smaller budgets are the same.
    """
    samples = samples.unify_dictionaries()
    question_ids = [question.question_id for question in benchmark.questions]
    question = positions(samples["question_id"], question_ids)
    index = samples["sample_index"].to_numpy()
    chosen = np.flatnonzero((question >= 0) & (index < n_samples))
    answers = pc.call_function("list_value_length", [samples["answers"]]).to_numpy()[chosen]
    chosen = chosen[np.argsort(-answers, kind="stable")]
    _, first = np.unique(question[chosen] * n_samples + index[chosen], return_index=True)
    if len(first) == samples.num_rows:
        return samples
    return samples.take(pa.array(np.sort(chosen[first])))
