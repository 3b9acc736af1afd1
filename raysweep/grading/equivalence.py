"""Answers that say the same count as one: classes of equal answers among those without canonical form.

Most answers are compared as texts, their canonical forms (`grading`). What is left, such as expressions
with variables, is compared by algebra, in worker processes: a fingerprint (its value at one point) tells
most of them apart at once, and only those of one fingerprint are compared in pairs. What has been found
out of a question is kept, so each text is looked at once for all engines and token budgets.
"""

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from raysweep import grading
from raysweep.grading import Grader
from raysweep.system.workers import CallError, Workers

Ints = NDArray[np.integer]
Classes = dict[str, str]  # text -> the text that stands for all that equal it


@dataclass(eq=False)
class Equivalence:
    """What is known of the answers to each question, by benchmark and question's place."""

    workers: Workers
    classes: dict[tuple[str, int], Classes] = field(default_factory=lambda: defaultdict(dict))
    fingerprints: dict[str, str | None] = field(default_factory=dict)

    def merged(
        self, benchmark: str, grader_name: str, questions: Ints, choices: Ints, texts: list[str]
    ) -> Ints:
        """`choices`, indices into `texts`, with one index for all equal answers to a question."""
        grader = grading.load_grader(grader_name)
        if not grader.equal or not len(choices):
            return choices
        is_open = np.array([not grader.has_canonical_form(text) for text in texts], dtype=np.bool_)
        cells = np.flatnonzero(is_open[choices])
        codes, code = np.unique(questions[cells] * len(texts) + choices[cells], return_inverse=True)
        asked = [(c // len(texts), texts[c % len(texts)]) for c in codes.tolist()]
        number = {text: index for index, text in enumerate(texts)}
        heads = self._heads(grader, benchmark, asked)
        numbers = np.array([number.setdefault(head, len(number)) for head in heads], dtype=np.int64)
        result = choices.astype(np.int64)
        result[cells] = numbers[code]
        return result

    def _heads(self, grader: Grader, benchmark: str, asked: list[tuple[int, str]]) -> list[str]:
        """For each question and text the text that stands for its class; questions at a time."""
        by_question: dict[int, list[str]] = defaultdict(list)
        for question, text in asked:
            by_question[question].append(text)

        def sort_out(question: int) -> None:
            known = self.classes[benchmark, question]
            for text in by_question[question]:
                if text not in known:
                    known[text] = self._class_of(grader, text, list(dict.fromkeys(known.values())))

        with ThreadPoolExecutor(self.workers.most) as threads:
            list(threads.map(sort_out, by_question))
        return [self.classes[benchmark, question][text] for question, text in asked]

    def _class_of(self, grader: Grader, text: str, heads: list[str]) -> str:
        mark = self._fingerprint(grader, text)
        for head in heads:
            if mark is not None and mark == self._fingerprint(grader, head):
                try:
                    if self.workers.call(grader.equal, text, head, cpu_s=grader.cpu_s):
                        return head
                except CallError:
                    continue  # nobody knows: two answers
        return text

    def _fingerprint(self, grader: Grader, text: str) -> str | None:
        """None for a text that algebra cannot look at; it equals itself only."""
        if text not in self.fingerprints:
            try:
                found = self.workers.call(grader.fingerprint, text, cpu_s=grader.cpu_s)
            except CallError:
                found = None
            self.fingerprints[text] = found
        return self.fingerprints[text]
