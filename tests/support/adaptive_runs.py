"""An adaptive run on engines with planted accuracies, in this process or on a Ray."""

import asyncio
import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from support.nouns import a_benchmark, a_model, a_run_config

from actors.engine import BudgetAnswer, Trace, TraceRequest
from actors.engine_actor import EngineActor
from actors.fake_engine import FakeEngine
from raysweep.adaptive.sampling import FolderSampling
from raysweep.grading.equivalence import Equivalence
from raysweep.run_config import Adaptive, RunConfig
from raysweep.shard import Shard
from raysweep.stages.folder_view import FolderView
from raysweep.storage.store import Store
from raysweep.system.workers import Workers

# The accuracy that a model of so many layers nears with more thinking. Those of 4 layers are out at once.
BEST = {1: 0.3, 2: 0.85, 4: 0.2, 8: 0.95}


class PlantedEngine(FakeEngine):
    """Is right more often the more layers its model has, and the longer it thinks."""

    def __init__(self, max_rows: int, layers: int):
        super().__init__(max_rows)
        self.layers = layers

    def step(self) -> None:
        for _ in range(min(self.max_rows, len(self.waiting))):
            request, done = self.waiting.popleft()
            done(self.trace(request))

    def trace(self, request: TraceRequest) -> Trace:
        budgets = request.decoding.token_budgets
        thinking = 1 + request.key % 40
        stops = thinking < budgets[-1]
        answers = tuple(self.answer(request, budget, thinking) for budget in budgets)
        tokens = tuple(range(thinking + 3 if stops else budgets[-1]))
        return Trace(len(request.prompt), tokens, "stop" if stops else "budget", answers, 0.0)

    def answer(self, request: TraceRequest, budget: int, thinking: int) -> BudgetAnswer:
        spent = min(budget, thinking)
        chance = BEST[self.layers] * (1 - math.exp(-spent / 4))
        luck, other = (request.key >> 8) % 997 / 997, request.key % 7
        right = int(request.prompt.split()[0]) + 1
        said = right if luck < chance else right + 1 + other
        text = f"\nThe answer is {said}"
        return BudgetAnswer(budget, spent, thinking >= budget, text, True, 2, 10 + spent)


class PlantedActor(EngineActor):
    """An actor whose engine has a planted accuracy."""

    def __init__(self, spec, store_root, max_rows, **others: Any):
        super().__init__(spec=spec, store_root=store_root, max_rows=max_rows, **others)
        self.engine = PlantedEngine(max_rows, spec.model.architecture.layers)


def an_adaptive_config(out: str = "runs", **changes: Any) -> RunConfig:
    """Four engines on two benchmarks, with looks after 4, 8 and 16 samples."""
    more = a_benchmark(20)
    other = replace(more, name="others", questions=more.questions[:10])
    usual = {
        "out": out,
        "models": tuple(a_model(f"toy-{layers}", layers=layers) for layers in BEST),
        "benchmarks": (more, other),
        "token_budgets": (4, 8, 16, 32),
        "samples": 16,
        "adaptive": Adaptive(epsilon=0.02, delta=0.05),
        "shard_questions": 5,
        "shard_samples": 4,
    }
    return a_run_config(**{**usual, **changes})


def a_sampling(config: RunConfig, store: Store, **others: Any) -> FolderSampling:
    """The rounds of a run in a folder, before any decision."""
    folder = FolderView(config, store)
    known = Equivalence(Workers(1))
    return FolderSampling(config, folder, store, folder.plan.grid, known, **others)


def make_here(shards: Iterable[Shard], store: Store) -> None:
    """Make some shards in this process."""
    for shard in shards:
        actor = PlantedActor(shard.engine, store.root, 8)
        asyncio.run(actor.run_shard(shard))


def run_here(config: RunConfig, store: Store, order=lambda shards: shards) -> FolderSampling:
    """Go from round to round to the end, in this process. Gives the rounds."""
    sampling = a_sampling(config, store)
    sampling.begin()
    while True:
        shards = [shard for name in sampling.benchmarks for shard in sampling.to_do(name, ())]
        if not shards:
            return sampling
        make_here(order(shards), store)
        sampling.begin()
