"""Grading: from an answer's text to what it says and whether that is right, one grader a module.

A grader extracts an answer from a text and judges it against the gold one. What may hang, crash or run a
model's program happens in a worker process with a time limit, and what goes wrong there is the outcome
`error`. Grading is a pure function of text, gold answer and whether the text ended: stored answers can be
graded again (`raysweep.upkeep.regrade`). A change of a grader that changes an answer or an outcome raises its
version, which every part of samples names.

To add a grader to raysweep, write a module with `extract` and, if equal texts are not all, `judge`; name it
in GRADERS. A user's own is a `Grader` named by its import path.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, lru_cache

from raysweep.errors import ConfigError, shown
from raysweep.grading import choice, code, mathematics, sandbox, words
from raysweep.grading.outcomes import OUTCOMES, Graded, Nothing, Outcome, Said
from raysweep.spec import Benchmark, Question
from raysweep.system import import_path
from raysweep.system.workers import CallError, Workers

__all__ = [
    "GRADERS",
    "OUTCOMES",
    "Graded",
    "Grader",
    "Nothing",
    "Outcome",
    "Said",
    "load_grader",
    "word_grader",
]

ERROR = Graded(None, "error")


def no_check(*_: str) -> None:
    """Any will do."""


def judge_equal(answer: str, gold: str) -> Graded:
    return Graded(answer, "correct" if answer == gold else "wrong")


@dataclass(frozen=True)
class Grader:
    """How one kind of answer is graded.

    version     raised when the same text may get another answer or outcome
    extract     (text, ended) -> the answer in it, or why there is none
    reads_gold  `extract` takes the gold answer too: what counts depends on what was asked
    judge       (answer, gold) -> what it is, or None where only `in_worker` can say
    in_worker   `module:function` of (answer, gold) -> (answer or None, outcome), for a worker process
    trial       (answer, gold) that `in_worker` finds correct wherever it works
    cpu_s       CPU seconds that `in_worker` may take; the wall allows some times more
    check_gold  raises ValueError for a gold answer that cannot be graded against
    check_place raises ConfigError where this machine cannot grade, given the name of the field
    stated      ways in which a text states an answer; each gold answer must be correct in every one
    has_canonical_form  tells answers that compare as texts; for the others there are, in a worker process,
    equal, fingerprint  `module:function` of two answers, and of one (see `raysweep.grading.equivalence`)
    """

    version: int
    extract: Callable[..., str | Nothing]
    judge: Callable[[str, str], Graded | None] = judge_equal
    in_worker: str = ""
    cpu_s: float = 10
    check_gold: Callable[[str], None] = no_check
    check_place: Callable[[str], None] = no_check
    has_canonical_form: Callable[[str], bool] = bool
    equal: str = ""
    fingerprint: str = ""
    stated: tuple[Callable[[str], str], ...] = ()
    reads_gold: bool = False
    trial: tuple[str, str] | None = None


def word_grader(extract: Callable[[str, bool], str | Nothing], version: int = 1) -> Grader:
    """Answers that are equal as extracted texts, the gold one extracted likewise."""

    @lru_cache(maxsize=1024)
    def expected_of(gold: str) -> str | Nothing:
        return extract(gold, True)

    def judge(answer: str, gold: str) -> Graded:
        expected = expected_of(gold)
        return ERROR if isinstance(expected, Nothing) else judge_equal(answer, expected)

    def check_gold(gold: str) -> None:
        if isinstance(extract(gold, True), Nothing):
            raise ValueError("it finds no answer in it")

    return Grader(version, extract, judge, check_gold=check_gold)


PROGRAM_TRIAL = (
    "print(6 * 7)",
    '{"function": null, "tests": [{"input": "", "output": "42"}]}',
)

GRADERS: dict[str, Grader] = {
    "integer": word_grader(words.last_integer, version=2),
    "letter": word_grader(words.last_letter, version=2),
    "choice": word_grader(choice.chosen_letter, version=2),
    "mathematics": Grader(
        version=2,
        extract=mathematics.extract,
        judge=mathematics.judge,
        in_worker="raysweep.grading.symbolic:grade",
        trial=(r"\boxed{x+1}", "1+x"),
        check_gold=mathematics.check_gold,
        has_canonical_form=mathematics.has_canonical_form,
        equal="raysweep.grading.symbolic:equal",
        fingerprint="raysweep.grading.symbolic:fingerprint",
        stated=mathematics.STATED,
    ),
    "code": Grader(
        version=3,
        extract=code.extract,
        reads_gold=True,
        judge=code.judge,
        in_worker="raysweep.grading.code:grade",
        trial=PROGRAM_TRIAL,
        cpu_s=60,
        check_gold=code.check_gold,
        check_place=sandbox.check,
    ),
    "code_unsandboxed": Grader(
        version=2,
        extract=code.extract,
        reads_gold=True,
        judge=code.judge,
        in_worker="raysweep.grading.code:grade_unsandboxed",
        trial=PROGRAM_TRIAL,
        cpu_s=60,
        check_gold=code.check_gold,
    ),
}


def load_grader(name: str) -> Grader:
    """The grader that a name or an import path stands for. Raises ValueError if there is none."""
    return GRADERS[name] if name in GRADERS else _own_grader(name)


@cache
def _own_grader(path: str) -> Grader:
    grader = import_path.load(path)
    if not isinstance(grader, Grader):
        raise ValueError(f"{path!r} is not a raysweep.grading.Grader")
    return grader


def tag(name: str) -> str:
    """The grader as samples name it: "mathematics-1"."""
    return f"{name}-{load_grader(name).version}"


def grade(name: str, said: Said, workers: Workers) -> Graded:
    """Grade one answer; what goes wrong inside the grader is the outcome `error`."""
    return grade_all(name, [said], workers)[0]


def grade_all(name: str, said: Sequence[Said], workers: Workers) -> list[Graded]:
    """Grade many answers, equal ones once; those for workers as many at a time as there may be."""
    grader = load_grader(name)
    known: dict[Said, Graded] = {}
    asked: dict[Said, str] = {}
    for one in dict.fromkeys(said):
        found = _at_once(grader, one)
        if isinstance(found, Graded):
            known[one] = found
        else:
            asked[one] = found
    if asked:
        with ThreadPoolExecutor(workers.most) as threads:
            graded = threads.map(
                lambda one: _by_worker(grader, asked[one], one.gold, workers), asked
            )
            known.update(zip(asked, graded, strict=True))
    return [known[one] for one in said]


def _at_once(grader: Grader, said: Said) -> Graded | str:
    """The outcome, or the extracted answer where a worker must be asked."""
    if said.given_up:
        return ERROR
    try:
        gold = [said.gold] if grader.reads_gold else []
        found = grader.extract(said.text, said.ended, *gold)
        if isinstance(found, Nothing):
            return Graded(None, found.value)
        return grader.judge(found, said.gold) or found
    except Exception:
        return ERROR


def _by_worker(grader: Grader, answer: str, gold: str, workers: Workers) -> Graded:
    try:
        return Graded(*workers.call(grader.in_worker, answer, gold, cpu_s=grader.cpu_s))
    except CallError:
        return ERROR


def check_works(name: str, field: str, workers: Workers) -> None:
    """Raise ConfigError where this machine cannot grade, before any outcome is made or replaced."""
    grader = load_grader(name)
    grader.check_place(field)
    if grader.trial is None:
        return
    try:
        _, outcome = workers.call(grader.in_worker, *grader.trial, cpu_s=grader.cpu_s)
    except CallError as error:
        outcome = str(error)
    if outcome != "correct":
        raise ConfigError(
            f"{field}: {name!r} does not work on this machine, so nothing was graded: a right answer "
            f"came out as {outcome!r}; give more memory, or raise the limits (ulimit -a lists them)"
        )


def ungradable_gold(benchmark: Benchmark, workers: Workers) -> Question | None:
    """The first question whose gold answer, stated in one of the usual ways, is not graded correct."""
    stated = load_grader(benchmark.grader).stated
    asked = [(question, state) for question in benchmark.questions for state in stated]
    said = [Said(state(question.gold), True, question.gold) for question, state in asked]
    graded = zip(asked, grade_all(benchmark.grader, said, workers), strict=True)
    return next((question for (question, _), one in graded if one.outcome != "correct"), None)


def check_golds(benchmark: Benchmark, field: str, workers: Workers) -> None:
    """Raise ConfigError for a gold answer that is not graded correct when a text states it plainly."""
    if question := ungradable_gold(benchmark, workers):
        raise ConfigError(
            f"{field}: {benchmark.grader!r} cannot read the gold answer {shown(question.gold)} of "
            f"{question.question_id}; correct the answer, or choose another grader"
        )
