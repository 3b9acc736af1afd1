"""The page of a benchmark's traces, and the files beside it from which it loads one question at a time.

    report/traces/<benchmark>.html          the page
    report/traces/<benchmark>/<key>/q3.js      question 3: what every engine answered, without texts
    report/traces/<benchmark>/<key>/q3-e5.js   thinking and answers of engine 5 on question 3
    report/traces/<benchmark>/<key>/s5.js      scores of engine 5, by token budget and group size

A page that was opened from a disk may read no file, but it may load scripts. So each file is a script that
calls one function with packed data. The key names what the files were made of. The page is written last,
and then files of another key are removed: a reader has either all of the old page, or all of the new one.
"""

import base64
import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from raysweep.grading.equivalence import Equivalence
from raysweep.grading.outcomes import OUTCOMES
from raysweep.metrics import Floats
from raysweep.reporting.packing import packed
from raysweep.reporting.results import Results
from raysweep.reporting.trace_samples import CORRECT, Sample, choices
from raysweep.reporting.trace_texts import Decode, cuts, pieces, safe
from raysweep.spec import Benchmark
from raysweep.storage.store import Store

WEB = Path(__file__).parent / "web"
FOLDER = "report/traces"
# Files that are written at a time.
WRITERS = 8
# The characters of an answer that are shown; programs may be long.
LONGEST_ANSWER = 200

# Scores by token budget and group size, one for each question of the benchmark, NaN where unknown.
Scores = Mapping[tuple[int, int], Floats]


@dataclass(frozen=True)
class TracedEngine:
    """An engine whose traces are written. `decode` is None where its tokenizer is not on this machine."""

    engine_id: str
    model: str
    weights: str
    kv_policy: str
    on_frontier: bool
    decode: Decode | None
    scores: Scores


@dataclass(frozen=True)
class Book:
    """What is written of a benchmark. `texts` samples of each question are shown of `samples`."""

    run: str
    benchmark: Benchmark
    engines: Sequence[TracedEngine]
    token_budgets: Sequence[int]
    group_sizes: Sequence[int]
    texts: int
    samples: int
    key: str


# Gives the samples of an engine, question by question.
Read = Callable[[TracedEngine], Iterator[tuple[str, list[Sample]]]]


def page_name(benchmark: str) -> str:
    return f"{FOLDER}/{benchmark}.html"


def traces_address(results: Results, store: Store) -> str | None:
    """The folder of the traces' pages as the report links to it. None unless each benchmark has its page."""
    names = results.scenarios.benchmark.unique().tolist()
    has_all = bool(names) and all(store.exists(page_name(name)) for name in names)
    return f"{FOLDER.removeprefix('report/')}/" if has_all else None


def has_book(store: Store, book: Book) -> bool:
    """Whether the page that is there was made of the same."""
    name = page_name(book.benchmark.name)
    return store.exists(name) and f'content="{book.key}"' in store.read_text(name)


def write_book(store: Store, book: Book, read: Read, known: Equivalence) -> tuple[int, int]:
    """Write the page and its files. Gives their number and their bytes."""
    folder = f"{FOLDER}/{book.benchmark.name}/{book.key}"
    sizes: list[int] = []
    with ThreadPoolExecutor(WRITERS) as writers:
        waiting: list[Future] = []

        def write(name: str, data: Any) -> None:
            text = f'traceData("{name}","{packed(data)}")\n'
            sizes.append(len(text))
            waiting.append(writers.submit(store.write_text, f"{folder}/{name}.js", text))
            while len(waiting) > WRITERS:  # bounds the texts that wait in memory
                waiting.pop(0).result()

        _write_files(book, read, known, write)
        for future in waiting:
            future.result()
    return len(sizes) + 1, sum(sizes) + renew_page(store, book)


def renew_page(store: Store, book: Book) -> int:
    """Write the page, whose files are there, and remove those of another key. Gives the page's bytes."""
    page = render(book)
    store.write_text(page_name(book.benchmark.name), page)
    remove_others(store, book.benchmark.name, book.key)
    return len(page.encode())


def remove_others(store: Store, benchmark: str, key: str) -> None:
    """Remove the files of a benchmark that belong to another key than its page."""
    below = f"{FOLDER}/{benchmark}"
    for name in store.folder.names(below):
        if not name.startswith(f"{below}/{key}/"):
            store.folder.remove(name)


