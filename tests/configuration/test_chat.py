"""Chat templates without transformers give the texts and tokens of transformers and of the engine."""

import json
import shutil
from pathlib import Path

import pytest
from support.tiny_models import MODELS, architecture, decoding, names, smallest
from transformers import AutoTokenizer

from actors.engine import TraceRequest
from actors.kv.full import Full
from actors.torch_engine.engine import TorchEngine
from raysweep.benchmarks import chain, facts
from raysweep.configuration.chat import read_chat
from raysweep.errors import ConfigError

PROMPTS = [q.prompt for q in [*chain.questions(12, seed=5), *facts.questions(4, seed=5)]]
PROMPTS += ["", " <think>\n", "a {{ b }} {% c %}\n\n", "<|im_end|>", "tabs\tand Ünïcode ∑\r\n"]

TEMPLATES = {
    "blocks": "  {% for m in messages %}\n  {{ m.content }}\n  {% endfor %}\n!\n",
    "names": "{{ bos_token }}{{ messages[0]['role'] }}{{ eos_token }}{{ unk_token is defined }}",
    "json": "{{ messages | tojson }}{{ messages | tojson(indent=2) }}{{ 'é<' | tojson }}",
    "controls": "{% for i in range(9) %}{% if i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}",
    "guard": "{% if tools %}{{ raise_exception('no tools') }}{% endif %}{{ messages[0].content }}",
    "generation": "{% generation %}\n{{ messages[0].content }}{% endgeneration %}\n.",
    "macro": "{% macro say(m) %}[{{ m.content }}]{% endmacro %}{{ say(messages[-1]) }}",
    "opened": "{{ messages[0].content.strip() }}{% if add_generation_prompt %}<think>\n{% endif %}",
    "dated": "{{ strftime_now('%Y') }}{{ messages[0].content }}",
}


def by_transformers(folder: Path, prompt: str) -> str:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    messages = [{"role": "user", "content": prompt}]
    return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)


def copy_with(folder: Path, template: str | None, **config: object) -> Path:
    """The smallest shipped model's tokenizer with another chat template and configuration."""
    shipped = MODELS / smallest()
    folder.mkdir()
    shutil.copy(shipped / "tokenizer.json", folder)
    values = json.loads((shipped / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**values, **config}))
    if template is not None:
        (folder / "chat_template.jinja").write_text(template)
    return folder


@pytest.mark.parametrize("name", names())
def test_a_shipped_models_prompts_are_what_transformers_renders_and_the_engine_feeds(name: str):
    engine = TorchEngine(str(MODELS / name), architecture(name), Full(), max_rows=1)
    chat, way = read_chat(MODELS / name, "model"), decoding()
    for prompt in PROMPTS:
        text = chat.prompt(prompt, way.think_open)
        assert text == by_transformers(MODELS / name, prompt)
        assert tuple(chat.encode(text)) == engine.encode_prompt(TraceRequest(prompt, 0, way))


@pytest.mark.parametrize("kind", TEMPLATES)
def test_a_template_means_what_it_means_to_transformers(kind: str, tmp_path: Path):
    eos = {"__type": "AddedToken", "content": "<|im_end|>"}
    folder = copy_with(tmp_path / "model", TEMPLATES[kind], bos_token="<|im_start|>", eos_token=eos)
    chat = read_chat(folder, "model")
    for prompt in PROMPTS:
        assert chat.prompt(prompt, "") == by_transformers(folder, prompt)


def test_thinking_is_opened_where_the_template_does_not_do_it(tmp_path: Path):
    closed = read_chat(copy_with(tmp_path / "closed", "{{ messages[0].content }}\n"), "model")
    opened = read_chat(copy_with(tmp_path / "opened", TEMPLATES["opened"]), "model")
    assert closed.prompt("x", "<think>\n") == "x<think>\n"
    assert opened.prompt("x", "<think>\n") == "x<think>\n"


@pytest.mark.parametrize(
    "template",
    [
        "{{ messages[0].content }}.",
        [
            {"name": "tool_use", "template": "tools"},
            {"name": "default", "template": "{{ messages[0].content }}."},
        ],
    ],
)
def test_a_template_may_stand_in_tokenizer_config(template: object, tmp_path: Path):
    folder = copy_with(tmp_path / "model", None, chat_template=template)
    assert read_chat(folder, "model").prompt("x", "") == "x." == by_transformers(folder, "x")


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{ raise_exception('only systems') }}", r"its chat template fails \(only systems\)"),
        ("{{ messages[0].content.x.y }}", "its chat template fails"),
        ("{{ ''.__class__.__mro__ }}", "its chat template fails .*unsafe"),
        ("{% for %}", "or the chat template in .* cannot be read"),
        (None, "has no chat template; add its chat_template.jinja"),
    ],
)
def test_a_template_that_fails_is_refused(template: str | None, words: str, tmp_path: Path):
    folder = copy_with(tmp_path / "model", template)
    with pytest.raises(ConfigError, match=f"sweep.models\\[0\\]: .*{words}"):
        read_chat(folder, "sweep.models[0]").prompt("x", "")
