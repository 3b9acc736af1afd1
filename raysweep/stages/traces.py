"""The stage traces: pages with questions, thinking and answers; or one question in the terminal."""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, lru_cache, partial
from hashlib import sha256
from os import cpu_count

from raysweep.configuration.token_checks import read_chat_of
from raysweep.errors import ConfigError
from raysweep.grading.equivalence import Equivalence
from raysweep.reporting.trace_choice import TraceChoice, chosen_engines, read_choice
from raysweep.reporting.trace_samples import Sample, Wanted, samples_by_question
from raysweep.reporting.trace_texts import Decode
from raysweep.reporting.traces_page import (
    Book,
    TracedEngine,
    has_book,
    page_name,
    renew_page,
    write_book,
)
from raysweep.reporting.traces_text import question_lines
from raysweep.spec import Benchmark, ModelSpec
from raysweep.stages.context import RED, Context, need
from raysweep.storage import result_files
from raysweep.storage.part import encoded
from raysweep.system.content import content_hash
from raysweep.system.exit_status import DONE
from raysweep.system.quantities import human_bytes, plural
from raysweep.system.safe_text import printable
from raysweep.system.workers import Workers

# Bytes of a token of thinking, as text, compressed and packed; 1.4 for one of a character.
BYTES_PER_TOKEN = 2
# Bytes of a file without texts.
BYTES_PER_FILE = 700

GATED = (
    "these files hold the benchmarks' questions and gold answers, and some benchmarks, such as GPQA, ask not "
    "to publish them in plain form; the stage publish leaves them out unless publish.traces=true"
)


def run_stage(run: Context) -> int:
    """Write the pages, or print one question."""
    with Workers(cpu_count() or 1) as workers:
        tracing = Tracing(run, Equivalence(workers))
        if run.config.traces.question is not None:
            return tracing.show(run.config.traces.question)
        need(run, result_files.SCORES, "reduce")
        return tracing.write()


