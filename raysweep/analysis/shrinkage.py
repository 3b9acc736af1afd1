"""How accurate each configuration is, estimated from all: what the frontier is chosen by. Pure: no I/O.

The best of thousands of measured accuracies is mostly one that was lucky. So configurations are not chosen
by what they scored but by an empirical-Bayes estimate, in which the others of the sweep have a say
(Efron and Morris 1975): the smooth surface of `surface`, plus how far the engine is off it, plus how far
the configuration is off its engine. Both deviations are shrunken by the share of their variance that is
not chance. Chance is the variance of a deviation over the questions, by the jackknife. What is left of
the variance over engines, or over configurations, is the truth's (method of moments).

An engine is off the surface by a number of logits, for which small groups count more (1/G): votes
bring a question's score close to 0 or 1, and so are the noisier measure of it.

Configurations of the same weights that scored alike on every question do the same, such as two budgets that
no thinking reached, or two KV policies before the first eviction. They share an estimate, so the one of
less memory is chosen.

A handful of configurations or of questions has nothing to shrink by, and keeps its measured accuracies.
"""

from functools import cached_property

import numpy as np

from raysweep.analysis.candidates import Candidates, Indices
from raysweep.analysis.surface import MEMBERS_PER_TERM, Surface, design
from raysweep.analysis.uncertainty import FEWEST_QUESTIONS, bootstrap_means
from raysweep.metrics import Floats

FEWEST_MEMBERS = 32

# Estimates are told apart down to a tenth of a percentage point, so that no memory is spent on less. Measured
# accuracies, where nothing is shrunken, are told apart by all that they differ in but rounding.
PLACES, MEASURED_PLACES = 3, 6

# Draws that are estimated at once, so that they fit the processor's cache.
DRAWS_AT_ONCE = 32


class Shrinkage:
    """Estimates of the candidates' accuracies, from all of their questions or from some."""

    def __init__(self, candidates: Candidates) -> None:
        self._candidates = candidates
        # Sums are taken in one order, so that the order of the rows changes no estimate.
        self._order: Indices = np.array(
            sorted(range(len(candidates)), key=lambda i: candidates.members[i].key), dtype=np.intp
        )

    @cached_property
    def estimate(self) -> Floats:
        """From all questions: [members]."""
        return self.estimates(np.ones((1, len(self._candidates.scores))))[0]

    def estimates(self, weights: Floats) -> Floats:
        """One estimate for each weighting of the questions: [draws, members].

        weights  how much each question counts: [draws, questions]; those of a half are 0 or 1

        A member that was measured on none of the questions that count is estimated at -inf, since
        nothing else may speak for it. So are all where no question counts.
        """
        parts = range(0, len(weights), DRAWS_AT_ONCE)
        each = [self._estimates(weights[at : at + DRAWS_AT_ONCE]) for at in parts]
        return np.concatenate([np.zeros((0, self._order.size)), *each])

    def _estimates(self, weights: Floats) -> Floats:
        counts = weights.any(axis=1, keepdims=True)
        weights = np.where(counts, weights, 1.0)
        kept = np.empty(self._order.size, dtype=np.intp)
        kept[self._order] = np.arange(self._order.size)
        scores = self._ordered.scores
        means = bootstrap_means(scores, weights)
        if self._fit is None:
            estimates = np.round(means, MEASURED_PLACES)
        else:
            shrunken = self._fit.shrunken(means, effective_questions(weights))
            estimates = np.round(self._shared(shrunken), PLACES)
        measured = ~np.isnan(scores)
        if not measured.all():
            estimates[weights @ measured.astype(np.float64) == 0] = -np.inf
        return np.where(counts, estimates[:, kept], -np.inf)

    def _shared(self, estimates: Floats) -> Floats:
        """The estimates, with one for all of the same weights that scored alike on every question."""
        order, starts, group = self._alike
        totals = np.add.reduceat(estimates[:, order], starts, axis=1)
        return (totals / np.diff(np.append(starts, order.size)))[:, group]

    @cached_property
    def _alike(self) -> tuple[Indices, Indices, Indices]:
        """The members by group, where each group starts, and the group of each member."""
        places: dict[tuple[str, str, bytes], int] = {}
        own = self._ordered
        columns = np.ascontiguousarray(own.scores.T)
        group = np.array(
            [
                places.setdefault((one.model, one.precision, column.tobytes()), len(places))
                for one, column in zip(own.configurations, columns, strict=True)
            ],
            dtype=np.intp,
        )
        order = np.argsort(group, kind="stable")
        starts = np.flatnonzero(np.diff(group[order], prepend=-1))
        return order, starts, group

    @cached_property
    def _ordered(self) -> Candidates:
        return self._candidates.take(self._order.tolist())

    @cached_property
    def _fit(self) -> "_Fit | None":
        """None where there is too little to shrink by."""
        own = self._ordered
        if len(own) < FEWEST_MEMBERS or len(own.scores) < FEWEST_QUESTIONS:
            return None
        if len(own) < MEMBERS_PER_TERM * design(own).shape[1]:
            return None
        return _Fit(own)


