"""Whether samples may be added to a run's folder: only with the prompts that its samples have.

Parts name the prompt of each question, as the model read it. Parts of schema version 1 do not, so nothing is
added beside them.
"""

from collections.abc import Iterable, Iterator

from raysweep.configuration.prompts import Prompts
from raysweep.errors import ConfigError
from raysweep.run_config import RunConfig
from raysweep.storage.part import Part, prompt_name
from raysweep.storage.schemas import SCHEMA_VERSION
from raysweep.system.safe_text import without_secrets
from raysweep.upkeep.regrade import wanted_parts


def check_growing(config: RunConfig, parts: Iterable[Part], prompts: Prompts) -> None:
    """Raise ConfigError unless the samples of `parts` were made with these prompts."""
    parts, folder = tuple(parts), f"{without_secrets(config.out)}/{config.run}"
    if older := next((part for part in parts if part.version < SCHEMA_VERSION), None):
        raise ConfigError(
            f"run: samples are missing, but none can be added to {folder}, because those in it have "
            f"schema version {older.version} and do not name their prompts; choose another run=NAME, or "
            "use what it has with stages=[reduce,report]"
        )
    check_one_prompt(parts)
    for wanted in wanted_parts(config, parts):
        model, benchmark = wanted.engine.model.name, wanted.benchmark.name
        texts = prompts.get((model, benchmark), {})
        for question_id in (q.question_id for q in wanted.questions if q.question_id in texts):
            if wanted.part.prompts.get(question_id) != prompt_name(texts[question_id]):
                raise ConfigError(
                    f"run: the chat template of {model} now renders another prompt for {question_id} of "
                    f"{benchmark} than the one with which the samples in {folder} were made; choose "
                    "another run=NAME, or restore the model's tokenizer files (stages=[show] prints the "
                    "prompt)"
                )


def check_one_prompt(parts: Iterable[Part]) -> None:
    """Raise ConfigError if a question was asked with two prompts in one stream of samples."""
    for part, question_id, earlier in mixed_prompts(parts):
        raise ConfigError(
            f"run: {part.name} and {earlier} have samples of {question_id} with different prompts; remove "
            "one of the two files, and its samples are made again"
        )


def mixed_prompts(parts: Iterable[Part]) -> Iterator[tuple[Part, str, str]]:
    """(part, question id, name of an earlier part that asked the question with another prompt).

    Each part comes once, with its first such question.
    """
    first: dict[tuple[str, str], Part] = {}
    for part in parts:
        for question_id, prompt in part.prompts.items():
            earlier = first.setdefault((part.stream_id, question_id), part)
            if earlier.prompts[question_id] != prompt:
                yield part, question_id, earlier.name
                break
