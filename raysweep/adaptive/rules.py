"""When an adaptive run looks at its samples, and by which rules it decides."""

from dataclasses import dataclass

from raysweep.run_config import Sweep

FIRST_LOOK = 4

# The smallest group in which two samples that agree outvote a third.
SMALL_GROUP = 3


@dataclass(frozen=True)
class Rules:
    """By what a decision is made.

    looks          numbers of samples per question after which is decided; the last one is the whole run's
    epsilon        accuracy that may be lost
    delta          the probability that more is lost, over all looks
    batch_sizes    those that must agree
    memory_bytes   None for the frontier; otherwise only the best within this memory is asked for, at the
                   single batch size
    """

    looks: tuple[int, ...]
    epsilon: float
    delta: float
    batch_sizes: tuple[int, ...]
    memory_bytes: float | None = None

    @property
    def alpha(self) -> float:
        """The probability of an error that each look may have. At the last look nothing is decided."""
        return self.delta / max(1, len(self.looks) - 1)


def rules_of(sweep: Sweep) -> Rules:
    """The rules of an adaptive sweep. Raises ValueError for one that is not adaptive."""
    own = sweep.adaptive
    if own is None:
        raise ValueError("the sweep is not adaptive")
    batches = sweep.batch_sizes if own.memory_bytes is None else (own.batch_size,)
    return Rules(looks(sweep.samples), own.epsilon, own.delta, batches, own.memory_bytes)


def looks(samples: int) -> tuple[int, ...]:
    """The doublings of FIRST_LOOK below `samples`, and `samples` itself.

    >>> looks(32)
    (4, 8, 16, 32)
    """
    found, n = [], FIRST_LOOK
    while n < samples:
        found.append(n)
        n *= 2
    return (*found, samples)


def judged_groups(group_sizes: tuple[int, ...], n: int) -> tuple[int, ...]:
    """The group sizes that are judged after n samples: up to SMALL_GROUP, and up to half of n.

    A larger group has too few subsets for its error to be known well. It lives as long as its engine does. A
    small one shows what an engine gains by votes, so none goes out at the first look by single samples alone.
    """
    return tuple(size for size in group_sizes if size < n and size <= max(SMALL_GROUP, n // 2))
