"""How likely each engine still matters after a look: the order in which work is done, and never a decision.

The accuracy of each engine at each token budget is estimated from all of them (`analysis.shrinkage`), so a
lucky engine among neighbours that fail is no good prospect. One matters as far as it may be ahead of the best
of those of other engines that take no more memory, at some budget and batch size. Groups are left out.
"""

from collections.abc import Mapping, Sequence
from statistics import NormalDist

import numpy as np

from raysweep import memory
from raysweep.adaptive.grid import Grid
from raysweep.adaptive.votes import Votes
from raysweep.analysis.candidates import Candidate, Candidates
from raysweep.analysis.configurations import Configuration
from raysweep.metrics import Floats
from raysweep.reducing.answer_counts import CORRECT
from raysweep.spec import EngineSpec

NORMAL = np.vectorize(NormalDist().cdf, otypes=[np.float64])


def chances(
    votes: Mapping[str, Votes],
    engines: Sequence[EngineSpec],
    token_budgets: Sequence[int],
    batch_sizes: Sequence[int],
) -> dict[str, float]:
    """The chance of each engine with votes to be ahead somewhere, by its id."""
    own = tuple(engine for engine in engines if engine.engine_id in votes)
    theirs = [votes[engine.engine_id] for engine in own]
    members = [(at, k) for at, one in enumerate(theirs) for k in range(len(one.choice))]
    if not members:
        return {}
    engine, budget = np.array(members, dtype=np.intp).T
    right = np.stack([theirs[at].choice[k] == CORRECT for at, k in members])
    scores = right.mean(axis=2).T  # [questions, members]
    named = tuple(_candidate(own[at], token_budgets[k]) for at, k in members)
    estimate = Candidates(named, scores).shrinkage.estimate
    error = _sampling_error(right.sum(axis=2), right.shape[2])
    grid = Grid(own, tuple(token_budgets), (1,))
    prompts = np.array([one.prompt_tokens for one in theirs], dtype=np.int64)
    found = np.zeros(len(own))
    for batch_size in batch_sizes:
        size = grid.memory_bytes(prompts, batch_size)[engine, budget, 0]
        rivals = (size[None, :] <= size[:, None]) & (engine[None, :] != engine[:, None])
        best = np.where(rivals, estimate[None, :], -np.inf).max(axis=1)
        np.maximum.at(found, engine, NORMAL((estimate - best) / (np.sqrt(2) * error)))
    return {one.engine_id: float(chance) for one, chance in zip(own, found, strict=True)}


def _candidate(engine: EngineSpec, token_budget: int) -> Candidate:
    """An engine at a budget as far as the estimate asks for it: what it is, and not what it measured."""
    model, policy = engine.model, engine.kv_policy.slug
    chosen = Configuration(engine.engine_id, model.name, engine.weights, policy, token_budget, 1)
    weights_bytes = memory.weights_bytes(model, engine.weights)
    return Candidate(chosen, "", "", 0, weights_bytes, 0, 0, 0.0, 0.0, 0.0, complete=False)


def _sampling_error(right: Floats, samples: int) -> Floats:
    """Standard error of means over fixed questions, by Laplace's rule: [members].

    right  correct samples: [members, questions]
    """
    share = (right + 1) / (samples + 2)
    return np.sqrt((share * (1 - share)).mean(axis=1) / (right.shape[1] * samples))
