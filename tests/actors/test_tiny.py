"""The embedded family: tasks that can be checked, a tokenizer that loses nothing, models that load."""

import json
import random
import re
from typing import Any

import pytest
import torch
from support.tiny_models import MODELS, names
from transformers import AutoModelForCausalLM, AutoTokenizer

from actors.tiny.examples import ExampleMaker
from actors.tiny.tokenizer import VOCABULARY_SIZE, build_tokenizer
from actors.tiny.train import SIZES, batches, build_model
from raysweep.benchmarks import chain, facts


def solve(prompt: str) -> str:
    """The answer to a chain prompt, by substituting until the asked letter is known."""
    *definitions, asked = prompt.removesuffix("?").split(";")
    known: dict[str, int] = {}
    while asked not in known:
        for definition in definitions:
            expression, target = definition.split("=")
            if len(expression) == 1:  # the first definition is written letter=value
                known[expression] = int(target)
            elif expression[0] in known:
                known[target] = eval(f"{known[expression[0]]}{expression[1:]}") % 100
    return f"{known[asked]:02d}"


def test_chain_questions_have_the_answer_that_brute_force_finds():
    for question in chain.questions(60, seed=3):
        assert solve(question.prompt) == question.gold


def test_chain_questions_cover_every_level_alike_and_are_the_same_for_the_same_seed():
    questions = list(chain.questions(48, seed=0))
    levels = [question.prompt.count(";") - 1 for question in questions]
    assert [levels.count(level) for level in chain.LEVELS] == [4] * 12
    assert questions == list(chain.questions(48, seed=0))
    assert questions != list(chain.questions(48, seed=1))


def test_fact_questions_offer_the_fact_once_among_four_choices():
    values = dict(facts.table())
    assert len(values) == facts.FACTS
    for question in facts.questions(40, seed=0):
        name, choices = question.prompt.split("?")
        assert question.gold == values[name]
        offered = choices.split(";")
        assert offered.count(question.gold) == 1 and len(set(offered)) == 4


def test_a_worked_trace_computes_every_step_and_ends_in_the_answer():
    problem = chain.make_problem(random.Random(0), 5)
    trace = problem.worked
    for source, operator, operand, target in re.findall(r":(\d\d)(.)(\d)=(\d\d)", trace):
        assert chain.apply(operator, int(source), int(operand)) == int(target)
    assert trace.endswith(f"={problem.gold};")


def test_the_tokenizer_gives_back_every_text_of_the_tasks():
    tokenizer = build_tokenizer()
    assert len(tokenizer) == VOCABULARY_SIZE
    problem = chain.make_problem(random.Random(0), 12)
    fact = next(facts.questions(1, 0)).prompt
    for text in (problem.prompt, problem.worked, fact, "<think>\n</think>\nThe answer is 07"):
        assert tokenizer.decode(tokenizer.encode(text)) == text
    assert len(tokenizer.encode("</think>\nThe answer is 07<|im_end|>")) == 7


def test_examples_train_traces_and_answers_and_nothing_of_the_prompt():
    tokenizer: Any = build_tokenizer()
    maker = ExampleMaker(tokenizer, random.Random(1))
    for _ in range(40):
        example = maker.chain(6)
        start = example.trained.index(True)
        given = tokenizer.decode(example.tokens[:start])
        assert given.startswith("<|im_start|>user\n") and "<think>\n" in given
        assert all(example.trained[start:])
        assert tokenizer.decode(example.tokens[start:]).endswith("<|im_end|>")
    sheet = maker.fact_sheet(3)
    values = dict(facts.table())
    text = tokenizer.decode(sheet.tokens)
    assert all(values[entry[:3]] == entry[4] for entry in text.rstrip(";").split(";"))
    assert [i for i, trained in enumerate(sheet.trained) if trained] == [4, 10, 16]


def test_training_lowers_the_loss_on_its_own_data():
    torch.manual_seed(0)
    rng = random.Random(0)
    model = build_model(SIZES["tiny-60k"])
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _, inputs, targets in batches(ExampleMaker(build_tokenizer(), rng), rng, 50_000):
        logits = model(input_ids=inputs).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])


@pytest.mark.parametrize("name", names())
def test_a_shipped_model_is_safetensors_in_16_bit_with_the_familys_tokenizer(name):
    folder = MODELS / name
    assert not list(folder.glob("*.bin"))
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.dtype == torch.bfloat16
    assert model.config.model_type == "qwen3"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.get_vocab() == build_tokenizer().get_vocab()
    assert json.loads((folder / "training.json").read_text())["parameters"] == sum(
        parameter.numel() for parameter in model.parameters()
    )


@pytest.mark.parametrize("name", names())
def test_a_shipped_model_was_trained_as_the_training_command_trains_it_now(name):
    record = json.loads((MODELS / name / "training.json").read_text())
    assert (record["tokens"], record["seed"]) == (SIZES[name].tokens, SIZES[name].seed)


def test_shipped_models_fit_in_30_megabytes_and_come_in_four_sizes_or_more():
    files = [file for file in MODELS.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= 30e6
    assert len(names()) >= 4
