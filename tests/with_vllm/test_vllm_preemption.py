"""More rows than fit at their longest: vLLM frees the youngest, computes it again, and loses nothing."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from support.tiny_models import decoding, requests, run, smallest, untimed
from with_vllm.engines import LONG_BUDGETS, QUESTIONS, MakeEngine, VllmEngine

from actors.vllm_engine import loading
from benchmarks.subject import ARCHITECTURE, make_model
from raysweep.spec import EngineSpec

ROWS, FIT = 8, 3  # rows that are asked for, and those that fit at their longest
LONGEST = 1200


def in_little_memory(make_engine: MakeEngine, longest: int, *name: Any, **changes: Any):
    """An engine whose cache holds only some of its rows at their longest."""
    with pytest.MonkeyPatch.context() as patch:

        def cache_bytes(spec: EngineSpec, *what: Any) -> int:
            where = spec.model.architecture, spec.kv_policy
            return FIT * loading.sequence_bytes(*where, longest, loading.CPU_BLOCK_TOKENS)

        patch.setattr(loading, "cache_bytes", cache_bytes)
        return make_engine(*name, max_rows=ROWS, longest=longest, **changes)


def note_preempted(vllm: VllmEngine) -> Counter[Any]:
    """How often requests are preempted from now on, by their purpose."""
    scheduler, found = vllm.llm.engine_core.engine_core.scheduler, Counter()
    preempt = scheduler._preempt_request

    def noting(request: Any, *what: Any, **more: Any) -> None:
        found[vllm.running[request.request_id.split("-")[0]].request.purpose] += 1
        preempt(request, *what, **more)

    scheduler._preempt_request = noting
    return found


def test_rows_that_do_not_fit_at_their_longest_are_preempted_and_say_the_same(
    make_engine: MakeEngine, tmp_path: Path
):
    """Long traces of a model that never ends, so all rows become long together, which is the worst case."""
    make_model(tmp_path)
    wanted = requests(QUESTIONS[:16], decoding(0, (500, 1000)))
    model = {"path": str(tmp_path), "architecture": ARCHITECTURE, "dtype": "float32"}
    expected = run(make_engine("random", ROWS, LONGEST, **model), wanted)
    vllm = in_little_memory(make_engine, LONGEST, "random", **model)
    preempted = note_preempted(vllm)
    found = run(vllm, wanted)
    print(f"preempted: {dict(preempted)}")
    assert preempted["think"] > 0
    for key, trace in expected.items():
        assert found[key].token_ids == trace.token_ids, key
        assert [a.text for a in found[key].answers] == [a.text for a in trace.answers]
        assert not any(answer.given_up for answer in found[key].answers)


def test_samples_that_were_preempted_are_drawn_as_without(make_engine: MakeEngine):
    wanted = requests(QUESTIONS, decoding(token_budgets=LONG_BUDGETS), samples=2)
    expected = run(make_engine(smallest(), max_rows=ROWS, longest=400), wanted)
    vllm = in_little_memory(make_engine, 400, smallest())
    preempted = note_preempted(vllm)
    found = run(vllm, wanted)
    print(f"preempted: {dict(preempted)}")
    assert preempted["think"] > 0
    for key, trace in expected.items():
        assert untimed(found[key]) == untimed(trace), key


def test_answers_come_before_thoughts_and_old_samples_before_young_ones(make_engine: MakeEngine):
    """Else an answer could wait behind preempted traces, and lose its own trace's blocks or its deadline."""
    vllm, asked = make_engine(smallest()), []
    add = vllm.llm.add_request

    def noting(name: str, *what: Any, **more: Any) -> None:
        asked.append((vllm.running[name], more["priority"], more["arrival_time"]))
        add(name, *what, **more)

    vllm.llm.add_request = noting
    run(vllm, requests(QUESTIONS[:6], decoding()))
    for running, priority, arrival in asked:
        assert (running.request.purpose == "think") == (priority == 1)
        assert arrival == running.requests.sample.started_s
    assert {priority for _, priority, _ in asked} == {0, 1}
