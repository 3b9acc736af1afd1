"""The vLLM engine in a plain process, against the torch engine and against itself.

Greedy in 32 bit both engines must say the same, token for token, but where two logits are so near that
rounding decides; there the gap is shown. Sampled, each sample must be the same in any batch.
"""

import asyncio
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from support.tiny_models import (
    BUDGETS,
    END_OF_TEXT,
    END_OF_TURN,
    MODELS,
    architecture,
    copy_ending_either_way,
    copy_naming,
    decoding,
    names,
    one_end,
    rendered,
    requests,
    run,
    smallest,
    untimed,
)
from transformers import AutoModelForCausalLM
from with_vllm.engines import LONG_BUDGETS, QUESTIONS, MakeEngine, VllmEngine, a_spec

from actors import sample_requests
from actors.engine import Trace
from actors.kv.full import Full
from actors.lengthening import was_cut
from actors.torch_engine.engine import TorchEngine
from benchmarks.subject import ARCHITECTURE, make_model
from raysweep import memory
from raysweep.benchmarks import chain
from raysweep.spec import Decoding


def decoded(trace: Trace) -> tuple:
    """What was decoded: a trace without times and bytes."""
    answers = tuple(replace(answer, kv_bytes=0) for answer in trace.answers)
    return (trace.prompt_tokens, trace.token_ids, trace.finish, answers)


@cache
def transformers_model(name: str) -> Any:
    return AutoModelForCausalLM.from_pretrained(MODELS / name, dtype=torch.float32).eval()


def first_gap(name: str, prompt: tuple[int, ...], one: Trace, other: Trace) -> float:
    """How far apart the logits of two traces' first differing tokens are, by transformers in 32 bit."""
    pairs = zip(one.token_ids, other.token_ids, strict=False)
    place, (a, b) = next((i, (a, b)) for i, (a, b) in enumerate(pairs) if a != b)
    tokens = torch.tensor([[*prompt, *one.token_ids[:place]]])
    with torch.inference_mode():
        logits = transformers_model(name)(tokens).logits[0, -1]
    return abs(float(logits[a] - logits[b]))


def check_greedy(name: str, way: Decoding, make_engine: MakeEngine) -> list[Trace]:
    """Both engines say the same in 32 bit but where two logits are near; the torch engine's traces."""
    wanted = requests(QUESTIONS, way)
    reference = TorchEngine(str(MODELS / name), architecture(name), Full(), 32, torch.float32)
    expected = run(reference, wanted)
    found = run(make_engine(name, dtype="float32"), wanted)
    other = [key for key in wanted if decoded(found[key]) != decoded(expected[key])]
    gaps = {
        key: first_gap(name, reference.encode_prompt(wanted[key]), found[key], expected[key])
        for key in other
        if found[key].token_ids != expected[key].token_ids
    }
    print(f"{name}: {len(wanted) - len(other)} of {len(wanted)} the same; gaps {gaps}")
    assert len(other) <= 0.05 * len(wanted)
    assert all(gap < 1e-3 for gap in gaps.values())
    return list(expected.values())


GREEDY = decoding(temperature=0, token_budgets=LONG_BUDGETS)


@pytest.mark.parametrize("name", names())
def test_greedy_traces_and_answers_are_the_torch_engines_token_for_token(
    name: str, make_engine: MakeEngine
):
    check_greedy(name, GREEDY, make_engine)


@pytest.mark.parametrize("text_is_answer", [False, True])
@pytest.mark.parametrize(("close", "finish"), [("", "end"), ("7;", "stop"), ("</think>", "stop")])
def test_so_they_are_where_a_text_or_the_end_of_the_text_closes_the_thinking(
    close: str, finish: str, text_is_answer: bool, make_engine: MakeEngine
):
    """The shipped models write "7;" in two tokens, where a step's result ends with 7."""
    closes = {"think_close": close, "forced_closing": f"{close}\nThe answer is"}
    way = replace(GREEDY, **closes, end_closes=True, text_is_answer=text_is_answer)
    traces = check_greedy(smallest(), way, make_engine)
    assert finish in {trace.finish for trace in traces}
    if close == "":
        assert "stop" not in {trace.finish for trace in traces}
        assert all(a.text for trace in traces for a in trace.answers)


@pytest.mark.parametrize("name", names())
def test_in_16_bit_greedy_traces_part_where_two_logits_are_near(name: str, make_engine: MakeEngine):
    wanted = requests(QUESTIONS, decoding(temperature=0, token_budgets=LONG_BUDGETS))
    reference = TorchEngine(str(MODELS / name), architecture(name), Full(), 32, torch.float32)
    expected, found = run(reference, wanted), run(make_engine(name, dtype="bfloat16"), wanted)
    other = [key for key in wanted if found[key].token_ids != expected[key].token_ids]
    gaps = {
        key: first_gap(name, reference.encode_prompt(wanted[key]), found[key], expected[key])
        for key in other
    }
    print(f"{name}: {len(wanted) - len(other)} of {len(wanted)} traces the same; gaps {gaps}")
    assert all(gap < 0.5 for gap in gaps.values())


