"""A question and its traces for the terminal: what the page of traces shows, as lines.

The caller prints each line with its control characters as escapes.
"""

from collections.abc import Iterator, Mapping, Sequence

from raysweep.grading.equivalence import Equivalence
from raysweep.reporting.provenance import ENDINGS
from raysweep.reporting.trace_samples import CORRECT, Answer, Poll, Sample, choices, poll
from raysweep.reporting.trace_texts import Decode, cuts, pieces
from raysweep.reporting.traces_page import TracedEngine, shortened
from raysweep.spec import Benchmark
from raysweep.system.quantities import plural

RULE = "─" * 40


def question_lines(
    benchmark: Benchmark,
    number: int,
    engines: Sequence[TracedEngine],
    found: Mapping[str, Sequence[Sample]],
    token_budgets: Sequence[int],
    group_sizes: Sequence[int],
    known: Equivalence,
) -> Iterator[str]:
    """A question, and what each engine thought, answered and voted. `found` is by engine."""
    question = benchmark.questions[number]
    yield f"question  {question.question_id} of {benchmark.name}"
    yield RULE
    yield question.prompt
    yield RULE
    yield f"gold      {shortened(question.gold)}"
    for engine in engines:
        samples = found.get(engine.engine_id, ())
        same = choices(benchmark, number, samples, known)
        yield ""
        yield f"engine    {engine.engine_id}, {plural(len(samples), 'sample')}"
        for group in [size for size in group_sizes if size in (1, group_sizes[-1])]:
            for budget in token_budgets:
                voted = vote_in_words(poll(samples, same, budget, group))
                yield f"vote      of the first {group} at {budget:,}: {voted}"
        for sample in samples:
            if sample.token_ids is not None:
                yield from sample_lines(sample, engine.decode)


def vote_in_words(found: Poll) -> str:
    """`12, right, by 3 votes; 5 has 1; 1 cut off`."""
    first = found.winners
    absent = [f"{count} {name.replace('_', ' ')}" for name, count in found.absent.items()]
    absent += [f"{found.missing} missing"] if found.missing else []
    if not first:
        return "; ".join(["nobody votes", *absent])
    named = " and ".join(
        f"{shortened(text)}{', right,' if right else ', wrong,'}" for text, _, right in first
    )
    said = f"{named} by {plural(first[0][1], 'vote')}"
    if len(first) > 1:
        said = f"a tie of {len(first)}, {said} each"
    others = [f"{shortened(text)} has {count}" for text, count, _ in found.votes[len(first) :]]
    return "; ".join([said, *others, *absent])


def sample_lines(sample: Sample, decode: Decode | None) -> Iterator[str]:
    """The thinking with a line where budgets cut it, and each different text after it."""
    ended = {**ENDINGS, "stop": "by itself"}.get(sample.finish, sample.finish)
    yield ""
    yield f"sample    {sample.index}, {plural(sample.trace_tokens, 'token')}, ended {ended}"
    texts: Sequence[str] | None
    try:
        texts = None if decode is None else pieces(sample, decode)
    except ValueError:
        texts = None
    if texts is None:
        yield "          the tokenizer is not on this machine or does not fit, so the thinking is not shown"
    for place, cut in enumerate(cuts(sample)):
        if texts is not None:
            yield texts[place]
        here = [answer for answer in sample.answers if answer.thinking_tokens == cut]
        yield f"──────── after {plural(cut, 'token')}"
        yield from _answers(here)


def _answers(answers: Sequence[Answer]) -> Iterator[str]:
    """The answers after one cut; those with the same text together."""
    texts = dict.fromkeys((answer.text or "", answer.outcome) for answer in answers)
    for text, outcome in texts:
        own = [one for one in answers if (one.text or "", one.outcome) == (text, outcome)]
        budgets = ", ".join(f"{one.token_budget:,}" for one in own)
        closed = "by force" if own[0].forced else "by itself"
        said = f" {shortened(own[0].answer or '')}" if own[0].answer else ""
        mark = " ✓" if outcome == CORRECT else ""
        yield f"budget    {budgets}, closed {closed}: {outcome.replace('_', ' ')}{said}{mark}"
        yield text.strip("\n")
        yield "────────"
