"""How much better weights are than tokens at each effective size, and how sure that is. Pure: no I/O.

The advantages of one benchmark at one batch size are totals over its contests (see `doubling`), one per
effective size, with the covariance of these totals over samples of questions. Two ways lead there:

- *by halves* (`by_halves`), which assumes nothing of what it compares: one half of the questions chooses, by
  the estimates of `shrinkage`, and the raw scores of the other are compared. The totals are means over many
  random halvings. Each draw of the bootstrap has HALVINGS of them, and what spread they still bring into a
  draw's mean is known from their differences and taken off the covariance.
- *smooth* (`by_surface`): configurations are chosen and compared on the surface of `surface`, which is
  refitted in each draw. It is hardly noisy, so the same questions may choose and be compared.

Several benchmarks are pooled by a mean that is weighted by their numbers of questions. Their errors are
independent, because their questions are different draws: the bootstrap draws within each benchmark.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raysweep.analysis.candidates import Candidates
from raysweep.analysis.doubling import Doublings
from raysweep.analysis.surface import Surface, deviations_p_value
from raysweep.analysis.uncertainty import bootstrap_means, bootstrap_weights, random_halves
from raysweep.metrics import Floats

# Draws of the bootstrap, halvings of the questions in each, and halvings behind the estimate itself.
DRAWS, HALVINGS, ESTIMATE_HALVINGS = 200, 8, 400
SMOOTH_DRAWS = 400

# Draws whose accuracies are computed at once.
DRAWS_AT_ONCE = 32


@dataclass(frozen=True, eq=False)
class Advantages:
    """The totals over contests of the advantage of weights, per effective size.

    sizes       effective sizes in bytes, in order
    total       sum of the advantages of weights, in accuracy: [sizes]
    contests    number of memories at which the best configuration has this size, a mean: [sizes]
    covariance  of `total` over samples of questions: [sizes, sizes]
    freedom     degrees of freedom of the covariance: questions less one
    questions   whose scores these are
    """

    sizes: Floats
    total: Floats
    contests: Floats
    covariance: Floats
    freedom: float
    questions: int

    @property
    def errors(self) -> Floats:
        """The standard error of each total: [sizes]."""
        return np.maximum(np.sqrt(np.diag(self.covariance)), 1e-12)

    def noise(self, draws: int, seed: int) -> Floats:
        """What chance adds to the totals: Student's noise with their covariance, [draws, sizes]."""
        rng = np.random.default_rng(seed)
        strength, axes = np.linalg.eigh(self.covariance)
        normal = rng.standard_normal((draws, len(strength)))
        scale = np.sqrt(self.freedom / rng.chisquare(self.freedom, (draws, 1)))
        return scale * (normal * np.sqrt(np.maximum(strength, 0))) @ axes.T

    @property
    def contested(self) -> NDArray[np.bool_]:
        """Whether a size has contests in most draws: [sizes]."""
        return self.contests >= 0.5


def pooled(several: Iterable[Advantages]) -> Advantages:
    """The mean over benchmarks with the same effective sizes, weighted by their numbers of questions."""
    parts = list(several)
    questions = sum(one.questions for one in parts)
    shares = [one.questions / questions for one in parts]
    covariances = [share**2 * one.covariance for share, one in zip(shares, parts, strict=True)]
    return Advantages(
        parts[0].sizes,
        np.average([one.total for one in parts], axis=0, weights=shares),
        np.average([one.contests for one in parts], axis=0, weights=shares),
        np.sum(covariances, axis=0),
        _freedom(covariances, [one.freedom for one in parts]),
        questions,
    )


def _freedom(covariances: Sequence[Floats], freedoms: Sequence[float]) -> float:
    """Degrees of freedom of a sum of covariances (Nel and Van der Merwe 1986).

    It is Welch and Satterthwaite's for a single variance. The noisiest benchmark counts most.
    """

    def size(covariance: Floats) -> float:
        return float(np.trace(covariance) ** 2 + np.trace(covariance @ covariance))

    parts = sum(size(one) / own for one, own in zip(covariances, freedoms, strict=True))
    # Without any variance there is nothing that degrees of freedom would change.
    return size(np.sum(covariances, axis=0)) / parts if parts > 0 else float(sum(freedoms))


