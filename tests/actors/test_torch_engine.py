"""The torch engine against transformers and against itself: what it decodes depends on nothing else.

The reference is transformers' own `generate` in 32-bit arithmetic: once with everything in 32 bit, once with
a cache that rounds keys and values to 16 bit, as the engine's does.
"""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from support.tiny_models import (
    BUDGETS,
    MODELS,
    architecture,
    decoding,
    names,
    rendered,
    requests,
    run,
    smallest,
    untimed,
)
from support.torch_engines import POLICIES, QUESTIONS, make_engine
from transformers import AutoModelForCausalLM, DynamicCache, Qwen2Config, Qwen2ForCausalLM

from actors.engine import Trace, TraceRequest
from actors.kv.full import Full
from actors.kv.h2o import H2O
from actors.kv.quantized import Quantized
from actors.kv.r_kv import RKV
from actors.kv.snap_kv import SnapKV
from actors.kv.streaming_llm import StreamingLLM
from actors.think_close import ThinkClose
from actors.tiny.tokenizer import build_tokenizer
from actors.tokenization import Vocabulary
from actors.torch_engine import engine as engine_module
from actors.torch_engine.budget_forcing import Sequence
from actors.torch_engine.cpu_linear import arithmetic_on_cpu
from actors.torch_engine.engine import TorchEngine
from actors.trace_assembly import Sample
from raysweep.benchmarks import chain
from raysweep.spec import Decoding, Question

ROOMY = [  # nothing is ever evicted or packed
    StreamingLLM(sinks=4, window=400),
    RKV(budget=400),
    SnapKV(budget=400),
    H2O(budget=400, window=200),
    Quantized(2, residual=400),
]


class RoundingCache(DynamicCache):
    """transformers' cache, keeping keys and values in 16 bit."""

    def update(self, key_states, value_states, *rest, **named):
        rounded = (states.bfloat16().float() for states in (key_states, value_states))
        return super().update(*rounded, *rest, **named)


@cache
def transformers_model(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def by_transformers(folder: Path, prompt: list[int], new_tokens: int, rounding: bool) -> list[int]:
    model = transformers_model(folder)
    inputs = torch.tensor([prompt])
    kept = RoundingCache() if rounding else DynamicCache()
    output = model.generate(
        inputs, max_new_tokens=new_tokens, do_sample=False, past_key_values=kept
    )
    return output[0, len(prompt) :].tolist()


@pytest.mark.parametrize("storage", [torch.float32, torch.bfloat16], ids=["32bit", "16bit"])
@pytest.mark.parametrize("name", names())
def test_a_greedy_full_cache_trace_is_token_identical_to_transformers_generate(name, storage):
    engine = make_engine(name, Full(), storage=storage, arithmetic=torch.float32)
    wanted = requests(QUESTIONS, decoding(temperature=0, token_budgets=(16, 200)))
    for key, trace in run(engine, wanted).items():
        prompt = list(engine.encode_prompt(wanted[key]))
        rounding = storage == torch.bfloat16
        expected = by_transformers(MODELS / name, prompt, len(trace.token_ids), rounding)
        assert list(trace.token_ids) == expected, key


@pytest.mark.parametrize("arithmetic", [torch.float32, torch.bfloat16], ids=["32bit", "16bit"])
def test_a_greedy_token_is_nearly_transformers_best_in_either_arithmetic(arithmetic):
    """bf16 rounds a product's result to 8 bits, by which a close second may come first."""
    if arithmetic == torch.bfloat16 and arithmetic_on_cpu(torch.bfloat16) != arithmetic:
        pytest.skip("this CPU multiplies no bf16 numbers: it lacks AVX512-BF16")
    name = smallest()
    engine = make_engine(name, Full(), arithmetic=arithmetic)
    wanted = requests(QUESTIONS, decoding(temperature=0, token_budgets=(16, 200)))
    for key, trace in run(engine, wanted).items():
        prompt = list(engine.encode_prompt(wanted[key]))
        whole = torch.tensor([[*prompt, *trace.token_ids]])
        with torch.inference_mode():
            logits = transformers_model(MODELS / name)(whole).logits[0, len(prompt) - 1 : -1]
        chosen = logits.gather(-1, whole[0, len(prompt) :, None])[:, 0]
        assert (logits.amax(-1) - chosen).max() < 0.1 * logits.std(), key


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.slug)
def test_further_samples_of_a_question_begin_with_the_row_of_its_first_one(policy):
    asked = requests(QUESTIONS[:2], decoding(), samples=3)
    engine = make_engine(smallest(), policy)
    with_kept_rows = run(engine, asked)
    for key, request in asked.items():
        engine.prompts.clear()
        assert untimed(run(engine, {key: request})[key]) == untimed(with_kept_rows[key]), key


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.slug)
def test_a_batch_of_ragged_rows_with_forks_equals_each_row_alone(policy):
    wanted = requests(QUESTIONS, decoding(), samples=2)
    together = run(make_engine(smallest(), policy, max_rows=64), wanted)
    engine = make_engine(smallest(), policy, max_rows=64)
    for key, request in wanted.items():
        alone = run(engine, {key: request})[key]
        assert untimed(alone) == untimed(together[key]), key


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.slug)
def test_a_fork_at_a_budget_equals_a_run_with_that_budget(policy):
    whole = run(make_engine(smallest(), policy), requests(QUESTIONS, decoding(), samples=2))
    for position, budget in enumerate(BUDGETS):
        way = decoding(token_budgets=(budget,))
        single = run(make_engine(smallest(), policy), requests(QUESTIONS, way, samples=2))
        for key, trace in whole.items():
            assert trace.answers[position] == single[key].answers[0], (key, budget)


