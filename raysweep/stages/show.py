"""The stage show: a question exactly as a model is asked it, and how it is made to answer at each budget.

Texts stand as they are, and below each its tokens with id and vocabulary entry. What the model thinks is
the one thing that is unknown before it does.
"""

from collections.abc import Iterator

from raysweep.configuration.chat import Chat
from raysweep.configuration.token_checks import read_chat_of
from raysweep.errors import ConfigError, shown
from raysweep.run_config import RunConfig
from raysweep.spec import Benchmark, ModelSpec, Question
from raysweep.stages.context import DONE, Context
from raysweep.system.safe_text import printable


def run_stage(run: Context) -> int:
    """What a model is asked, and how it is made to answer."""
    for line in shown_question(run.config):
        run.console.out(printable(line, lines=True), highlight=False)
    return DONE


def shown_question(config: RunConfig) -> Iterator[str]:
    """What to print, line by line."""
    model, benchmark, question = looked_up(config)
    decoding = config.decoding(model, benchmark)
    chat = read_chat_of(model, "show.model")
    if chat is None:
        raise ConfigError(
            f"show.model: the tokenizer of {model.name} is not on this machine; fetch {model.path}"
        )
    prompt = chat.prompt(question.prompt, decoding.think_open)
    closing = decoding.forced_closing
    yield f"question  {question.question_id} of {benchmark.name}, as {model.name} is asked it"
    yield f"gold      {shown(question.gold)}, graded as {benchmark.grader}"
    yield from text_and_tokens("prompt", prompt, chat)
    yield from text_and_tokens("closing", closing, chat)
    if decoding.extension:
        yield from text_and_tokens("extension", decoding.extension, chat)
        yield "          in place of an early end of thinking, until the budget is full"
    before, forced = len(chat.encode(prompt)), len(chat.encode(closing))
    for budget in decoding.token_budgets:
        most = decoding.sequence_tokens(before, forced, budget)
        yield (
            f"fork      at {budget:,}: {before} tokens of prompt, {budget:,} of thinking, {forced} of "
            f"closing, then an answer of up to {decoding.answer_tokens:,}: {most:,} at most"
        )


def looked_up(config: RunConfig) -> tuple[ModelSpec, Benchmark, Question]:
    """The nouns of the names that are to be shown; the configuration has checked that they are there."""
    show, sweep = config.show, config.sweep
    model = next(m for m in sweep.models if show.model in (None, m.name))
    benchmark = next(b for b in sweep.benchmarks if show.benchmark in (None, b.name))
    question = next(q for q in benchmark.questions if show.question in (None, q.question_id))
    return model, benchmark, question


def text_and_tokens(label: str, text: str, chat: Chat) -> Iterator[str]:
    """A text between two rules, and its tokens."""
    tokens = chat.encode(text)
    yield f"{label:<10}{len(tokens)} tokens"
    yield "─" * 40
    yield text
    yield "─" * 40
    yield " ".join(f"{token}:{chat.piece(token)!r}" for token in tokens)
