"""vLLM's memory: what is asked of a GPU whatever is free on it, and rows by their mean length."""

import math
from dataclasses import replace
from heapq import heappop, heappush

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.nouns import an_engine

from actors.kv.full import Full
from raysweep import catalogue
from raysweep.memory import CONTEXT_BYTES, kv_bytes, weights_bytes, workspace_bytes
from raysweep.planning import fit as fitting
from raysweep.planning.fit import fit_on, placed
from raysweep.planning.lengths import Lengths
from raysweep.planning.speed import speed
from raysweep.planning.vllm_memory import MOST_OF_A_GPU, asked_bytes, crowding, usable_bytes
from raysweep.run_config import Gpu
from raysweep.spec import Architecture, EngineSpec

# As in `actors.vllm_engine.loading`, which needs vLLM.
SMALLER = 0.7

GB = 10**9
TOTALS = st.integers(2 * GB, 200 * GB)
BYTES = st.integers(1, 400 * GB)


@given(TOTALS, st.floats(0, 1), BYTES, BYTES)
def test_a_second_try_asks_for_less_than_the_first(
    total: int, free_share: float, taken: int, cache: int
):
    free = int(total * free_share)
    assume(free > CONTEXT_BYTES + 1)
    first, second = (asked_bytes(free, total, taken, cache, part) for part in (1.0, SMALLER))
    assert second < first


@given(TOTALS, st.floats(0, 1), BYTES, BYTES, st.sampled_from([1.0, SMALLER]))
def test_what_others_hold_on_a_gpu_is_never_asked_for(
    total: int, free_share: float, taken: int, cache: int, part: float
):
    """Such as a desktop's screen. What CUDA takes for itself stays free too."""
    free = int(total * free_share)
    assume(free > CONTEXT_BYTES + 1)
    asked = asked_bytes(free, total, taken, cache, part)
    assert 0 <= asked <= free - CONTEXT_BYTES and asked <= MOST_OF_A_GPU * total


@given(TOTALS, BYTES, BYTES)
def test_on_an_empty_gpu_an_engine_gets_what_it_wants_or_95_percent(
    total: int, taken: int, cache: int
):
    most = min(int(0.95 * total), total - CONTEXT_BYTES)
    assert asked_bytes(total, total, taken, cache, 1.0) == min(taken + cache, most)


def test_a_gpu_that_others_fill_is_a_lack_of_memory():
    with pytest.raises(MemoryError, match=r"only 1\.0 of 24\.0 GB of a GPU are free"):
        asked_bytes(1 * GB, 24 * GB, 1, 1, 1.0)


# Rows by their mean length

LONG = Lengths(row=33_000, prompt=2_000)
H100 = catalogue.gpu("h100-80")


def on_vllm(name: str = "qwen3-8b", **changes) -> EngineSpec:
    return an_engine(model=catalogue.model(name), kv_policy=Full(), backend="vllm", **changes)


def in_blocks(a: Architecture, tokens: int) -> int:
    """Bytes of a sequence in blocks of 64 tokens, of which the last one is begun, and one is spare."""
    return kv_bytes(a, Full(), (math.ceil(tokens / 64) + 1) * 64)


def test_a_rows_mean_length_is_half_way_from_its_prompt_to_its_longest():
    assert LONG.mean == (2_000 + 33_000) / 2
    assert Lengths(10).mean == 5 and Lengths(11, 11).mean == 11


def test_vllms_rows_fill_a_gpu_at_their_mean_length():
    spec = on_vllm()
    a, fit = spec.model.architecture, fit_on(spec, H100, 1, LONG)

    def needed(rows: int) -> int:
        longest = in_blocks(a, LONG.row)
        cache = longest + (rows - 1) * in_blocks(a, LONG.mean)
        return weights_bytes(spec.model, spec.weights) + workspace_bytes(a, rows) + cache

    usable = usable_bytes(H100.memory_bytes)
    assert needed(fit.rows) <= usable < needed(fit.rows + 1)
    assert fit.peak_bytes(fit.rows) == needed(fit.rows)
    assert fit.certain_rows < fit.rows < 2 * fit.certain_rows