def test_a_small_models_sample_is_the_same_in_wide_and_narrow_batches_in_any_order(
    make_engine: MakeEngine,
):
    """Rounding tips none of its tokens. A larger model's it does, so vLLM promises nothing on a CPU."""
    wanted = requests(QUESTIONS, decoding(token_budgets=LONG_BUDGETS), samples=4)
    wide = run(make_engine(smallest(), max_rows=64), wanted)
    narrow = run(make_engine(smallest(), max_rows=3), dict(reversed(wanted.items())))
    assert {trace.reproducible for trace in wide.values()} == {"seeded"}
    for key, trace in wide.items():
        assert untimed(trace) == untimed(narrow[key]), key
    assert len({trace.token_ids for trace in wide.values()}) > len(QUESTIONS)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_trace_that_was_cut_goes_on_after_its_tokens(temperature: float, make_engine: MakeEngine):
    vllm = make_engine(smallest(), dtype="float32")
    way = decoding(temperature, token_budgets=LONG_BUDGETS)
    wanted = requests(QUESTIONS, way)
    whole, few = run(vllm, wanted), replace(way, token_budgets=LONG_BUDGETS[:2])
    short = run(vllm, requests(QUESTIONS, few))
    cut = {key: trace for key, trace in short.items() if was_cut(trace)}
    found = run(vllm, {key: replace(wanted[key], begun=trace) for key, trace in cut.items()})
    assert len(found) > len(wanted) / 2
    for key, trace in found.items():
        assert trace.reproducible == "resumed"
        assert trace.token_ids[: LONG_BUDGETS[1]] == cut[key].token_ids
        assert trace.answers[:2] == cut[key].answers
        assert [answer.token_budget for answer in trace.answers] == list(LONG_BUDGETS)
    other = [key for key, trace in found.items() if decoded(trace) != decoded(whole[key])]
    # Drawn without chance a trace goes on as it would have; otherwise by a seed of its own.
    assert len(other) <= 0.05 * len(found) if temperature == 0 else len(other) > 0.5 * len(found)


def test_a_fork_at_a_budget_equals_a_run_with_that_budget(make_engine: MakeEngine):
    vllm = make_engine(smallest())
    whole = run(vllm, requests(QUESTIONS, decoding(), samples=2))
    for position, budget in enumerate(BUDGETS):
        single = run(vllm, requests(QUESTIONS, decoding(token_budgets=(budget,)), samples=2))
        for key, trace in whole.items():
            assert trace.answers[position] == single[key].answers[0], (key, budget)


def test_sampling_at_a_temperature_is_as_the_torch_engines_on_average(make_engine: MakeEngine):
    wanted = requests(chain.questions(24, seed=3), decoding(token_budgets=(24, 96)), samples=16)
    reference = TorchEngine(str(MODELS / smallest()), architecture(smallest()), Full(), 128)
    ours, theirs = run(make_engine(smallest(), max_rows=128), wanted), run(reference, wanted)

    def mean_length(traces: dict[Any, Trace]) -> float:
        return sum(len(trace.token_ids) for trace in traces.values()) / len(traces)

    def share_of_stops(traces: dict[Any, Trace]) -> float:
        return sum(trace.finish == "stop" for trace in traces.values()) / len(traces)

    assert mean_length(ours) == pytest.approx(mean_length(theirs), rel=0.05)
    assert share_of_stops(ours) == pytest.approx(share_of_stops(theirs), abs=0.08)


def test_live_bytes_and_promise_are_recorded(make_engine: MakeEngine):
    for trace in run(make_engine(smallest()), requests(QUESTIONS[:4], decoding())).values():
        for answer in trace.answers:
            tokens = trace.prompt_tokens + answer.thinking_tokens
            assert answer.kv_bytes == memory.kv_bytes(architecture(smallest()), Full(), tokens)


def test_more_than_nine_tenths_of_the_trace_come_from_the_prefix_cache(
    make_engine: MakeEngine, tmp_path: Path
):
    """Long traces of a model that never ends, more of them than rows; room as the memory model gives it."""
    make_model(tmp_path)
    budgets = (250, 500, 750, 1000)
    vllm = make_engine("random", 4, 1200, path=str(tmp_path), architecture=ARCHITECTURE)
    traces = run(vllm, requests(QUESTIONS[:12], decoding(0, budgets)))
    reused = sum(trace.reused_tokens for trace in traces.values())
    recomputed = sum(trace.recomputed_tokens for trace in traces.values())
    print(f"{reused} of {reused + recomputed} tokens of traces were served from the prefix cache")
    assert reused + recomputed == 12 * sum(budgets)
    assert reused > 0.9 * 12 * sum(budgets)


