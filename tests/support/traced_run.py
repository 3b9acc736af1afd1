"""A run of hand-made samples whose thinking can be read: two engines, their tokenizer, hostile texts."""

from dataclasses import replace
from pathlib import Path

from support.configurations import tokenizer_of_characters, write_checkpoint
from support.hand_made_runs import LONG, MODEL, SHORT, SUMS, answer, generate, sample, sweep_of

from raysweep import grading
from raysweep.configuration.identity import as_document
from raysweep.run_config import RunConfig
from raysweep.run_config.outputs import Publish, Traces
from raysweep.spec import Question
from raysweep.stages import run_stages
from raysweep.storage.store import Store

HOSTILE = "</script><script>document.body.dataset.error='xss'</script><img src=x onerror=alert(1)>"
ESCAPES = "\x1b[2Jgone\x1b]0;title\x07\u202eevil"
SHOWN = r"\x1b[2Jgone\x1b]0;title\x07\u202eevil"
# A question to which the four samples say: the right thing, two wrong ones, and nothing.
QUESTIONS = (
    Question("sums-0", f"What is this? {HOSTILE}{ESCAPES}", "right"),
    Question("sums-1", "And this?", "right"),
)
SAID = {
    "sums-0": (
        {SHORT: "12", LONG: "right"},
        {SHORT: "12", LONG: "13"},
        {SHORT: "right", LONG: "cut_off"},
        {SHORT: "unanswered", LONG: "error"},
    ),
    "sums-1": (
        {SHORT: "right", LONG: "right"},
        {SHORT: "5", LONG: "5"},
        {SHORT: "right", LONG: "5"},
        {SHORT: "right", LONG: "7"},
    ),
}
THOUGHT = "one two three <img src=x onerror=alert(2)> four five"  # longer than both budgets
ENGINE, TWIN = "toy.bf16.full", "twin.bf16.full"


def traced_config(folder: Path, *stages: str, **changes) -> RunConfig:
    """The run, whose model has a tokenizer of characters in `folder`."""
    model = replace(MODEL, path=str(folder / "model"))
    benchmark = replace(SUMS, questions=QUESTIONS)
    models = (model, replace(model, name="twin"))
    sweep = sweep_of(models=models, benchmarks=(benchmark,)).sweep
    config = replace(sweep_of(), out=str(folder / "runs"), sweep=sweep, stages=stages)
    return replace(config, **changes)


def traced_samples() -> list[dict]:
    """Four samples of each question. All think the same, and are cut by both budgets."""
    tokens = tokenizer_of_characters().encode(THOUGHT).ids[:LONG]
    common = {"finish": "budget", "trace_tokens": len(tokens), "token_ids": tokens}

    def given(budget: int, said: str) -> dict:
        text = f"={said}{HOSTILE}{ESCAPES}"
        return answer(budget, said, thinking_tokens=budget, forced=True, text=text)

    return [
        sample(question_id, index, {}, answers=[given(*one) for one in says.items()], **common)
        for question_id, sayings in SAID.items()
        for index, says in enumerate(sayings)
    ]


def write_graded(config: RunConfig, store: Store) -> None:
    """Write all shards as graded by the current grader."""
    generate(config, store, traced_samples())
    for part in list(store.parts()):
        table = store.read_table(part.name).replace_schema_metadata(None)
        tag = grading.tag(SUMS.grader)
        store.write_part(replace(part, graders=dict.fromkeys(part.questions, tag)), table)


def traced_run(folder: Path, *stages: str) -> RunConfig:
    """A finished run in `folder`, after these stages."""
    write_checkpoint(folder / "model")
    config = traced_config(folder, *stages)
    write_graded(config, store_of(config))
    staged(config)
    return config


def staged(config: RunConfig, *stages: str, **asked: Traces | Publish) -> int:
    """The exit status of these stages, or of the configuration's own."""
    config = replace(config, stages=stages or config.stages, **asked)
    document = {**as_document(config), "versions": {"raysweep": "1"}, "git_revision": "abc"}
    return run_stages(config, document)


def store_of(config: RunConfig) -> Store:
    return Store(f"{config.out}/{config.run}")
