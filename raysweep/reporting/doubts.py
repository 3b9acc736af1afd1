"""Models of which more than a few answers in a hundred are cut off or unanswered, with the likely reasons.

Such answers count as incorrect. Where there are many, the cause is often the set-up and not the model: a
limit that is too small, an end of text that nobody stops at, or a form of answer that the grader cannot
read. So a run says so before anybody believes its accuracies.
"""

from collections.abc import Iterator

import pandas as pd

from raysweep.reporting.appearance import models
from raysweep.reporting.results import where
from raysweep.system.quantities import percent

# A share of answers above this is more than chance and worth a look.
FEW = 0.05

REASONS = {
    "cut_off": (
        "they reach the benchmark's answer_tokens; raise it, or check that eos_token_id in the model's "
        "generation_config.json lists every token that ends its text"
    ),
    "unanswered": (
        "the grader finds no answer in the text; look at some (column text of the samples), and check the "
        "prompt and the answer's opener with stages=[show]"
    ),
}


def doubts(scenarios: pd.DataFrame) -> list[str]:
    """A sentence for each benchmark, model and outcome with a share above FEW at the largest budget.

    The largest token budget counts, because a small budget may leave too little thinking for an answer.
    """
    order = list(models(scenarios))
    largest = where(scenarios, token_budget=scenarios.token_budget.max())
    groups = [rows for _, rows in largest.groupby(["benchmark", "model"])]
    groups.sort(key=lambda rows: (rows.benchmark.iloc[0], order.index(rows.model.iloc[0])))
    return [doubt for rows in groups for doubt in _doubts(rows)]


def _doubts(rows: pd.DataFrame) -> Iterator[str]:
    """Those of one benchmark and model; all group sizes of an engine share the same answers."""
    answers = rows.drop_duplicates(["engine_id"])
    for outcome, reason in REASONS.items():
        share = sum(answers[outcome].tolist()) / len(answers)
        if share > FEW:
            whose = f"{rows.model.iloc[0]}'s answers on {rows.benchmark.iloc[0]}"
            yield f"{percent(share)} of {whose} are {outcome.replace('_', ' ')}: {reason}."
