"""Chat templates without transformers give the texts and tokens of transformers and of the engine."""

import json
import shutil
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from jinja2 import Undefined
from support.tiny_models import MODELS, architecture, decoding, names, smallest
from transformers import AutoTokenizer

from actors.engine import TraceRequest
from actors.kv.full import Full
from actors.torch_engine.engine import TorchEngine
from raysweep.benchmarks import chain, facts
from raysweep.configuration.chat import prompts, read_chat
from raysweep.configuration.chat_template import rendered
from raysweep.errors import ConfigError
from raysweep.spec import Family, Sampling

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
    "system": "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}",
    "thinking": "{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}.",
    "tests for a date": "{{ strftime_now('%d %B %Y') if strftime_now is defined else '26 Jul 2024' }}",
}
DATED = "Today is {{ strftime_now('%d %b %Y, %H:%M') }}. {{ messages[0].content }}"

PLAIN = Family("plain", Sampling(1.0), think_open="<think>\n")
FAMILIES = {
    "plain": replace(PLAIN, think_open=""),
    "system": replace(PLAIN, think_open="", system="Answer in one word.\n"),
    "empty system": replace(PLAIN, think_open="", system=""),
    "variables": replace(
        PLAIN, think_open="", template={"enable_thinking": False, "bos_token": "!"}
    ),
    "date": replace(PLAIN, think_open="", prompt_date="2026-02-03"),
}


def by_transformers(folder: Path, prompt: str, family: Family = FAMILIES["plain"]) -> str:
    """The prompt by transformers, whose clock is set or taken away."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    system = [] if family.system is None else [{"role": "system", "content": family.system}]
    date = family.prompt_date
    clock = Undefined() if date is None else datetime.fromisoformat(date).strftime
    return tokenizer.apply_chat_template(
        [*system, {"role": "user", "content": prompt}],
        tokenize=False,
        add_generation_prompt=True,
        strftime_now=clock,
        **family.template,
    )


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
        text = chat.prompt(prompt, PLAIN)
        assert text == by_transformers(MODELS / name, prompt)
        assert tuple(chat.encode(text)) == engine.encode_prompt(TraceRequest(text, 0, way))


@pytest.mark.parametrize("kind", TEMPLATES)
@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_a_template_means_what_it_means_to_transformers(kind: str, family: Family, tmp_path: Path):
    eos = {"__type": "AddedToken", "content": "<|im_end|>"}
    folder = copy_with(tmp_path / "model", TEMPLATES[kind], bos_token="<|im_start|>", eos_token=eos)
    chat = read_chat(folder, "model")
    for prompt in PROMPTS:
        assert chat.prompt(prompt, family) == by_transformers(folder, prompt, family)


def test_thinking_is_opened_where_the_template_does_not_do_it(tmp_path: Path):
    closed = read_chat(copy_with(tmp_path / "closed", "{{ messages[0].content }}\n"), "model")
    opened = read_chat(copy_with(tmp_path / "opened", TEMPLATES["opened"]), "model")
    assert closed.prompt("x", PLAIN) == "x<think>\n"
    assert opened.prompt("x", PLAIN) == "x<think>\n"


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
    assert (
        read_chat(folder, "model").prompt("x", FAMILIES["plain"])
        == "x."
        == by_transformers(folder, "x")
    )


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{ raise_exception('only systems') }}", r"its chat template fails \(only systems\)"),
        ("{{ messages[0].content.x.y }}", "its chat template fails"),
        ("{{ ''.__class__.__mro__ }}", "its chat template fails .*unsafe"),
        ("{% for %}", "its chat template fails .*Expected an expression"),
        (None, "has no chat template; add its chat_template.jinja"),
        (
            DATED,
            "asks for the day, but prompt_date of the family 'plain' is null; write prompt_date: Y",
        ),
        ("{{ [1, 2] | random }}", "its chat template fails .*random"),
        ("{{ lipsum() }}", "its chat template fails .*lipsum"),
    ],
)
def test_a_template_that_fails_is_refused(template: str | None, words: str, tmp_path: Path):
    folder = copy_with(tmp_path / "model", template)
    with pytest.raises(ConfigError, match=f"sweep.models\\[0\\]: .*{words}"):
        read_chat(folder, "sweep.models[0]").prompt("x", PLAIN)


def test_a_prompt_has_the_familys_date_and_no_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    chat = read_chat(copy_with(tmp_path / "model", DATED), "model")
    dated = replace(FAMILIES["date"], prompt_date="2026-02-03")
    assert chat.prompt("x", dated) == "Today is 03 Feb 2026, 00:00. x"
    assert chat.prompt("x", dated) == by_transformers(tmp_path / "model", "x", dated)

    class Tomorrow(datetime):
        @classmethod
        def now(cls, tz=None):
            raise AssertionError("a prompt asks for no time")

    monkeypatch.setattr("raysweep.configuration.chat_template.datetime", Tomorrow)
    asked = [[{"role": "user", "content": "x"}]]
    assert rendered(DATED, asked, {}, "2026-02-03") == {"texts": ["Today is 03 Feb 2026, 00:00. x"]}


@pytest.mark.parametrize(
    ("template", "words"),
    [
        (
            "{% for i in range(99999) %}{% for i in range(99999) %}{% endfor %}{% endfor %}",
            "it takes more than 1 s or 1 GiB",
        ),
        ("{{ 10 ** (10 ** 9) }}", "it takes more than 1 s or 1 GiB"),
        ("{{ '%3000000000d' | format(1) }}", "MemoryError"),
        (
            "{% for i in range(99999) %}{{ 'x' * 1000 }}{% endfor %}",
            "a prompt of more than 10,000,000 characters",
        ),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "maximum recursion depth"),
    ],
)
def test_a_template_without_end_is_refused_in_time_and_the_next_one_is_rendered(
    template: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("raysweep.configuration.chat.RENDER_S", 1)
    folder = copy_with(tmp_path / "model", template)
    with pytest.raises(ConfigError, match=rf"its chat template fails \(.*{words}.*\); correct"):
        read_chat(folder, "sweep.models[0]").prompt("x", PLAIN)
    assert read_chat(MODELS / smallest(), "model").prompt("x", PLAIN).endswith("<think>\n")


def test_special_tokens_of_an_older_folder_stand_in_a_file_of_their_own(tmp_path: Path):
    folder = copy_with(tmp_path / "model", TEMPLATES["names"])
    config = json.loads((folder / "tokenizer_config.json").read_text())
    older = {key: value for key, value in config.items() if key != "added_tokens_decoder"}
    (folder / "tokenizer_config.json").write_text(json.dumps(older))
    tokens = {"bos_token": "<think>", "unk_token": {"content": "</think>", "lstrip": False}}
    (folder / "special_tokens_map.json").write_text(json.dumps(tokens))
    rendered = read_chat(folder, "model").prompt("x", FAMILIES["plain"])
    assert rendered == by_transformers(folder, "x")
    assert rendered.startswith("<think>user") and rendered.endswith("True")


def test_the_prompts_of_a_benchmark_are_rendered_once_for_the_models_of_a_family(tmp_path: Path):
    questions = tuple(chain.questions(3, seed=1))
    small, large = (read_chat(copy_with(tmp_path / n, "{{ messages }}"), n) for n in ("a", "b"))
    assert prompts(small, PLAIN, questions) is prompts(large, replace(PLAIN), questions)
    assert prompts(small, replace(PLAIN, system="Hm"), questions)[0].count("Hm") == 1