class Tracing:
    """The traces of a run: which are chosen, how they are read and decoded."""

    def __init__(self, run: Context, known: Equivalence):
        self.run, self.known, self.asked = run, known, run.config.traces

    @cached_property
    def choice(self) -> TraceChoice:
        """What the tables say of the engines. Empty before the stage reduce has run."""
        return read_choice(self.run.store)

    def engines_of(self, benchmark: Benchmark) -> list[TracedEngine]:
        """The chosen engines in the order of the plan, as far as they have samples."""
        planned = {engine.engine_id: engine for engine in self.run.folder.plan.engines}
        return [
            TracedEngine(
                engine_id=engine_id,
                model=planned[engine_id].model.name,
                weights=planned[engine_id].weights.slug,
                kv_policy=planned[engine_id].kv_policy.slug,
                on_frontier=(benchmark.name, engine_id) in self.choice.frontier,
                decode=self.decode_of(planned[engine_id].model),
                scores=self.choice.scores(benchmark, engine_id),
            )
            for engine_id in chosen_engines(
                self.asked.engines, list(planned), self.choice, benchmark.name
            )
            if self.shards(engine_id, benchmark)
        ]

    def shards(self, engine_id: str, benchmark: Benchmark) -> list:
        """The finished shards of an engine on a benchmark."""
        return self._finished.get((engine_id, benchmark.name), [])

    @cached_property
    def _finished(self) -> dict:
        found: dict = {}
        for shard in self.run.folder.plan.shards:
            if shard.shard is None:
                found.setdefault((shard.engine_id, shard.benchmark), []).append(shard)
        return found

    def decode_of(self, model: ModelSpec) -> Decode | None:
        """From token ids to text, special tokens included. None without the model's tokenizer."""
        return _decoder(model)

    def read(
        self, benchmark: Benchmark, engine: TracedEngine, only: str | None = None
    ) -> Iterator[tuple[str, list[Sample]]]:
        """The samples of an engine, question by question."""
        wanted = Wanted(
            shards=self.shards(engine.engine_id, benchmark),
            texts=self.asked.samples,
            samples=self.run.config.sweep.samples,
            only=only,
        )
        return samples_by_question(self.run.store, wanted, self._tell)

    def _tell(self, text: str) -> None:
        self.run.say("damaged", text, RED)

    def write(self) -> int:
        """Write a page for each benchmark, unless the one that is there says the same."""
        run, books = self.run, [self.book(one) for one in self.run.config.sweep.benchmarks]
        for book in books:
            run.say("traces", self._size_in_words(book))
        for model in sorted(
            {one.model for book in books for one in book.engines if not one.decode}
        ):
            run.say(
                "note",
                f"{model}: its tokenizer is not on this machine, so its thinking is not shown",
            )
        for book in books:
            if has_book(run.store, book):
                renew_page(run.store, book)
                run.say("traces", f"{run.store.path(page_name(book.benchmark.name))} is up to date")
                continue
            count, size = write_book(
                run.store, book, partial(self.read, book.benchmark), self.known
            )
            path = run.store.path(page_name(book.benchmark.name))
            run.say("traces", f"{path}: {human_bytes(size)} in {plural(count, 'file')}")
        run.say("note", GATED)
        if "report" not in run.config.stages:
            run.say("note", "the stage report gives its page links to them")
        return DONE

    def book(self, benchmark: Benchmark) -> Book:
        config, engines = self.run.config, self.engines_of(benchmark)
        return Book(
            run=config.run,
            benchmark=benchmark,
            engines=engines,
            token_budgets=config.sweep.token_budgets,
            group_sizes=config.sweep.group_sizes,
            texts=min(self.asked.samples, config.sweep.samples),
            samples=config.sweep.samples,
            key=self._key(benchmark, engines),
        )

    def _key(self, benchmark: Benchmark, engines: Sequence[TracedEngine]) -> str:
        """Names everything that the files of a benchmark are made of."""
        sweep = self.run.config.sweep
        used = {
            shard.shard_id
            for engine in engines
            for shard in self.shards(engine.engine_id, benchmark)
        }
        parts = sorted(
            encoded(part).decode() for part in self.run.folder.parts if part.shard_id in used
        )
        shown = [(one.engine_id, one.on_frontier, one.decode is not None) for one in engines]
        scores = [
            (*key, sha256(row.tobytes()).hexdigest())
            for one in engines
            for key, row in sorted(one.scores.items())
        ]
        limits = [sweep.token_budgets, sweep.group_sizes, sweep.samples, self.asked.samples]
        return content_hash("traces", benchmark, shown, scores, limits, parts)

    def _size_in_words(self, book: Book) -> str:
        questions, engines = len(book.benchmark.questions), len(book.engines)
        decoded = [one.engine_id for one in book.engines if one.decode]
        lengths = [self.choice.tokens(book.benchmark, engine_id) for engine_id in decoded]
        files = questions * (engines + 1) + engines + 1
        size = BYTES_PER_TOKEN * sum(lengths) * questions * book.texts + BYTES_PER_FILE * files
        return (
            f"{book.benchmark.name}: {plural(engines, 'engine')}, {plural(questions, 'question')}, the texts "
            f"of {book.texts} of {plural(book.samples, 'sample')}: about {human_bytes(size)}, "
            f"{plural(files, 'file')}"
        )

    def show(self, question_id: str) -> int:
        """Print a question with the samples of the chosen engines; of the best one if none is chosen."""
        for benchmark in self.run.config.sweep.benchmarks:
            numbers = {question.question_id: n for n, question in enumerate(benchmark.questions)}
            if question_id in numbers:
                for line in self._lines(benchmark, numbers[question_id]):
                    self.run.console.out(printable(line, lines=True), highlight=False)
        return DONE

    def _lines(self, benchmark: Benchmark, number: int) -> Iterator[str]:
        engines = self.engines_of(benchmark)
        if not self.asked.engines:
            best = self.choice.best(benchmark)
            engines = [one for one in engines if one.engine_id == best] or engines[:1]
        question = benchmark.questions[number]
        found = {
            engine.engine_id: samples
            for engine in engines
            for _, samples in self.read(benchmark, engine, question.question_id)
        }
        sweep = self.run.config.sweep
        yield from question_lines(
            benchmark, number, engines, found, sweep.token_budgets, sweep.group_sizes, self.known
        )
        if not self.asked.engines:
            yield "traces.engines=['PATTERN'] chooses other engines, and traces.samples how many samples"


@lru_cache(maxsize=64)
def _decoder(model: ModelSpec) -> Decode | None:
    try:
        chat = read_chat_of(model, "traces")
    except ConfigError:  # its folder is on another machine
        return None
    if chat is None:
        return None
    decode: Callable[..., str] = chat.tokenizer.decode
    return lambda tokens: decode(list(tokens), skip_special_tokens=False)
