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
from raysweep.workers import CallError, Workers

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
        grader = grading.GRADERS[grader_name]
        if not grader.equal:
            return choices
        is_open = np.array([not grader.has_canonical_form(text) for text in texts], dtype=np.bool_)
        cells = np.flatnonzero(is_open[choices]) if len(texts) else np.array([], dtype=np.int64)
        codes = questions[cells] * len(texts) + choices[cells]
        distinct, inverse = np.unique(codes, return_inverse=True)
        by_question: dict[int, list[int]] = defaultdict(list)
        for code in distinct.tolist():
            by_question[code // len(texts)].append(code % len(texts))
        with ThreadPoolExecutor(self.workers.most) as threads:
            sorted_out = threads.map(
                lambda item: self._sort_out(
                    grader, (benchmark, item[0]), [texts[c] for c in item[1]]
                ),
                by_question.items(),
            )
            stands_for = [text for found in sorted_out for text in found]
        place = {text: index for index, text in reversed(list(enumerate(texts)))}
        extra = {text: len(texts) + i for i, text in enumerate(dict.fromkeys(stands_for))}
        representatives = np.array([place.get(t, extra[t]) for t in stands_for], dtype=np.int64)
        result = choices.astype(np.int64)
        result[cells] = representatives[inverse]
        return result

    def _sort_out(self, grader: Grader, key: tuple[str, int], texts: list[str]) -> list[str]:
        """For each text the one that stands for its class."""
        known = self.classes[key]
        for text in texts:
            if text not in known:
                known[text] = self._class_of(grader, text, list(dict.fromkeys(known.values())))
        return [known[text] for text in texts]

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