def test_traces_that_wait_for_rows_come_out_the_same():
    wanted = requests(QUESTIONS, decoding(token_budgets=(4, 5, 6, 7, 40)), samples=3)
    roomy = run(make_engine(smallest(), Full(), max_rows=256), wanted)
    narrow = run(make_engine(smallest(), Full(), max_rows=16), wanted)
    assert {k: untimed(t) for k, t in roomy.items()} == {k: untimed(t) for k, t in narrow.items()}


@pytest.mark.parametrize("policy", ROOMY, ids=lambda policy: policy.slug)
def test_a_policy_with_more_room_than_the_trace_needs_equals_the_full_cache(policy):
    wanted = requests(QUESTIONS, decoding())
    full = run(make_engine(smallest(), Full()), wanted)
    roomy = run(make_engine(smallest(), policy), wanted)
    assert {k: decoded(t) for k, t in full.items()} == {k: decoded(t) for k, t in roomy.items()}


def decoded(trace: Trace) -> tuple:
    """A trace without timing and bytes."""
    answers = tuple(replace(answer, kv_bytes=0) for answer in trace.answers)
    return (trace.prompt_tokens, trace.token_ids, trace.finish, answers)


def test_live_bytes_at_a_budget_are_those_of_the_memory_model():
    from raysweep import memory

    for policy in POLICIES:
        traces = run(make_engine(smallest(), policy), requests(QUESTIONS, decoding()))
        for trace in traces.values():
            for answer in trace.answers:
                tokens = trace.prompt_tokens + answer.thinking_tokens
                expected = memory.kv_bytes(architecture(smallest()), policy, tokens)
                assert answer.kv_bytes == expected


def test_answers_say_how_they_came_about():
    traces = run(make_engine(smallest(), Full()), requests(QUESTIONS, decoding()))
    for trace in traces.values():
        check_answers(trace)
    assert {trace.finish for trace in traces.values()} >= {"stop", "budget"}


def check_answers(trace: Trace) -> None:
    assert [answer.token_budget for answer in trace.answers] == list(BUDGETS)
    for answer in trace.answers:
        assert answer.thinking_tokens <= answer.token_budget
        assert answer.forced == (answer.thinking_tokens == answer.token_budget)
        assert answer.answer_tokens <= 8 + 2
        if answer.forced:
            assert answer.text.startswith("\nThe answer is")
    assert (trace.finish == "budget") == trace.answers[-1].forced


def test_a_prompt_that_leaves_no_room_for_its_budget_is_refused():
    engine = make_engine(smallest(), Full())
    with pytest.raises(ValueError, match=r"take \d+ of 2048 tokens"):
        engine.add(TraceRequest("a" * 2000, 1, decoding()), lambda trace: None)


def test_a_prompt_met_before_gets_the_room_that_a_longer_closing_needs():
    engine = make_engine(smallest(), Full(), max_rows=16)
    short = decoding(token_budgets=(8, 40))
    long = replace(short, forced_closing="</think>" + "so " * 40, answer_tokens=40)
    run(engine, requests(QUESTIONS[:2], short))
    traces = run(engine, requests(QUESTIONS[:2], long))
    alone = run(make_engine(smallest(), Full(), max_rows=16), requests(QUESTIONS[:2], long))
    assert {k: untimed(t) for k, t in traces.items()} == {k: untimed(t) for k, t in alone.items()}