def test_a_request_that_never_ends_is_given_up_and_recorded_and_the_engine_goes_on(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
):
    vllm = make_engine(smallest())
    wanted = requests(QUESTIONS[:3], decoding())
    with monkeypatch.context() as patch:
        patch.setattr(sample_requests, "DEADLINE_S", -1000.0)
        patch.setattr(vllm.llm, "step", lambda: [])  # nothing comes of it
        given_up = run(vllm, wanted)
    for trace in given_up.values():
        assert (trace.finish, trace.token_ids) == ("deadline", ())
        assert all(answer.given_up and not answer.text for answer in trace.answers)
    assert not vllm.llm.has_unfinished_requests()
    assert all(trace.finish != "deadline" for trace in run(vllm, wanted).values())


@pytest.mark.parametrize(
    "ends",
    [("<|im_end|>", [2, 0], 2), ("<|endoftext|>", [0, 2], 0), ("<|endoftext|>", None, [0, 2])],
)
def test_a_second_end_token_that_the_model_never_uses_changes_nothing(
    ends: tuple, make_engine: MakeEngine, tmp_path: Path
):
    wanted = requests(QUESTIONS, decoding(token_budgets=LONG_BUDGETS))
    expected = run(make_engine(smallest()), wanted)
    folder = copy_naming(tmp_path, smallest(), *ends)
    found = run(make_engine(smallest(), path=str(folder)), wanted)
    assert all(END_OF_TEXT not in trace.token_ids for trace in expected.values())
    for key, trace in expected.items():
        assert untimed(found[key]) == untimed(trace), key


def test_a_text_ends_at_whichever_end_token_comes_first(make_engine: MakeEngine, tmp_path: Path):
    folder, both = copy_ending_either_way(tmp_path, smallest()), {END_OF_TEXT, END_OF_TURN}
    greedy = requests(QUESTIONS, decoding(temperature=0, token_budgets=LONG_BUDGETS))
    sampled = requests(QUESTIONS, decoding(token_budgets=LONG_BUDGETS), samples=2)
    expected = run(make_engine(smallest()), greedy)
    untied = replace(architecture(smallest()), tied_embeddings=False)
    vllm = make_engine(smallest(), path=str(folder), architecture=untied)
    found, traces = run(vllm, greedy), run(vllm, sampled)
    for key, trace in expected.items():
        assert one_end(found[key]) == one_end(trace), key
    assert both <= {t.token_ids[-1] for t in traces.values() if t.answers[-1].ended}
    for trace in traces.values():
        assert not both & set(trace.token_ids[:-1])
        assert all("<|" not in answer.text for answer in trace.answers)


def test_a_prompt_that_the_context_has_no_room_for_is_refused(make_engine: MakeEngine):
    vllm = make_engine(smallest(), longest=100)
    ((_, request),) = requests(QUESTIONS[:1], decoding(token_budgets=(96,))).items()
    with pytest.raises(ValueError, match="of 100 tokens"):
        vllm.add(request, lambda trace: None)


def test_the_actor_grades_and_writes_what_vllm_says(tmp_path: Path):
    from support.nouns import some_shards

    from actors.engine_actor import EngineActor
    from raysweep.storage.part_file import shard_place
    from raysweep.storage.schemas import SAMPLES
    from raysweep.storage.store import Store

    (shard, *_) = some_shards(backend="vllm")
    spec = a_spec(smallest())
    way = decoding(token_budgets=(16, 64))
    asked = tuple(replace(q, rendered=rendered(q.prompt)) for q in QUESTIONS[:2])
    shard = replace(shard, engine=spec, decoding=way, questions=asked)
    actor = EngineActor(spec, str(tmp_path), 8, 400)
    receipt = asyncio.run(actor.run_shard(shard))
    place = shard_place(spec.engine_id, shard.shard_id)
    rows = Store(str(tmp_path)).read_samples([place], SAMPLES.names)
    assert receipt.samples == rows.num_rows == 4
    assert set(rows["reproducible"].to_pylist()) == {"seeded"}
    assert isinstance(actor.engine, VllmEngine)
    actor.engine.close()


def test_what_the_engine_holds_is_told_in_whole_blocks_and_agrees_with_the_memory_model(
    make_engine: MakeEngine,
):
    engine = make_engine(smallest(), max_rows=4)
    for request in requests(QUESTIONS[:4], decoding(), samples=2).values():
        engine.add(request, lambda trace: None)
    seen = []
    while engine.waiting or engine.running:
        engine.step()
        seen.append(engine.usage())
        assert seen[-1].rows == len(engine.running)
        assert seen[-1].kv_bytes == pytest.approx(seen[-1].modelled_kv_bytes, rel=0.02)
    a_block = memory.kv_bytes(architecture(smallest()), Full(), 32)
    assert max(usage.kv_bytes for usage in seen) >= 4 * a_block
    assert engine.usage().kv_bytes == 0