class _Fit:
    """The surface, and the variances of deviations from it that are chance.

    `own` are candidates of which those of an engine are neighbours.
    """

    def __init__(self, own: Candidates) -> None:
        engines = [one.engine_id for one in own.configurations]
        _, self._starts, self._engine = np.unique(engines, return_index=True, return_inverse=True)
        self._weight = 1 / own.group_sizes
        self._surface = Surface(own)
        self._questions = len(own.scores)
        terms = np.add.reduceat(design(own) * self._weight[:, None], self._starts, axis=0)
        # What the surface has taken from the deviations is made up for by degrees of freedom.
        self._free_engines = len(self._starts) - int(np.linalg.matrix_rank(terms))
        self._free_members = len(own) - self._surface.terms
        left_out = np.ones((self._questions, self._questions)) - np.eye(self._questions)
        means = bootstrap_means(own.scores, left_out)
        _, _, engine, member = self._deviations(means)
        # One question alone does not say how far questions differ, so what it measured may all be chance.
        measured = (~np.isnan(own.scores)).sum(axis=0)
        alone = measured < 2, np.maximum.reduceat(measured, self._starts) < 2
        self._chance_member = np.where(alone[0], np.inf, _jackknife(member))
        self._chance_engine = np.where(alone[1], np.inf, _jackknife(engine))

    def shrunken(self, means: Floats, questions: Floats) -> Floats:
        """Estimates from the means over as many `questions`: [draws, members]."""
        smooth, slope, engine, member = self._deviations(means)
        fewer = (self._questions / questions)[:, None]
        off_engine = _kept(engine, self._chance_engine * fewer, self._free_engines)
        off_member = _kept(member, self._chance_member * fewer, self._free_members)
        return np.clip(smooth + off_engine[:, self._engine] * slope + off_member, 0.0, 1.0)

    def _deviations(self, means: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """The surface and its slope in logits, the engines' deviations in logits, and the members' rest."""
        smooth = self._surface.fitted(means)
        slope = smooth * (1 - smooth)
        engine = self._per_engine(means - smooth) / self._per_engine(slope)
        member = means - smooth - engine[:, self._engine] * slope
        return smooth, slope, engine, member

    def _per_engine(self, values: Floats) -> Floats:
        return np.add.reduceat(values * self._weight, self._starts, axis=1)


def effective_questions(weights: Floats) -> Floats:
    """As many questions of equal weight say as much (Kish 1965): [draws].

    For a half they are its number. For a bootstrap draw of n questions they are about n / 2: its deviations
    hold the chance of the n questions and, once more, that of the draw.
    """
    return weights.sum(axis=1) ** 2 / (weights**2).sum(axis=1)


def _kept(deviations: Floats, chance: Floats, free: int) -> Floats:
    """The deviations times the share of their variance that is not chance: [draws, ...] like `deviations`."""
    known = np.isfinite(chance).all(axis=0)
    of_known = (deviations[:, known] ** 2 - chance[:, known]).sum(axis=1, keepdims=True)
    true = np.maximum(0.0, of_known / max(1, free - int((~known).sum())))
    whole = true + chance
    return deviations * np.where(whole > 0, true / np.where(whole > 0, whole, 1.0), 1.0)


def _jackknife(values: Floats) -> Floats:
    """The variance of a statistic, from its values with each question left out: [questions, ...]."""
    n = len(values)
    return (n - 1) / n * ((values - values.mean(axis=0)) ** 2).sum(axis=0)