def test_a_text_that_ends_with_its_first_token_is_a_finished_trace(monkeypatch):
    engine = make_engine(smallest(), Full(), max_rows=16)
    wanted = requests(QUESTIONS[:3], decoding())
    end = engine.texts.tokenizer.eos_token_id
    monkeypatch.setattr(
        engine_module, "draw_each", lambda logits, *_: torch.full([len(logits)], end)
    )
    for trace in run(engine, wanted).values():
        assert (trace.finish, len(trace.token_ids)) == ("end", 1)
        assert trace.answers[-1].kv_bytes > 0 and trace.answers[-1].thinking_tokens == 0


def test_a_text_that_ends_in_mid_thinking_has_no_answer_and_is_no_stop():
    thought, close, end = 50, 4, 2
    vocabulary = Vocabulary(
        ThinkClose(close, "", str), frozenset({end}), (close, 102), lambda tokens: "text"
    )
    request = TraceRequest("?", 0, decoding(token_budgets=(2, 9)))
    found: list[Trace] = []
    sequence = Sequence(Sample(request, vocabulary, 5, found.append), seen=5, feed=[])
    sequence.accept(thought, live_bytes=lambda: 10)
    sequence.accept(end, live_bytes=lambda: 11)
    (trace,) = found
    assert sequence.finished
    assert (trace.finish, trace.token_ids) == ("end", (thought, end))
    assert [answer.text for answer in trace.answers] == ["", ""]
    assert [answer.thinking_tokens for answer in trace.answers] == [1, 1]


def test_samples_of_a_question_differ_and_repeat_with_their_key():
    question = QUESTIONS[9]
    wanted = requests([question], decoding(), samples=8)
    first = run(make_engine(smallest(), Full()), wanted)
    again = run(make_engine(smallest(), Full()), dict(reversed(wanted.items())))
    assert {k: untimed(t) for k, t in first.items()} == {k: untimed(t) for k, t in again.items()}
    assert len({trace.token_ids for trace in first.values()}) > 1


def test_the_shipped_prompt_opens_the_thinking_once():
    engine = make_engine(smallest(), Full())
    request = TraceRequest(rendered("a=07;a?"), 0, decoding())
    text = engine.texts.tokenizer.decode(engine.encode_prompt(request))
    assert text == "<|im_start|>user\na=07;a?<|im_end|>\n<|im_start|>assistant\n<think>\n"


def test_a_model_without_query_norms_and_with_biases_is_decoded_as_transformers_does(tmp_path):
    config = Qwen2Config(
        vocab_size=128,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=96,
        max_position_embeddings=2048,
        tie_word_embeddings=False,
        eos_token_id=2,
    )
    torch.manual_seed(0)
    Qwen2ForCausalLM(config).save_pretrained(tmp_path)
    build_tokenizer().save_pretrained(tmp_path)
    numbers = replace(architecture(smallest()), layers=2, kv_heads=2, head_dim=16)
    engine = TorchEngine(str(tmp_path), numbers, Full(), 16, torch.float32)
    wanted = requests(QUESTIONS[:3], decoding(temperature=0))
    for key, trace in run(engine, wanted).items():
        prompt = list(engine.encode_prompt(wanted[key]))
        expected = by_transformers(tmp_path, prompt, len(trace.token_ids), rounding=False)
        assert list(trace.token_ids) == expected


def test_questions_and_decoding_are_plain_values_that_travel_to_actors():
    import pickle

    for value in (QUESTIONS[0], decoding()):
        assert pickle.loads(pickle.dumps(value)) == value
    assert isinstance(QUESTIONS[0], Question) and isinstance(decoding(), Decoding)


@pytest.mark.slow
def test_no_sampled_token_of_100_000_depends_on_the_batch():
    """Every policy, sampled at temperature 1, in wide and in narrow batches."""
    tokens = 0
    wanted = requests(chain.questions(48, seed=2), decoding(token_budgets=(24, 72, 128)), samples=5)
    for policy in POLICIES:
        wide = run(make_engine(smallest(), policy, max_rows=128), wanted)
        narrow = run(make_engine(smallest(), policy, max_rows=16), dict(reversed(wanted.items())))
        for key, trace in wide.items():
            assert untimed(trace) == untimed(narrow[key]), (policy.slug, key)
            forks = sum(answer.answer_tokens for answer in trace.answers if answer.forced)
            tokens += len(trace.token_ids) + forks
    assert tokens > 100_000
