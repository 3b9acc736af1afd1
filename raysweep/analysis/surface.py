"""A smooth law of accuracy over size, precision, KV policy, tokens and votes. Pure: no I/O.

Neighbours on the grid say something about each other, and a low-order surface lets them. The logit of
accuracy is a polynomial in the logarithms of the weights' bytes, the token budget and the group size, of
total degree DEGREE at most, though size alone may turn more often. Each precision adds an intercept and a
slope in the size. Each KV policy adds a parabola in the budget, since a cache that evicts loses more the
longer it is full. Variables with few distinct values have lower powers.

The surface is fitted to the accuracies over all questions as a logistic regression, which needs no correction
for accuracies of 0 and 1. Draws of the questions are then fitted by least squares on the logit scale, as
differences from all questions, with the weights of the first fit. So a refit is a matrix product.
A smooth law is an assumption: `deviations_p_value` tests it.
"""

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from raysweep.analysis.candidates import Candidates
from raysweep.metrics import Floats

DEGREE = 4

# Size alone has a power for this many effective sizes, up to two more than DEGREE.
SIZES_PER_POWER = 3

# A surface needs this many members per term.
MEMBERS_PER_TERM = 2

# The fit by Newton's method: its steps, a ridge that bounds the logits where all accuracies are 0 or 1, and
# that bound.
STEPS, RIDGE, FURTHEST = 30, 1e-3, 12.0

# Members that are computed together, so that draws of thousands of members need little memory.
CHUNK = 2_048


class Surface:
    """The surface that is fitted to the candidates' accuracies over all their questions."""

    def __init__(self, candidates: Candidates) -> None:
        # Orthonormal columns that span the terms: the basis is of full rank though terms may not be.
        left, strength, _ = np.linalg.svd(design(candidates), full_matrices=False)
        self._basis = left[:, strength > 1e-9 * strength[0]]
        self._questions = len(candidates.scores)
        self._accuracy = candidates.accuracy
        self._logit = _regressed(self._basis, self._accuracy, self._corrected(self._accuracy))
        weight = _slope(self._logit)[:, None]
        information = self._basis.T @ (weight * self._basis) + RIDGE * np.eye(self.terms)
        # [members, terms]: from differences of logits to differences of coefficients.
        self._hat = np.linalg.solve(information, (weight * self._basis).T).T

    @property
    def terms(self) -> int:
        return self._basis.shape[1]

    @property
    def accuracy(self) -> Floats:
        """The smooth accuracy over all questions, in (0, 1): [members]."""
        return _logistic(self._logit)

    def fitted(self, means: Floats) -> Floats:
        """The surfaces refitted to other accuracies of the same members, in (0, 1): [draws, members] each."""
        moved = np.zeros((len(means), self.terms))
        here = self._corrected(self._accuracy)
        for part in self._parts():
            moved += (self._corrected(means[:, part]) - here[part]) @ self._hat[part]
        fitted = np.empty(means.shape)
        for part in self._parts():
            fitted[:, part] = _logistic(self._logit[part] + moved @ self._basis[part].T)
        return fitted

    def _parts(self) -> Sequence[slice]:
        return [slice(at, at + CHUNK) for at in range(0, len(self._basis), CHUNK)]

    def _corrected(self, accuracy: Floats) -> Floats:
        """Logits with half a question added to either outcome, so that 0 and 1 have one."""
        n = self._questions
        return np.log((n * accuracy + 0.5) / (n * (1 - accuracy) + 0.5))


def design(candidates: Candidates) -> Floats:
    """The terms of the surface: [members, terms].

    The degree is lowered until there are MEMBERS_PER_TERM members per term. If no surface is left, each
    engine has an intercept, and so one accuracy for all its budgets and group sizes.
    """
    for degree in range(DEGREE, 0, -1):
        terms = _terms(candidates, degree)
        if terms.shape[1] * MEMBERS_PER_TERM <= len(candidates):
            return terms
    return _indicators([one.engine_id for one in candidates.configurations])