MODELS = st.sampled_from(["qwen3-0.6b", "qwen3-8b", "qwen3-32b"])
GPUS = st.integers(8 * GB, 200 * GB).map(lambda size: Gpu("any", size, 1e12, 1e14))
LENGTHS = st.builds(
    lambda prompt, trace: Lengths(prompt + trace, prompt),
    st.integers(1, 8_000),
    st.integers(1, 32_000),
)


@settings(deadline=None)
@given(MODELS, GPUS, st.integers(1, 128), LENGTHS)
def test_a_row_at_its_longest_always_fits(name: str, gpu: Gpu, rows: int, lengths: Lengths):
    spec = on_vllm(name)
    fit = placed(spec, gpu, rows, lengths)
    if fit is None:
        return
    assert 1 <= fit.certain_rows <= fit.rows <= rows
    share = min(1, fit.gpus) * gpu.memory_bytes
    assert fit.peak_bytes(fit.rows) <= share + 1
    longest = fit.weights_bytes + fit.fixed_bytes + fit.row_bytes
    a = fitting.share(spec.model.architecture, max(1, int(fit.gpus)))
    cache = in_blocks(a, lengths.within(a).row)
    assert longest == fit.weights_bytes + workspace_bytes(a, 1) + cache


def test_gpus_are_added_until_enough_rows_decode_for_certain():
    """On average 8 rows fit on one GPU. But half of them would wait, and all weights be read for the rest."""
    eight_bits = on_vllm("qwen3-32b", weights=catalogue.weights("gptq-8"))
    alone, found = fit_on(eight_bits, H100, 1, LONG), placed(eight_bits, H100, 128, LONG)
    assert alone.rows >= fitting.ENOUGH_ROWS > alone.certain_rows
    assert found is not None and found.gpus == 2


def test_where_all_rows_fit_at_their_longest_none_waits():
    assert crowding(8, 8).decoding == crowding(4, 8).decoding == 1
    assert crowding(8, 8).recomputed == 0
    spec = on_vllm()
    fit = fit_on(spec, H100, 1, LONG)
    roomy = replace(fit, rows=fit.certain_rows)
    crowded, free = (speed(spec, H100, f, LONG.trace) for f in (fit, roomy))
    assert crowded.step_s > free.step_s and crowded.row_s > free.row_s
    assert crowded.tokens_s() > 1.05 * free.tokens_s()


@pytest.mark.parametrize("certain", [4, 8, 15, 40])
@pytest.mark.parametrize("beyond", [1.25, 1.5, 1.9])
def test_the_plan_knows_how_many_rows_decode_and_what_is_computed_again(
    certain: int, beyond: float
):
    """Against a cache with traces of equal length, which begin together and so are long together."""
    rows = int(certain * beyond)
    decoding, recomputed = simulated(rows, certain, traces=20 * certain)
    planned = crowding(rows, certain)
    assert planned.decoding == pytest.approx(decoding / rows, abs=0.07)
    assert planned.recomputed == pytest.approx(recomputed, abs=0.07)


def test_traces_of_different_lengths_are_rarely_computed_again():
    lengths = [50 + 37 * index % 950 for index in range(600)]
    decoding, recomputed = simulated(29, 15, traces=600, lengths=lengths)
    assert recomputed < 0.02 and decoding > 0.9 * 29


TRACE, STEP = 1_000, 5


def simulated(
    rows: int, certain: int, traces: int, lengths: list[int] | None = None
) -> tuple[float, float]:
    """The mean number of rows that decode, and tokens computed again per decoded one.

    As in vLLM, the sample that began last is preempted. It goes on before younger ones, once all it has fits.
    """
    room, used = certain * TRACE, 0
    waiting = [(number, 0, length) for number, length in enumerate(lengths or [TRACE] * traces)]
    running: list[tuple[int, int, int]] = []
    steps = decoded = again = 0
    while waiting or running:
        preempted = False
        while used + STEP * len(running) > room:
            youngest = max(running)
            running.remove(youngest)
            heappush(waiting, youngest)
            used, preempted = used - youngest[1], True
        while waiting and not preempted and len(running) < rows and used + waiting[0][1] <= room:
            running.append(heappop(waiting))
            used, again = used + running[-1][1], again + running[-1][1]
        running = [(number, has + STEP, length) for number, has, length in running]
        steps, decoded = steps + 1, decoded + len(running)
        running = [row for row in running if row[1] < row[2]]
        used = sum(row[1] for row in running)
    return decoded / steps, again / (decoded * STEP)
