"""What an adaptive run would have cost of a finished run, in random orders of its samples.

Samples of one question are exchangeable, so any order of their indices, the same for all engines, is one in
which they could have been made. Wrong answers are equal if their texts are.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.adaptive_promise import lost, share
from benchmarks.adaptive_rules import FullRun, Rule, halving, oracle, racing, unpaired
from benchmarks.configured import configured
from raysweep import memory
from raysweep.adaptive.grid import Grid
from raysweep.adaptive.rules import Rules, looks
from raysweep.adaptive.votes import NO_VOTE, Votes, numbered, votes_of
from raysweep.metrics import Floats, Ints, maj_at_k
from raysweep.planning.grid import engines
from raysweep.reducing.answer_counts import CORRECT, flatten, positions
from raysweep.run_config import RunConfig
from raysweep.spec import Benchmark
from raysweep.storage.part_file import place_of
from raysweep.storage.store import Store

COLUMNS = ("benchmark", "question_id", "sample_index", "prompt_tokens", "answers")
ORDERS, DELTA, EPSILONS = 20, 0.05, (0.005, 0.01, 0.02)
RULES: Mapping[str, Rule] = {
    "racing": racing,
    "racing, unpaired": unpaired,
    "successive halving": halving,
    "oracle": oracle,
}


@dataclass(frozen=True, eq=False)
class Stored:
    """The samples of a finished run on one benchmark.

    choice   see `Votes`: [engines, budgets, questions, samples]
    tokens   of each sample up to its first budgets, and answers with them:
             [engines, budgets + 1, questions, samples]
    prompts  [engines]
    """

    benchmark: str
    grid: Grid
    choice: Ints
    tokens: Ints
    prompts: Ints

    def in_order(self, seed: int) -> FullRun:
        """The same run with the samples of each question in a random order."""
        _, _, questions, n = self.choice.shape
        rng = np.random.default_rng(seed)
        order = np.argsort(rng.random((questions, n)), axis=1)
        choice = np.take_along_axis(self.choice, order[None, None], axis=3)
        tokens = np.take_along_axis(self.tokens, order[None, None], axis=3)

        def votes(engine: int, first: int, most: int) -> Votes:
            own = numbered(choice[engine, :most, :, :first])
            return Votes(self.grid.engine_id((engine, 0, 0)), own, int(self.prompts[engine]))

        def accuracy(first: int) -> Floats:
            return np.stack([_accuracy(own[..., :first], self.grid.group_sizes) for own in choice])

        summed = tokens.sum(axis=2).astype(float)
        return FullRun(self.benchmark, self.grid, self.prompts, votes, accuracy, summed)


def _accuracy(choice: Ints, groups: Sequence[int]) -> Floats:
    """The accuracy of votes: [budgets, groups], NaN for groups larger than n."""
    budgets, questions, n = choice.shape
    cells = choice.reshape(-1, n)
    wrong = np.stack([(cells == k).sum(axis=1) for k in range(1, max(2, cells.max() + 1))], axis=1)
    known = [group for group in groups if group <= n]
    absent = (cells == NO_VOTE).sum(axis=1)
    won = maj_at_k((cells == CORRECT).sum(axis=1), wrong, absent, known)
    found = np.full((budgets, len(groups)), np.nan)
    found[:, : len(known)] = won.reshape(len(known), budgets, questions).mean(axis=2).T
    return found


def read(config: RunConfig) -> Iterator[Stored]:
    """Each benchmark of a finished run."""
    store, sweep = Store(f"{config.out}/{config.run}"), config.sweep
    parts, own = list(store.parts()), engines(config)
    tables = []
    for engine in own:
        places = [place_of(part) for part in parts if part.engine_id == engine.engine_id]
        tables.append(store.read_samples(places, COLUMNS))
    grid = Grid(own, sweep.token_budgets, sweep.group_sizes)
    for benchmark in sweep.benchmarks:
        of = [_of_benchmark(table, benchmark.name) for table in tables]
        votes = [
            votes_of(table, engine.engine_id, benchmark, sweep.token_budgets, sweep.samples)
            for engine, table in zip(own, of, strict=True)
        ]
        if not all(each.whole(len(sweep.token_budgets)) for each in votes):
            raise SystemExit(f"{benchmark.name}: the run lacks samples; finish it first")
        yield Stored(
            benchmark.name,
            grid,
            np.stack([each.choice for each in votes]),
            np.stack([_tokens(table, benchmark, config) for table in of]),
            np.array([each.prompt_tokens for each in votes]),
        )


def _of_benchmark(table: pa.Table, name: str) -> pa.Table:
    return table.filter(pa.array(positions(table["benchmark"], [name]) == 0))


def _tokens(table: pa.Table, benchmark: Benchmark, config: RunConfig) -> Ints:
    """Tokens of each sample up to its first budgets: [budgets + 1, questions, samples].

    An answer that serves several budgets counts at the smallest of them.
    """
    budgets, questions = config.sweep.token_budgets, len(benchmark.questions)
    answers = flatten(table, benchmark, budgets, None)
    shape = (len(budgets), questions, config.sweep.samples)
    thinking, own = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    sample = table["sample_index"].to_numpy()[answers.sample]
    at = (answers.cell // questions, answers.cell % questions, sample)
    thinking[at] = answers.thinking_tokens
    decoded = answers.thinking_tokens >= answers.lower_budget
    own[at] = np.where(decoded, answers.answer_tokens, 0)
    spent = thinking + own.cumsum(axis=0)
    return np.concatenate([np.zeros_like(spent[:1]), spent])


HEADING = """\
| benchmark | epsilon | rule | tokens | by bytes of weights | promise kept | leaders lost | worst loss |
| --- | ---: | --- | ---: | ---: | --- | ---: | ---: |"""


def row(stored: Stored, rules: Rules, name: str, orders: int) -> str:
    """A line of the table: means over orders of the samples."""
    weights = np.array(
        [float(memory.weights_bytes(e.model, e.weights)) for e in stored.grid.engines]
    )
    shares: list[tuple[float, float]] = []
    losses = []
    for seed in range(orders):
        run = stored.in_order(seed)
        ended = RULES[name](rules, run)
        spent, full = ended.tokens(rules, run), run.tokens[:, -1].sum(axis=1)
        shares.append((spent.sum() / full.sum(), spent @ weights / (full @ weights)))
        losses.append(lost(rules, run, ended))
    tokens, by_bytes = np.mean(shares, axis=0)
    cells = [
        stored.benchmark,
        f"{100 * rules.epsilon:g}",
        name,
        f"{tokens:.3f}",
        f"{by_bytes:.3f}",
        share(sum(one.kept(rules.epsilon) for one in losses), orders),
        str(sum(one.leaders for one in losses)),
        f"{100 * max(one.accuracy for one in losses):.2f}",
    ]
    return f"| {' | '.join(cells)} |"


def main(folder: str, changes: Sequence[str], orders: int | None) -> None:
    """Print the table for a finished run, which was made with these changes of the configuration."""
    path = Path(folder)
    config = configured(*changes, f"out={path.parent}", f"run={path.name}")
    print(HEADING)
    for stored in read(config):
        sweep = config.sweep
        for epsilon in EPSILONS:
            rules = Rules(looks(sweep.samples), epsilon, DELTA, sweep.batch_sizes)
            names = RULES if epsilon == 0.01 else ("racing",)
            for name in names:
                print(row(stored, rules, name, orders or ORDERS), flush=True)
