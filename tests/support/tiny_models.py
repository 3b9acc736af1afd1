"""The shipped models as the engine tests need them, and ways to run an engine to the end."""

import json
import shutil
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from actors.engine import Engine, Trace, TraceRequest
from raysweep.configuration.architecture import read_architecture
from raysweep.configuration.chat import read_chat
from raysweep.shard import sample_key
from raysweep.spec import Architecture, Decoding, Family, Question, Sampling

MODELS = Path(__file__).parents[2] / "models"
BUDGETS = (8, 24, 40, 72)
END_OF_TEXT, END_OF_TURN = 0, 2  # <|endoftext|> and <|im_end|>, with which the shipped models end


def names() -> list[str]:
    return sorted(folder.name for folder in MODELS.iterdir() if (folder / "config.json").exists())


def smallest() -> str:
    return min(names(), key=lambda name: (MODELS / name / "model.safetensors").stat().st_size)


@cache
def architecture(name: str) -> Architecture:
    return read_architecture(MODELS / name / "config.json")


def decoding(
    temperature: float = 1.0, token_budgets: tuple[int, ...] = BUDGETS, top_p: float = 1.0
) -> Decoding:
    return Decoding(
        seed=0,
        sampling=Sampling(temperature, top_p),
        think_open="<think>\n",
        think_close="</think>",
        forced_closing="</think>\nThe answer is",
        answer_tokens=8,
        token_budgets=token_budgets,
    )


FAMILY = Family("tiny", Sampling(1.0))


def rendered(prompt: str) -> str:
    """The prompt as a shipped model reads it; all of them have the same chat template."""
    return read_chat(MODELS / "tiny-60k", "model").prompt(prompt, FAMILY)


def requests(
    questions: Iterable[Question], way: Decoding, samples: int = 1
) -> dict[tuple[str, int], TraceRequest]:
    """One request for each (question id, sample index)."""
    return {
        (q.question_id, index): TraceRequest(
            rendered(q.prompt), sample_key(way.seed, q.question_id, index), way
        )
        for q in questions
        for index in range(samples)
    }


def run(engine: Engine, wanted: dict[Any, TraceRequest]) -> dict[Any, Trace]:
    """Step until every request has its trace."""
    traces = queued(engine, wanted)
    while len(traces) < len(wanted):
        engine.step()
    return traces


def queued(engine: Engine, wanted: dict[Any, TraceRequest]) -> dict[Any, Trace]:
    """Hand over every request. The traces appear in the dict as the engine is stepped."""
    traces: dict[Any, Trace] = {}
    for name, request in wanted.items():
        engine.add(request, lambda trace, name=name: traces.__setitem__(name, trace))
    return traces


def untimed(trace: Trace) -> tuple:
    """A trace without its timing."""
    return (trace.prompt_tokens, trace.token_ids, trace.finish, trace.answers)


def copy_naming(
    folder: Path, name: str, tokenizer: str, generation: int | list[int] | None, config: Any
) -> Path:
    """A copy of a shipped model whose files name these end tokens (generation None: it has no such file)."""
    shutil.copytree(MODELS / name, folder, dirs_exist_ok=True)
    edit_json(folder / "tokenizer_config.json", eos_token=tokenizer)
    edit_json(folder / "config.json", eos_token_id=config)
    if generation is None:
        (folder / "generation_config.json").unlink()
    else:
        edit_json(folder / "generation_config.json", eos_token_id=generation)
    return folder


def copy_ending_either_way(folder: Path, name: str) -> Path:
    """A copy of a shipped model that ends its texts with END_OF_TEXT as likely as with END_OF_TURN.

    Its head is untied from the embedding and has equal rows for the two.
    """
    from safetensors.torch import load_file, save_file

    both = [END_OF_TURN, END_OF_TEXT]
    copy_naming(folder, name, "<|im_end|>", generation=both, config=END_OF_TURN)
    edit_json(folder / "config.json", tie_word_embeddings=False)
    tensors = load_file(folder / "model.safetensors")
    head = tensors["model.embed_tokens.weight"].clone()
    head[END_OF_TEXT] = head[END_OF_TURN]
    save_file({**tensors, "lm_head.weight": head}, folder / "model.safetensors", {"format": "pt"})
    return folder


def edit_json(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def one_end(trace: Trace) -> tuple:
    """A trace without its timing, in which END_OF_TEXT reads as END_OF_TURN."""
    prompt, tokens, *rest = untimed(trace)
    return (prompt, *(END_OF_TURN if t == END_OF_TEXT else t for t in tokens), *rest)
