"""Models that do not think by themselves: the end of the text closes the thinking, or any text, or both.

A slow twin reads the definition for one budget: it spells the whole thinking anew at every token. Both
engines must give its answers, at each of many budgets at once, whatever tokens the model spells a close with.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import tiny_models
from support.scripted_engines import Script, by_torch, by_vllm, described

from actors.engine import BudgetAnswer, Trace
from actors.kv.full import Full
from actors.sample_rows import generated_tokens
from actors.tokenization import Texts
from actors.torch_engine.engine import TorchEngine
from raysweep.memory import kv_bytes
from raysweep.spec import Decoding

END, START = 2, 1  # <|im_end|> and <|im_start|>, special tokens
EIGHT, CLOSING_TOKEN = 16, 4  # 8 and </think>
FIRST_UNUSED = 104  # of 24 tokens that the shipped models never use
CLOSE = "<e>"
# How a model may spell the close: its pieces run over both borders, and over it.
PIECES = ("<e", "e>", "<e>", "<e>7", "b<", "b<e", ">8", "e>\n", "<<", "e>e>", "a")
BUDGETS = (1, 2, 3, 5, 8, 12)

DIRECT = replace(tiny_models.decoding(token_budgets=BUDGETS), answer_tokens=3, end_closes=True)
NOTHING_CLOSES = replace(DIRECT, think_close="", forced_closing="\nThe answer is")
A_TEXT_CLOSES = replace(DIRECT, think_close=CLOSE, forced_closing=f"{CLOSE}\nThe answer is")
WAYS = {
    "one token": DIRECT,
    "one token, as it is": replace(DIRECT, text_is_answer=True),
    "nothing": NOTHING_CLOSES,
    "nothing, as it is": replace(NOTHING_CLOSES, text_is_answer=True),
    "a text": A_TEXT_CLOSES,
    "a text, as it is": replace(A_TEXT_CLOSES, text_is_answer=True),
    "a text, introduced": replace(A_TEXT_CLOSES, forced_closing=f"\nStop.{CLOSE}8"),
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> TorchEngine:
    """The smallest model, whose unused tokens spell the pieces."""
    folder = tmp_path_factory.mktemp("pieces") / "model"
    shutil.copytree(tiny_models.MODELS / tiny_models.smallest(), folder)
    file = folder / "tokenizer.json"
    content = json.loads(file.read_text())
    vocabulary = {token: piece for piece, token in content["model"]["vocab"].items()}
    vocabulary |= {FIRST_UNUSED + index: piece for index, piece in enumerate(PIECES)}
    content["model"]["vocab"] = {piece: token for token, piece in vocabulary.items()}
    file.write_text(json.dumps(content))
    architecture = tiny_models.architecture(tiny_models.smallest())
    return TorchEngine(str(folder), architecture, Full(), max_rows=4)


@dataclass(frozen=True)
class Twin:
    """What a run with one budget is, by the definition."""

    texts: Texts
    way: Decoding
    choose: Script

    def spell(self, tokens: Sequence[int]) -> str:
        return self.texts.tokenizer.decode(list(tokens), skip_special_tokens=False)

    def encode(self, text: str) -> list[int]:
        return self.texts.tokenizer.encode(text, add_special_tokens=False)

    def closed(self, thoughts: list[int]) -> bool:
        single = len(self.encode(self.way.think_close)) == 1
        if single:
            return thoughts[-1:] == self.encode(self.way.think_close)
        return bool(self.way.think_close) and self.way.think_close in self.spell(thoughts)

    def answer(self, budget: int) -> BudgetAnswer:
        thoughts: list[int] = []
        while len(thoughts) < budget:
            thoughts.append(self.choose(len(thoughts), False))
            if self.closed(thoughts):
                return self._natural(budget, thoughts)
            if thoughts[-1] == END:
                return self._ended(budget, thoughts[:-1])
        return self._forced(budget, thoughts)

    def _natural(self, budget: int, thoughts: list[int]) -> BudgetAnswer:
        inside = next(
            n
            for n in reversed(range(len(thoughts)))
            if self.way.think_close in self.spell(thoughts[n:])
        )
        opener = self.way.forced_closing.split(self.way.think_close)[1]
        most = self.way.answer_tokens + len(self.encode(opener))
        rest = self.spell(thoughts).split(self.way.think_close)[1]
        return self._decoded(budget, inside, thoughts, most, rest, forced=False)

    def _ended(self, budget: int, thoughts: list[int]) -> BudgetAnswer:
        if not self.way.text_is_answer:
            return self._forced(budget, thoughts)
        text = self.spell(thoughts).replace("<|im_start|>", "")
        return BudgetAnswer(budget, len(thoughts), False, text, True, 0, 0)

    def _forced(self, budget: int, thoughts: list[int]) -> BudgetAnswer:
        seen = thoughts + self.encode(self.way.forced_closing)
        opener = self.way.forced_closing.removeprefix("\nStop.").removeprefix(self.way.think_close)
        return self._decoded(
            budget, len(thoughts), seen, self.way.answer_tokens, opener, forced=True
        )

    def _decoded(
        self, budget: int, thinking: int, seen: list[int], most: int, said: str, forced: bool
    ) -> BudgetAnswer:
        answer: list[int] = []
        while len(answer) < most and END not in answer:
            answer.append(self.choose(len(seen) + len(answer), True))
        text = said + self.spell([token for token in answer if token not in (START, END)])
        return BudgetAnswer(budget, thinking, forced, text, END in answer, len(answer), 0)


def scripted(thoughts: list[int], answer: list[int]) -> Script:
    """The model thinks and answers so, each over and over."""

    def choice(seen: int, answering: bool) -> int:
        said = answer if answering else thoughts
        return said[seen % len(said)]

    return choice


thoughts = st.lists(
    st.sampled_from([*range(FIRST_UNUSED, FIRST_UNUSED + len(PIECES)), 8, 9, 4, START, END]),
    min_size=1,
    max_size=14,
)
answers = st.lists(st.sampled_from([8, 9, 10, START, END]), min_size=1, max_size=5)


@pytest.mark.parametrize("way", WAYS)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(thoughts, answers)
def test_the_requests_made_of_vllm_give_every_budget_its_answer(
    way: str, engine: TorchEngine, thoughts: list[int], answers: list[int]
):
    choose = scripted(thoughts, answers)
    trace, twin = by_vllm(engine.texts, WAYS[way], choose), Twin(engine.texts, WAYS[way], choose)
    assert [replace(answer, kv_bytes=0) for answer in trace.answers] == list(
        map(twin.answer, BUDGETS)
    )


@pytest.mark.parametrize("way", WAYS)
@settings(
    deadline=None, max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(thoughts, answers)
def test_the_torch_engine_decodes_what_the_requests_made_of_vllm_do(
    way: str, engine: TorchEngine, thoughts: list[int], answers: list[int]
):
    choose = scripted(thoughts, answers)
    with pytest.MonkeyPatch.context() as patch:
        trace = by_torch(engine, WAYS[way], choose, patch)
    other = by_vllm(engine.texts, WAYS[way], choose)
    assert described(trace) == described(other)
    architecture = tiny_models.architecture(tiny_models.smallest())
    cached = [answer.kv_bytes for answer in other.answers]  # these requests count tokens
    assert [answer.kv_bytes for answer in trace.answers] == [
        kv_bytes(architecture, Full(), tokens) for tokens in cached
    ]


Run = Callable[[str, list[int]], Trace]


@pytest.fixture(params=["torch", "vllm"])
def run(
    request: pytest.FixtureRequest, engine: TorchEngine, monkeypatch: pytest.MonkeyPatch
) -> Run:
    """Thoughts under one of the ways. Every answer is a special token and eights without an end."""

    def one(way: str, thoughts: list[int]) -> Trace:
        def choose(seen: int, answering: bool) -> int:
            return (START, EIGHT)[seen % 2] if answering else thoughts[seen]

        if request.param == "vllm":
            return by_vllm(engine.texts, WAYS[way], choose)
        return by_torch(engine, WAYS[way], choose, monkeypatch)

    return one


def pieces(*said: str) -> list[int]:
    return [FIRST_UNUSED + PIECES.index(piece) for piece in said]


def test_an_answer_is_opened_after_the_end_of_the_text_and_serves_all_larger_budgets(run: Run):
    trace = run("nothing", [*pieces("a", "a", "a", "a"), END])
    assert (trace.finish, trace.token_ids) == ("end", (*pieces("a", "a", "a", "a"), END))
    assert [(a.thinking_tokens, a.forced, a.ended) for a in trace.answers] == [
        *((1, True, False), (2, True, False), (3, True, False)),
        *((4, True, False), (4, True, False), (4, True, False)),
    ]
    assert all(answer.text.startswith("\nThe answer is8") for answer in trace.answers)
    assert generated_tokens(trace) == 5 + 4 * 3  # the answer after the end is decoded once


def test_a_text_that_is_the_answer_is_graded_as_it_is_and_costs_nothing_more(run: Run):
    trace = run("nothing, as it is", [*pieces("a", "<<"), START, END])
    assert (trace.finish, trace.token_ids[-2:]) == ("end", (START, END))
    assert [(a.text, a.forced, a.answer_tokens) for a in trace.answers[3:]] == 3 * [
        ("a<<", False, 0)
    ]
    assert all(answer.forced for answer in trace.answers[:3])
    assert generated_tokens(trace) == 4 + 3 * 3


def test_the_end_of_the_text_on_a_budget_makes_no_difference_to_the_answer_there(run: Run):
    ended, goes_on = pieces("a", "a", "a"), pieces(*13 * ["a"])
    assert run("nothing, as it is", [*ended, END]).answers[2] == run("nothing", goes_on).answers[2]


def test_thinking_excludes_a_closing_text_and_the_answer_begins_within_its_last_token(run: Run):
    trace = run("a text", pieces("a", "b<", "e>\n"))
    assert trace.finish == "stop"
    assert [(a.thinking_tokens, a.forced) for a in trace.answers] == [
        *((1, True), (2, True)),  # the budget 2 is full before the text is complete
        *(4 * [(1, False)]),
    ]
    assert trace.answers[-1].text.startswith("\n8")
    assert set(trace.token_ids[3:]) == {START, EIGHT}


def test_special_tokens_are_stored_and_cut_from_what_is_graded(run: Run):
    trace = run("one token", [EIGHT, CLOSING_TOKEN])
    assert START in trace.token_ids
    assert {answer.text for answer in trace.answers[1:]} == {"88"}