def _write_files(
    book: Book, read: Read, known: Equivalence, write: Callable[[str, Any], None]
) -> None:
    places = {question.question_id: n for n, question in enumerate(book.benchmark.questions)}
    # Kept as text, which is smaller than what it says.
    answered: dict[int, dict[int, str]] = defaultdict(dict)
    for number, engine in enumerate(book.engines):
        for question_id, samples in read(engine):
            question = places[question_id]
            same = choices(book.benchmark, question, samples, known)
            answered[question][number] = json.dumps(answers_data(samples, same, book.token_budgets))
            if texts := texts_data(samples, engine.decode):
                write(f"q{question}-e{number}", texts)
        write(f"s{number}", scores_data(book, engine))
    for number, question in enumerate(book.benchmark.questions):
        engines = {at: json.loads(text) for at, text in answered[number].items()}
        asked = {"prompt": safe(question.prompt), "gold": shortened(question.gold)}
        write(f"q{number}", {**asked, "engines": engines})


def answers_data(
    samples: Sequence[Sample], same: Mapping[str, str], token_budgets: Sequence[int]
) -> dict[str, Any]:
    """What an engine answered to a question, without texts.

    classes   answers that count as different, and whether each is correct
    samples   index, tokens, finish, waits, and for each token budget null or: the thinking tokens, whether
              closed by force, the outcome's place in OUTCOMES, the answer's place in `classes` or null
    """
    classes: dict[tuple[str, bool], int] = {}
    rows = []
    for sample in samples:
        given: list[list[Any] | None] = []
        for token_budget in token_budgets:
            answer = sample.at(token_budget)
            if answer is None:
                given.append(None)
                continue
            votes = answer.outcome in OUTCOMES[:2]
            key = (same[answer.answer or ""] if votes else "", answer.outcome == CORRECT)
            place = classes.setdefault(key, len(classes)) if votes else None
            outcome = OUTCOMES.index(answer.outcome)
            given.append([answer.thinking_tokens, int(answer.forced), outcome, place])
        rows.append([sample.index, sample.trace_tokens, sample.finish, sample.waits, given])
    named = [[shortened(text), int(right)] for text, right in classes]
    return {"classes": named, "samples": rows}


def texts_data(samples: Sequence[Sample], decode: Decode | None) -> list[dict[str, Any]]:
    """Thinking and answers of the samples whose texts were read.

    index     of the sample
    thinking  texts between the cuts; null without a tokenizer
    cuts      thinking tokens at the end of each text
    answers   for each answer its token budget and its text
    """
    shown = []
    for sample in samples:
        if sample.token_ids is None:
            continue
        try:
            thinking = None if decode is None else pieces(sample, decode)
        except ValueError:
            thinking = None
        answers = [[one.token_budget, safe(one.text or "")] for one in sample.answers]
        shown.append(
            {"index": sample.index, "thinking": thinking, "cuts": cuts(sample), "answers": answers}
        )
    return shown


def scores_data(book: Book, engine: TracedEngine) -> list[list[list[float | None] | None]]:
    """For each token budget and group size the engine's score on each question, null where unknown."""
    return [
        [
            None
            if (scores := engine.scores.get((budget, group))) is None
            else [None if one != one else round(one, 3) for one in scores.tolist()]
            for group in book.group_sizes
        ]
        for budget in book.token_budgets
    ]


def shortened(text: str) -> str:
    shown = safe(text)
    return shown if len(shown) <= LONGEST_ANSWER else shown[:LONGEST_ANSWER] + "…"


def page_data(book: Book) -> dict[str, Any]:
    """What the page knows before it loads a question."""
    return {
        "benchmark": book.benchmark.name,
        "folder": f"{book.benchmark.name}/{book.key}",
        "outcomes": list(OUTCOMES),
        "engines": [
            {
                "id": engine.engine_id,
                "model": engine.model,
                "weights": engine.weights,
                "policy": engine.kv_policy,
                "frontier": engine.on_frontier,
                "decoded": engine.decode is not None,
            }
            for engine in book.engines
        ],
        "budgets": list(book.token_budgets),
        "groups": list(book.group_sizes),
        "questions": [safe(question.question_id) for question in book.benchmark.questions],
        "texts": book.texts,
        "samples": book.samples,
    }


def render(book: Book) -> str:
    """The page as HTML. Its policy admits its own script and style, and scripts that lie beside it."""
    environment = Environment(
        loader=FileSystemLoader(WEB),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script, css = _own_file("traces.js"), _own_file("page.css") + _own_file("traces.css")
    return environment.get_template("traces.html.j2").render(
        run=book.run,
        benchmark=book.benchmark.name,
        book=book,
        packed=packed(page_data(book)),
        script=script,
        css=css,
        policy=(
            f"default-src 'none'; script-src 'self' file: {_hash(script)}; style-src {_hash(css)}; "
            "base-uri 'none'; form-action 'none'"
        ),
    )


def _own_file(name: str) -> Markup:
    return Markup((WEB / name).read_text())


def _hash(text: str) -> str:
    digest = hashlib.sha256(str(text).encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
