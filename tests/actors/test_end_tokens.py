"""A text ends at every end token that the checkpoint's files name, wherever they name it.

The shipped models end with <|im_end|>, their one end token. Copies of them name others, or end with others.
"""

from pathlib import Path
from typing import Any

import pytest
from support.tiny_models import (
    END_OF_TEXT,
    END_OF_TURN,
    MODELS,
    architecture,
    copy_ending_either_way,
    copy_naming,
    decoding,
    edit_json,
    one_end,
    requests,
    run,
    smallest,
    untimed,
)
from support.torch_engines import QUESTIONS

from actors.engine import Trace
from actors.kv.full import Full
from actors.tokenization import Texts
from actors.torch_engine.engine import TorchEngine

BOTH = [END_OF_TURN, END_OF_TEXT]
OF_A_CHAT, OF_A_BASE_MODEL = "<|im_end|>", "<|endoftext|>"  # the tokenizer's end of text

# (tokenizer, generation_config.json, config.json): as fine-tunes of a base model have them
NAMES_BOTH = {
    "generation_config": (OF_A_CHAT, BOTH, END_OF_TURN),
    "base_tokenizer": (OF_A_BASE_MODEL, BOTH, END_OF_TEXT),
    "config_list": (OF_A_BASE_MODEL, None, BOTH),
    "one_in_each": (OF_A_BASE_MODEL, END_OF_TEXT, END_OF_TURN),
    "generation_int": (OF_A_BASE_MODEL, END_OF_TURN, None),
    "tokenizer": (OF_A_CHAT, END_OF_TEXT, END_OF_TEXT),
}


def traces_of(folder: Path, temperature: float) -> dict[Any, Trace]:
    engine = TorchEngine(str(folder), architecture(smallest()), Full(), max_rows=32)
    return run(engine, requests(QUESTIONS, decoding(temperature), samples=2))


@pytest.mark.parametrize("names", NAMES_BOTH)
def test_a_second_end_token_that_the_model_never_uses_changes_nothing(names: str, tmp_path: Path):
    folder = copy_naming(tmp_path, smallest(), *NAMES_BOTH[names])
    assert Texts(str(folder), 2048).end == set(BOTH)
    expected, found = traces_of(MODELS / smallest(), 1.0), traces_of(folder, 1.0)
    assert all(END_OF_TEXT not in trace.token_ids for trace in expected.values())
    assert any(answer.ended for trace in expected.values() for answer in trace.answers)
    for key, trace in expected.items():
        assert untimed(found[key]) == untimed(trace), key


def test_a_model_that_ends_with_its_second_end_token_answers_as_with_its_first(tmp_path: Path):
    """Greedy, the lower of two equally likely tokens is taken: END_OF_TEXT."""
    folder = copy_ending_either_way(tmp_path, smallest())
    expected, found = traces_of(MODELS / smallest(), 0.0), traces_of(folder, 0.0)
    assert any(trace.token_ids[-1] == END_OF_TEXT for trace in found.values())
    for key, trace in expected.items():
        assert one_end(found[key]) == one_end(trace), key


def test_a_sampled_text_ends_at_whichever_end_token_comes_first(tmp_path: Path):
    traces = traces_of(copy_ending_either_way(tmp_path, smallest()), 1.0)
    last = [trace.token_ids[-1] for trace in traces.values() if trace.answers[-1].ended]
    assert {END_OF_TEXT, END_OF_TURN} <= set(last)
    for trace in traces.values():
        assert not set(BOTH) & set(trace.token_ids[:-1])
        assert all("<|" not in answer.text for answer in trace.answers)


def test_a_checkpoint_that_names_no_end_of_a_text_is_refused(tmp_path: Path):
    folder = copy_naming(tmp_path, smallest(), "<|im_end|>", None, None)
    edit_json(folder / "tokenizer_config.json", eos_token=None)
    with pytest.raises(ValueError, match=r"add eos_token_id to generation_config\.json"):
        Texts(str(folder), 2048)
