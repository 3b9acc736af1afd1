"""Which traces are the same with larger token budgets: both engines, however thinking ends."""

import itertools
from dataclasses import replace
from functools import cache

import pytest
from support import scripted_engines, tiny_models
from support.scripted_engines import Script

from actors.engine import Trace
from actors.kv.full import Full
from actors.lengthening import ended_by_itself, lengthened, was_cut
from actors.torch_engine.engine import TorchEngine
from raysweep.spec import Decoding

MODEL = tiny_models.smallest()
BUDGETS = (8, 33, 96, 110, 130)
PLAIN = tiny_models.decoding(token_budgets=BUDGETS)
WAYS = {
    "plain": PLAIN,
    "wait": replace(PLAIN, extension="Wait"),
    "in several tokens": replace(PLAIN, end_closes=True, think_close="QZ", forced_closing=" QZ so"),
    "reopened": replace(PLAIN, end_closes=True),
    "as it is": replace(PLAIN, end_closes=True, text_is_answer=True),
    "loops": replace(PLAIN, loop_tokens=24),
    "ended loops": replace(PLAIN, loop_tokens=24, end_loops=True),
    "ended loops, wait": replace(PLAIN, loop_tokens=24, end_loops=True, extension="Wait"),
}
ENDS = [(), (7,), (8,), (9, 50), (32,), (33,), (34,), (95,), (96,), (109,), (110,), (120,)]


@cache
def engine() -> TorchEngine:
    architecture = tiny_models.architecture(MODEL)
    return TorchEngine(str(tiny_models.MODELS / MODEL), architecture, Full(), max_rows=4)


def tokens(text: str) -> list[int]:
    return engine().texts.tokenizer.encode(text, add_special_tokens=False)


def token(text: str) -> int:
    (found,) = tokens(text)
    return found


def script(ends: tuple[int, ...], loop_from: int, by: str) -> Script:
    """Thinks letters and wants to end after `ends` thoughts; from `loop_from` on it says "ab" for ever."""

    closing = tokens(by)
    said = {end + place: part for end in ends for place, part in enumerate(closing)}

    def choice(seen: int, answering: bool) -> int:
        if answering:
            return token(str(seen % 10)) if seen % 3 else token("<|im_end|>")
        if seen in said:
            return said[seen]
        if seen >= loop_from:
            return token("ab"[seen % 2])
        return token(chr(ord("a") + (seen * seen + seen // 7) % 26))

    return choice


@pytest.mark.parametrize("engine_name", ["torch", "vllm"])
@pytest.mark.parametrize("way", WAYS)
def test_a_trace_that_ended_by_itself_is_the_one_with_larger_budgets(
    way: str, engine_name: str, monkeypatch: pytest.MonkeyPatch
):
    def run(decoding: Decoding, choose: Script) -> Trace:
        if engine_name == "vllm":
            return scripted_engines.by_vllm(engine().texts, decoding, choose)
        return scripted_engines.by_torch(engine(), decoding, choose, monkeypatch)

    kept = 0
    closes = WAYS[way].think_close
    scripts = itertools.product(ENDS, (40, 10**6), (closes, "<|im_end|>"))
    few = [((32,), 40, closes), ((50,), 10**6, closes), ((50,), 10**6, "<|im_end|>")]
    for ends, loop_from, by in scripts if engine_name == "vllm" else few:
        choose = script(ends, loop_from, by)
        whole = run(WAYS[way], choose)
        for count in (1, 3, 4) if engine_name == "vllm" else (2, 4):
            short = run(replace(WAYS[way], token_budgets=BUDGETS[:count]), choose)
            if ended_by_itself(short):
                assert untimed(lengthened(short, BUDGETS)) == untimed(whole)
                kept += 1
            else:
                assert short.answers[-1].thinking_tokens == BUDGETS[count - 1]
                assert short.answers == whole.answers[:count]
    assert bool(kept) == (way != "wait")


@pytest.mark.parametrize("way", WAYS)
def test_a_trace_that_is_continued_is_the_one_that_was_never_cut(way: str):
    texts, continued = engine().texts, 0
    closes = WAYS[way].think_close
    for ends, loop_from, by in itertools.product(ENDS, (40, 10**6), (closes, "<|im_end|>")):
        choose = script(ends, loop_from, by)
        whole = scripted_engines.by_vllm(texts, WAYS[way], choose)
        for count in (1, 3, 4):
            fewer = replace(WAYS[way], token_budgets=BUDGETS[:count])
            short = scripted_engines.by_vllm(texts, fewer, choose)
            assert was_cut(short) != ended_by_itself(short)
            if was_cut(short):
                found = scripted_engines.by_vllm(texts, WAYS[way], choose, short)
                resumed = found.reproducible == "resumed"
                assert resumed or (WAYS[way].extension and may_end_in("Wait", short))
                same = replace(found, reproducible=whole.reproducible)
                assert cached_alike(untimed(same)) == cached_alike(untimed(whole))
                continued += resumed
    assert continued


def may_end_in(extension: str, trace: Trace) -> bool:
    """Whether the last thoughts are the first tokens of an extension, but not all of it."""
    whole = tokens(extension)
    return any(list(trace.token_ids[-n:]) == whole[:n] for n in range(1, len(whole)))


def cached_alike(trace: Trace) -> Trace:
    """The trace without what its forks found in the cache: an answer that is known needs none."""
    return replace(trace, reused_tokens=0, recomputed_tokens=0)


def untimed(trace: Trace) -> Trace:
    return replace(trace, wall_s=0.0)