def by_halves(
    candidates: Candidates, batch_sizes: Sequence[int], seed: int
) -> dict[int, Advantages]:
    """The advantages at each batch size, on the same draws of the questions."""
    rng = np.random.default_rng(seed)
    questions = len(candidates.scores)
    doublings = Doublings(candidates, batch_sizes)
    once = np.ones((ESTIMATE_HALVINGS // HALVINGS, questions))
    shares = np.full(questions, 1 / questions)
    again = rng.multinomial(questions, shares, size=DRAWS).astype(np.float64)
    here, drawn = (_halved(candidates, doublings, counts, rng) for counts in (once, again))
    return {
        size: _from_halvings(doublings.sizes, one, several, questions)
        for size, one, several in zip(batch_sizes, here, drawn, strict=True)
    }


def by_surface(
    candidates: Candidates, batch_sizes: Sequence[int], seed: int
) -> tuple[dict[int, Advantages], float]:
    """The same on the smooth surface, and the p-value of its fit."""
    questions = len(candidates.scores)
    accuracies, fits = _smooth(candidates, seed)
    doublings = Doublings(candidates, batch_sizes)
    found = {}
    for size, contests in zip(batch_sizes, doublings.contests(accuracies, accuracies), strict=True):
        total, number = contests.totals(len(doublings.sizes))
        covariance = _covariance(total[1:], questions)
        found[size] = Advantages(
            doublings.sizes, total[0], number[0], covariance, questions - 1, questions
        )
    return found, fits


def _smooth(candidates: Candidates, seed: int) -> tuple[Floats, float]:
    """Accuracies on the surface, and the p-value of its fit.

    The first are over all questions, then in each draw: [members, 1 + draws].
    """
    questions = len(candidates.scores)
    weights = bootstrap_weights(questions, SMOOTH_DRAWS, seed)
    surface, means = Surface(candidates), bootstrap_means(candidates.scores, weights)
    drawn = surface.fitted(means)
    means -= drawn
    fits = deviations_p_value(candidates.accuracy - surface.accuracy, means, questions)
    return np.concatenate([surface.accuracy[None], drawn]).T, fits


# The total and the number of contests by draw, halving and size: [draws, halvings, sizes] each.
Halved = tuple[Floats, Floats]


def _halved(
    candidates: Candidates, doublings: Doublings, counts: Floats, rng: np.random.Generator
) -> list[Halved]:
    """HALVINGS halvings of each draw, at each batch size.

    counts  how often each draw holds each question: [draws, questions]

    A halving and its exchange, in which the other half chooses, count as one.
    """
    scores, n_sizes, parts = _Scores(candidates), len(doublings.sizes), []
    for at in range(0, len(counts), DRAWS_AT_ONCE):
        repeated = np.repeat(counts[at : at + DRAWS_AT_ONCE], HALVINGS, axis=0)
        # All copies of a question lie in the same half.
        half = random_halves(repeated.shape[1], len(repeated), rng)
        one, other = (np.where(mine, repeated, 0) for mine in (half, ~half))
        totals = [
            np.stack(contests.totals(n_sizes))
            for chooses, judges in ((one, other), (other, one))
            for contests in doublings.contests(scores.estimates(chooses), scores.means(judges))
        ]
        exchanged = np.stack(totals).reshape(2, -1, 2, len(repeated) // HALVINGS, HALVINGS, n_sizes)
        parts.append(exchanged.mean(axis=0))
    return [(total, number) for total, number in np.concatenate(parts, axis=2)]


class _Scores:
    """Scores over weighted questions: estimates that choose, and raw means that are then compared.

    counts  how often each draw holds each question: [draws, questions]

    Both are [members, draws]. A member that none of a draw's questions was measured on has the estimate -inf
    and the mean NaN.
    """

    def __init__(self, candidates: Candidates) -> None:
        measured = ~np.isnan(candidates.scores)
        self._shrinkage = candidates.shrinkage
        # Means are matrix products in single precision, which choose nothing.
        self._scores = np.where(measured, candidates.scores, 0).astype(np.float32).T.copy()
        self._measured = None if measured.all() else measured.astype(np.float32).T.copy()

    def estimates(self, counts: Floats) -> Floats:
        """Estimates are rounded, so that no choice depends on the order in which a library adds."""
        return self._shrinkage.estimates(counts).T

    def means(self, counts: Floats) -> NDArray[np.floating]:
        drawn = counts.T.astype(np.float32)
        # How many questions a mean is over: [members, draws], or [1, draws] if all were measured.
        number = counts.sum(axis=1)[None] if self._measured is None else self._measured @ drawn
        return np.where(number > 0, (self._scores @ drawn) / np.maximum(number, 1), np.nan)


def _from_halvings(sizes: Floats, here: Halved, drawn: Halved, questions: int) -> Advantages:
    total, contests = (values.mean(axis=(0, 1)) for values in here)
    # The estimate is itself a mean over a finite number of halvings.
    flat = here[0].reshape(-1, len(sizes))
    noise = np.cov(flat.T) / len(flat)
    covariance = _between(drawn[0], questions) + noise
    return Advantages(sizes, total, contests, covariance, questions - 1, questions)


def _between(values: Floats, questions: int) -> Floats:
    """The covariance between draws, of [draws, halvings, sizes], without that between halvings."""
    draws, halvings, _ = values.shape
    means = values.mean(axis=1)
    within = (values - means[:, None]).reshape(draws * halvings, -1)
    spread = within.T @ within / (draws * (halvings - 1))
    # Noise must not make a variance negative.
    strength, axes = np.linalg.eigh(_covariance(means, questions) - spread / halvings)
    return (axes * np.maximum(strength, 0)) @ axes.T


def _covariance(values: Floats, questions: int) -> Floats:
    """The covariance over draws, [draws, sizes], of which a bootstrap has (n - 1)/n: [sizes, sizes]."""
    return np.atleast_2d(np.cov(values.T)) * questions / (questions - 1)
