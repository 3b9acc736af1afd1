"""The nouns of a decision: what is out after a look, and what is wanted next."""

from dataclasses import dataclass

Place = tuple[str, int, int]  # engine id, token budget and group size


@dataclass(frozen=True)
class Out:
    """A configuration that is out at a batch size.

    by      the one that takes its place: it takes no more memory, or is better within the memory asked for
    margin  the most by which the one that is out may be better, with all that it stood for; below epsilon
    """

    place: Place
    batch_size: int
    by: Place
    margin: float


@dataclass(frozen=True)
class Look:
    """A decision about one benchmark after n samples of each question of every live engine.

    inputs    hash of the samples on which it rests
    critical  the critical value: standard errors by which a difference must be certain
    compared  the number of comparisons that were made
    out       what is out from now on
    budgets   of each engine that lives on, the number of its token budgets up to the largest live one
    prompts   tokens of the longest prompt of each engine that was looked at
    """

    benchmark: str
    n: int
    inputs: str
    critical: float
    compared: int
    out: tuple[Out, ...]
    budgets: dict[str, int]
    prompts: dict[str, int]