def deviations_p_value(here: Floats, drawn: Floats, questions: int) -> float:
    """The p-value of "accuracies deviate from the surface only as far as questions differ".

    here, drawn  accuracy less the surface, over all questions and in each draw: [members], [draws, members]

    Squared deviations are added over the members, each in units of its variance over the draws. Chance is
    what the deviations of the draws do around those of all questions.
    """
    # A bootstrap's variance is too small by this factor.
    chance = drawn - drawn.mean(axis=0)
    chance *= np.sqrt(questions / max(1, questions - 1))
    variance = chance.var(axis=0)
    told = variance > 1e-12
    if not told.any():
        return 1.0
    share = np.where(told, 1 / np.where(told, variance, 1.0), 0.0)
    found, by_chance = here**2 @ share, np.square(chance, out=chance) @ share
    return float((1 + (by_chance >= found).sum()) / (1 + len(drawn)))


def _terms(candidates: Candidates, degree: int) -> Floats:
    chosen = candidates.configurations
    size, budget, group = (
        _unit(values)
        for values in (candidates.weights_bytes, candidates.token_budgets, candidates.group_sizes)
    )
    models = len({one.model for one in chosen})
    most = [_highest(n) for n in (models, len(np.unique(budget)), len(np.unique(group)))]
    powers = [power for power in product(*(range(one + 1) for one in most)) if sum(power) <= degree]
    # Size alone may turn more sharply, as where more weights stop to pay.
    highest = min(degree + 2, len(np.unique(size)) // SIZES_PER_POWER)
    alone = range(min(degree, most[0]) + 1, highest + 1)
    surface = [size**i * budget**j * group**k for i, j, k in powers] + [size**i for i in alone]
    precisions = _indicators([one.precision for one in chosen])[:, 1:]
    policies = _indicators([one.kv_policy for one in chosen])[:, 1:]
    sloped = [precisions * size[:, None]] if most[0] > 1 else []
    bent = [policies * budget[:, None] ** power for power in range(1, min(2, most[1]) + 1)]
    return np.hstack([np.stack(surface, axis=1), precisions, *sloped, policies, *bent])


def _highest(values: int) -> int:
    """The highest power of a variable with this many values. Four or more leave two degrees of freedom."""
    return min(DEGREE, values - 1, max(2, values - 2))


def _unit(values: Floats) -> Floats:
    """Logarithms, brought into [-1, 1]."""
    logs = np.log(values)
    middle, half = (logs.max() + logs.min()) / 2, (logs.max() - logs.min()) / 2
    return (logs - middle) / (half or 1.0)


def _indicators(names: Sequence[str]) -> Floats:
    """A column for each name that is 1 for the members of this name: [members, names]."""
    _, place = np.unique(np.array(names), return_inverse=True)
    return np.eye(place.max() + 1)[place]


def _regressed(basis: Floats, accuracy: Floats, start: Floats) -> Floats:
    """The logits of a logistic regression on the basis: [members]."""
    ridge = RIDGE * np.eye(basis.shape[1])
    weight = _slope(start)[:, None]
    coefficients = np.linalg.solve(basis.T @ (weight * basis) + ridge, (weight * basis).T @ start)
    logit = np.clip(basis @ coefficients, -FURTHEST, FURTHEST)
    for _ in range(STEPS):
        gradient = basis.T @ (accuracy - _logistic(logit)) - RIDGE * coefficients
        step = np.linalg.solve(basis.T @ (_slope(logit)[:, None] * basis) + ridge, gradient)
        coefficients = coefficients + step
        logit = np.clip(basis @ coefficients, -FURTHEST, FURTHEST)
        if np.abs(basis @ step).max() < 1e-9:
            break
    return logit


def _logistic(logit: Floats) -> Floats:
    return 1 / (1 + np.exp(-logit))


def _slope(logit: Floats) -> NDArray[np.float64]:
    """The derivative of the logistic function."""
    return _logistic(logit) * _logistic(-logit)
