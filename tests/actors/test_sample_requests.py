"""The requests that a sample takes, on a language model of a few lines: equal to a run for each budget."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from actors.engine import BudgetAnswer, Trace, TraceRequest
from actors.sample_requests import NATURAL, THINK, Request, SampleRequests
from actors.think_close import ThinkClose
from actors.tokenization import Vocabulary
from actors.trace_assembly import Sample
from raysweep.spec import Decoding, Sampling

CLOSE, END = 7, 8
OPENER = (CLOSE, 20, 21)
PROMPT = (30, 31, 32)
VOCABULARY = Vocabulary(
    ThinkClose(CLOSE, "", str),
    frozenset({END}),
    OPENER,
    lambda tokens: " ".join(map(str, tokens)),
)

Model = Callable[[tuple[int, ...]], int]


def a_model(seed: int) -> Model:
    """Greedy decoding of a language of ten tokens, a function of all tokens before."""
    return lambda tokens: hash((seed, tokens)) % 10


def a_sample(
    budgets: tuple[int, ...], answer_tokens: int, done: Callable[[Trace], None]
) -> SampleRequests:
    way = Decoding(0, Sampling(0.0), "", "", "", answer_tokens, budgets)
    sample = Sample(TraceRequest("?", 5, way), VOCABULARY, len(PROMPT), done, "seeded")
    return SampleRequests(sample, PROMPT, lambda n: 10 * n)


def decode(model: Model, request: Request) -> list[int]:
    tokens: list[int] = []
    while len(tokens) < request.max_tokens and not (tokens and tokens[-1] in request.stop):
        tokens.append(model(request.prompt + tuple(tokens)))
    return tokens


def run(model: Model, budgets: tuple[int, ...], answer_tokens: int) -> tuple[Trace, list[Request]]:
    """The trace and all requests that were made for it, by a cache that holds all but a prompt's last."""
    done: list[Trace] = []
    sample = a_sample(budgets, answer_tokens, done.append)
    requests = [sample.first()]
    for request in requests:
        requests += sample.take(request, decode(model, request), cached=len(request.prompt) - 1)
    (trace,) = done
    return trace, requests


def alone(model: Model, budget: int, answer_tokens: int) -> BudgetAnswer:
    """A run with one budget, decoded token by token as the definition says."""
    thoughts: tuple[int, ...] = ()
    while len(thoughts) < budget:
        token = model(PROMPT + thoughts)
        if token == END:
            return BudgetAnswer(
                budget, len(thoughts), False, "", True, 0, 10 * (len(PROMPT) + len(thoughts))
            )
        if token == CLOSE:
            break
        thoughts += (token,)
    forced = len(thoughts) == budget
    seen = PROMPT + thoughts + (OPENER if forced else (CLOSE,))
    most = answer_tokens + (0 if forced else len(OPENER) - 1)
    answer: list[int] = []
    while len(answer) < most and END not in answer:
        answer.append(model(seen + tuple(answer)))
    ended = END in answer
    said = [*(OPENER[1:] if forced else ()), *(answer[:-1] if ended else answer)]
    live = 10 * (len(PROMPT) + len(thoughts))
    text = VOCABULARY.decode(said)
    return BudgetAnswer(budget, len(thoughts), forced, text, ended, len(answer), live)


budgets_of = st.sets(st.integers(1, 14), min_size=1).map(lambda found: tuple(sorted(found)))


@given(st.integers(0, 10**6), budgets_of, st.integers(1, 5))
def test_every_budgets_answer_is_that_of_a_run_with_this_budget_alone(seed, budgets, answer_tokens):
    model = a_model(seed)
    trace, _ = run(model, budgets, answer_tokens)
    for budget, answer in zip(budgets, trace.answers, strict=True):
        assert answer == alone(model, budget, answer_tokens)


@given(st.integers(0, 10**6), budgets_of)
def test_the_longest_prompt_is_asked_for_first_and_no_two_requests_share_a_seed(seed, budgets):
    _, (first, *answers) = run(a_model(seed), budgets, 3)
    assert first.purpose == THINK and first.max_tokens == budgets[-1]
    forced = [request.purpose for request in answers if request.purpose != NATURAL]
    assert forced == sorted(forced, reverse=True)
    assert all(request.purpose != NATURAL for request in answers[1:])
    assert len({request.seed for request in (first, *answers)}) == 1 + len(answers)


@given(st.integers(0, 10**6), budgets_of)
def test_a_traces_tokens_and_finish_say_how_it_went(seed, budgets):
    trace, requests = run(a_model(seed), budgets, 3)
    thinking = trace.answers[-1].thinking_tokens
    if trace.finish == "budget":
        assert thinking == len(trace.token_ids) == budgets[-1]
    else:
        assert trace.token_ids[thinking] == (CLOSE if trace.finish == "stop" else END)
    assert (NATURAL in [request.purpose for request in requests]) == (trace.finish == "stop")
    assert trace.reproducible == "seeded"


@given(st.integers(0, 10**6), budgets_of, st.integers(0, 25))
def test_thinking_before_answers_is_counted_as_reused_or_recomputed(seed, budgets, cached):
    sample = a_sample(budgets, 2, lambda trace: None)
    model = a_model(seed)
    requests = sample.take(sample.first(), decode(model, sample.first()), 0)
    for request in requests:
        sample.take(request, decode(model, request), cached)
    reused, recomputed = sample.sample.reused_tokens, sample.sample.recomputed_tokens
    thoughts = [
        sample.thinking + 1 if request.purpose == NATURAL else int(request.purpose)
        for request in requests
    ]
    assert reused + recomputed == sum(thoughts)
    assert reused == sum(min(max(0, cached - len(PROMPT)), n) for n in thoughts)


def test_thinking_goes_on_after_a_stop_at_a_text_that_its_tokens_do_not_say():
    sample = a_sample((4,), 3, lambda trace: None)
    first = sample.first()
    (second,) = sample.take(first, [1, 2], 0)
    assert (second.purpose, second.prompt, second.max_tokens) == (THINK, (*PROMPT, 1, 2), 2)
    assert second.seed != first.seed


def test_a_trace_that_is_given_up_has_no_answer_and_an_answer_that_is_leaves_the_others():
    done: list[Trace] = []
    sample = a_sample((2, 4), 3, done.append)
    sample.give_up(sample.first())
    assert done[0].finish == "deadline"
    assert [answer.given_up for answer in done[0].answers] == [True, True]

    sample = a_sample((2, 4), 3, done.append)
    four, two = sample.take(sample.first(), [1, 1, 1, 1], 0)
    sample.give_up(four)
    assert sample.take(two, [5, END], 0) == []
    assert done[1].finish == "budget"
    assert [answer.given_up for answer in done[1].answers] == [False, True]
    assert done[1].answers[0].text == "20 21 5"
