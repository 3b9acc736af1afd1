"""What a number of questions and samples can decide, before anything is generated.

*Accuracies and differences.* A question's score is the mean of its samples. Over questions it varies because
they are unlike and because answers are random, so with n questions of k samples

    variance of an accuracy   = (B + W / k) / n          B  between questions, W  within a question
    variance of a difference  = (D + 2 W / k) / n        D  of how much better one model fits a question

B, W and D are those of models that are right half the time, on questions whose difficulties have a standard
deviation of DIFFICULTY logits, and question-model interactions of INTERACTION logits.
`benchmarks/planted_worlds.py` draws its worlds so. Two precisions of a model, or two budgets of a trace, are
more alike, so their difference is better known. The most that B can be, with questions that are solved
always or never, is 0.25: then the interval of an accuracy is up to 1.5 times as wide.

*Thresholds.* How often a threshold like the study's is decided was simulated once, in the world `study_like`
of `benchmarks/planted_worlds.py`. `python -m benchmarks.power` makes the table, threshold_power.csv.
"""

import csv
from dataclasses import dataclass
from functools import cache
from math import log, sqrt
from pathlib import Path

import numpy as np

from raysweep.analysis.uncertainty import LEVEL, student_quantile

DIFFICULTY, INTERACTION = 2.0, 0.7

# Where thresholds were simulated. The full cache alone, batch size 1; by `analysis.doubling` weights are 4 to
# 10 points ahead of tokens below, and up to 4 behind above.
WORLD = "a threshold of 3.4 GB, study's grid"

TABLE = Path(__file__).with_name("threshold_power.csv")

# The nodes of a quadrature over a normal distribution.
NODES = 61


@dataclass(frozen=True)
class Variances:
    """Variances of a question's score: see the module's text."""

    between: float
    within: float
    difference: float


@dataclass(frozen=True)
class Power:
    """What questions and samples can decide; shares from 0 to 1.

    accuracy    half the width of the 95% interval of an accuracy of single samples
    difference  the same of a difference between two models, paired by question
    threshold   chance that a threshold like the study's is decided
    """

    questions: int
    samples: int
    accuracy: float
    difference: float
    threshold: float


@dataclass(frozen=True)
class Simulated:
    """How many of the simulated worlds of a size had their threshold decided."""

    questions: int
    samples: int
    worlds: int
    decided: int

    @property
    def share(self) -> float:
        return self.decided / self.worlds


def power(questions: int, samples: int) -> Power:
    """What at least two questions with so many samples each can decide."""
    if questions < 2:
        raise ValueError("a single question says nothing of others")
    known, quantile = variances(), _quantile(questions)
    accuracy = (known.between + known.within / samples) / questions
    difference = (known.difference + 2 * known.within / samples) / questions
    return Power(
        questions,
        samples,
        accuracy=_score_half_width(accuracy, quantile),
        difference=quantile * sqrt(difference),
        threshold=threshold_chance(questions, samples),
    )


def _quantile(questions: int) -> float:
    return float(student_quantile((1 + LEVEL) / 2, np.array(questions - 1.0)))


def _score_half_width(variance: float, z: float) -> float:
    """Half of the interval that `score_interval` has around one half."""
    size = 0.25 / variance
    return z * sqrt(0.25 / size + (z / (2 * size)) ** 2) / (1 + z**2 / size)


@cache
def variances() -> Variances:
    """The variances of the assumed models and questions, by quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    weights = weights / weights.sum()
    # The probability of a right answer, by difficulty and interaction.
    right = 1 / (1 + np.exp(-(DIFFICULTY * nodes[:, None] + INTERACTION * nodes[None, :])))
    second = float(weights @ right**2 @ weights)
    alike = float(weights @ (right @ weights) ** 2)  # of two models with the same question
    return Variances(second - 0.25, 0.5 - second, 2 * (second - alike))


# Thresholds


@cache
def simulated() -> tuple[Simulated, ...]:
    """The rows of threshold_power.csv."""
    with TABLE.open(encoding="utf-8", newline="") as lines:
        return tuple(
            Simulated(**{name: int(value) for name, value in row.items()})
            for row in csv.DictReader(lines)
        )


def threshold_chance(questions: int, samples: int) -> float:
    """The share of worlds that decide, between the simulated numbers of questions and of samples.

    Outside of them it is that of the nearest number.
    """
    rows = simulated()
    numbers = sorted({row.samples for row in rows})
    shares = [_by_questions(questions, [r for r in rows if r.samples == n]) for n in numbers]
    return float(np.interp(log(samples), np.log(numbers), shares))


def _by_questions(questions: int, rows: list[Simulated]) -> float:
    own = sorted(rows, key=lambda row: row.questions)
    places = np.log([row.questions for row in own])
    return float(np.interp(log(questions), places, [row.share for row in own]))
