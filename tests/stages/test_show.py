"""stages=[show] prints the exact text and tokens that the engine feeds, and writes no file."""

import subprocess
import sys
from pathlib import Path

import pytest
from support.configurations import changed, read, valid_configuration, write_models
from support.tiny_models import MODELS, architecture, rendered

from actors.engine import TraceRequest
from actors.kv.full import Full
from actors.torch_engine.engine import TorchEngine
from raysweep.configuration.config import conf_folder, read_config
from raysweep.errors import ConfigError
from raysweep.run_config import RunConfig
from raysweep.stages import run_stages
from raysweep.stages.show import shown_question

ROOT = Path(__file__).parents[2]


def configuration(**show: object) -> RunConfig:
    """The valid configuration on shipped models."""
    composed = changed("sweep.models", ["tiny-60k", "tiny-140k"])
    composed["show"] |= show
    return read_config({**composed, "stages": ["show"]}, [conf_folder()])


def test_the_tokens_shown_are_those_that_the_engine_feeds():
    config = configuration(model="tiny-140k", benchmark="facts", question="facts-002")
    model, benchmark = config.sweep.models[1], config.sweep.benchmarks[1]
    engine = TorchEngine(str(MODELS / model.name), architecture(model.name), Full(), max_rows=1)
    question, way = benchmark.questions[2], config.decoding(model, benchmark)
    prompt = engine.encode_prompt(TraceRequest(rendered(question.prompt), 0, way))
    closing = engine.texts.vocabulary(way).forced_closing
    lines = list(shown_question(config))
    pieces = [
        engine.texts.tokenizer.convert_ids_to_tokens(list(tokens)) for tokens in (prompt, closing)
    ]
    shown = [
        " ".join(f"{token}:{piece!r}" for token, piece in zip(tokens, these, strict=True))
        for tokens, these in zip((prompt, closing), pieces, strict=True)
    ]
    assert [line for line in lines if line.startswith(("1:", "4:"))] == shown
    assert engine.texts.tokenizer.decode(list(prompt)) in lines
    assert engine.texts.tokenizer.decode(list(closing)) in lines
    assert lines[0] == "question  facts-002 of facts, as tiny-140k is asked it"
    assert f"prompt    {len(prompt)} tokens" in lines
    forks = [line for line in lines if line.startswith("fork")]
    most = len(prompt) + 16 + len(closing) + way.answer_tokens
    assert len(forks) == len(way.token_budgets)
    assert forks[0] == (
        f"fork      at 16: {len(prompt)} tokens of prompt, 16 of thinking, {len(closing)} of closing "
        f"and up to {way.answer_tokens} of answer, {most} at most in all"
    )


@pytest.mark.parametrize(
    ("text_is_answer", "answer"), [(False, "is followed by the closing"), (True, "is the answer")]
)
def test_what_closes_the_thinking_is_shown_where_it_is_not_one_token(
    text_is_answer: bool, answer: str
):
    composed = changed("sweep.forcing", "direct")
    family = {"name": "tiny", "think_close": "Answer:"}
    chain = {"name": "chain", "text_is_answer": text_is_answer}
    composed["sweep"] |= {"models": [{"name": "tiny-60k", "family": family}], "benchmarks": [chain]}
    lines = list(shown_question(read_config({**composed, "stages": ["show"]}, [conf_folder()])))
    assert "close     the text 'Answer:', of 7 tokens here" in lines
    assert (
        f"end       a text that ends by itself {answer}, which serves all larger budgets" in lines
    )


def test_the_first_of_each_is_shown_where_nothing_is_said():
    assert next(shown_question(configuration())) == (
        "question  chain-000 of chain, as tiny-60k is asked it"
    )


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        (
            "model",
            "tiny",
            "show.model: 'tiny' is not a known model of the sweep; did you mean 'tiny-",
        ),
        (
            "benchmark",
            "aime25",
            "show.benchmark: 'aime25' is not a known benchmark of the sweep; kno",
        ),
        (
            "question",
            7,
            "show.question: 7 is not a known question of the sweep; known: chain-000, ",
        ),
        ("quesiton", "x", "show: 'quesiton' is not a known key; did you mean 'question'?"),
    ],
)
def test_what_the_sweep_has_not_cannot_be_shown(key: str, value: object, words: str):
    with pytest.raises(ConfigError) as raised:
        configuration(**{key: value})
    assert words in str(raised.value)


def test_a_long_list_of_names_is_cut_short(tmp_path: Path):
    mine = write_models(tmp_path, "small", "large")
    composed = valid_configuration()
    composed["sweep"]["benchmarks"] = [{"name": "chain", "count": 48}]
    composed["show"]["question"] = "x"
    with pytest.raises(ConfigError, match=r"chain-039, and 8 more$"):
        read(composed, mine)


def test_showing_writes_nothing_and_needs_no_folder_of_the_same_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    config = configuration()
    out = tmp_path / "runs"
    config = RunConfig(**{**vars(config), "out": str(out)})
    assert run_stages(config, {"identity": {}}) == 0
    assert "<|im_start|>user\n" in capsys.readouterr().out
    assert not out.exists()


def test_a_question_is_shown_without_a_tensor_library(tmp_path: Path):
    program = """
import sys
from raysweep.__main__ import main
sys.argv = ["raysweep", "stages=[show]", "sweep.benchmarks=[facts]", "show.question=facts-001"]
assert main() == 0
print(*sys.modules)
"""
    command = [sys.executable, "-c", program]
    answer = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    *_, modules = answer.stdout.splitlines()
    assert not {"torch", "transformers", "ray"} & set(modules.split())
