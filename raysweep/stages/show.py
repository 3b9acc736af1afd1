"""The stage show: the exact prompt of a question, and how the model is made to answer at each token budget.

Each text is printed unchanged, with its tokens below it, as ids and vocabulary entries. Only the model's
thinking is not known in advance.
"""

from collections.abc import Iterator

from raysweep.configuration.chat import Chat
from raysweep.configuration.token_checks import read_chat_of
from raysweep.errors import ConfigError, shown
from raysweep.run_config import RunConfig
from raysweep.spec import Benchmark, Decoding, ModelSpec, Question
from raysweep.stages.context import Context
from raysweep.system.exit_status import DONE
from raysweep.system.safe_text import printable


def run_stage(run: Context) -> int:
    """Print what a model is asked, and how it is made to answer."""
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
            f"show.model: the tokenizer of {model.name} is not on this machine; fetch {model.path} first"
        )
    prompt = chat.prompt(question.prompt, model.family)
    closing = decoding.forced_closing
    yield f"question  {question.question_id} of {benchmark.name}, as {model.name} is asked it"
    yield f"gold      {shown(question.gold)}, graded as {benchmark.grader}"
    yield from text_and_tokens("prompt", prompt, chat)
    yield from text_and_tokens("closing", closing, chat)
    if decoding.extension:
        yield from text_and_tokens("extension", decoding.extension, chat)
        yield "          replaces an early end of thinking, until the budget is used up"
    yield from ending(decoding, chat)
    before, forced = len(chat.encode(prompt)), len(chat.encode(closing))
    for budget in decoding.token_budgets:
        most = decoding.sequence_tokens(before, forced, budget)
        yield (
            f"fork      at {budget:,}: {before} tokens of prompt, {budget:,} of thinking, {forced} of "
            f"closing and up to {decoding.answer_tokens:,} of answer, {most:,} at most in all"
        )


def ending(decoding: Decoding, chat: Chat) -> Iterator[str]:
    """What closes the thinking besides a budget, where it is not one token."""
    close = chat.encode(decoding.think_close)
    if len(close) > 1:
        yield f"close     the text {shown(decoding.think_close)}, of {len(close)} tokens here"
    if decoding.end_closes:
        answer = "is the answer" if decoding.text_is_answer else "is followed by the closing"
        yield f"end       a text that ends by itself {answer}, which serves all larger budgets"


def looked_up(config: RunConfig) -> tuple[ModelSpec, Benchmark, Question]:
    """The model, benchmark and question to show. The configuration has checked that they exist."""
    show, sweep = config.show, config.sweep
    model = next(m for m in sweep.models if show.model in (None, m.name))
    benchmark = next(b for b in sweep.benchmarks if show.benchmark in (None, b.name))
    question = next(q for q in benchmark.questions if show.question in (None, q.question_id))
    return model, benchmark, question


def text_and_tokens(label: str, text: str, chat: Chat) -> Iterator[str]:
    """A text between two lines, and its tokens."""
    tokens = chat.encode(text)
    yield f"{label:<10}{len(tokens)} tokens"
    yield "─" * 40
    yield text
    yield "─" * 40
    yield " ".join(f"{token}:{chat.piece(token)!r}" for token in tokens)
