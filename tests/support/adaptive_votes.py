"""Votes as planted models would give them, for tests of adaptive runs."""

from collections.abc import Mapping, Sequence

import numpy as np
from support.nouns import a_model, an_engine

from raysweep.adaptive.votes import NO_VOTE, Votes, numbered
from raysweep.metrics import Floats
from raysweep.spec import EngineSpec


def engines_of_sizes(layers: Sequence[int]) -> tuple[EngineSpec, ...]:
    """Engines that take more memory the more layers they have."""
    return tuple(an_engine(model=a_model(f"toy-{count}", layers=count)) for count in layers)


def drawn_votes(
    engines: Sequence[EngineSpec],
    chances: Mapping[str, Floats],
    questions: int,
    n: int,
    seed: int = 0,
    shared: bool = True,
) -> dict[str, Votes]:
    """The votes of n samples, each right with the engine's chance at each budget.

    chances  of a right answer by engine id: [budgets]
    shared   whether engines share the randomness of a sample, as they do in a run
    """
    rng = np.random.default_rng(seed)
    luck, other = rng.random((2, questions, n))
    found = {}
    for engine in engines:
        if not shared:
            luck, other = rng.random((2, questions, n))
        chance = np.asarray(chances[engine.engine_id])[:, None, None]
        wrong = np.where(other < 0.1, NO_VOTE, 1 + (other * 4).astype(np.int64))
        choice = np.where(luck < chance, 0, wrong)
        found[engine.engine_id] = Votes(engine.engine_id, numbered(choice), 10)
    return found


def first(votes: Mapping[str, Votes], n: int) -> dict[str, Votes]:
    """The same votes of the first n samples alone."""
    return {
        key: Votes(key, numbered(one.choice[:, :, :n]), one.prompt_tokens)
        for key, one in votes.items()
    }
