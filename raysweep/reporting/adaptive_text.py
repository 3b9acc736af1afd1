"""Adaptive runs in words: the guarantee, the rounds, what was stopped and why, and what was saved.

The facts are those of `adaptive.course`, which summary.json holds too.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from raysweep.adaptive.course import BenchmarkCourse, Decision, StoppedEngine
from raysweep.adaptive.decisions import Place
from raysweep.reporting.terminal_lines import Line
from raysweep.run_config import Adaptive, RunConfig
from raysweep.system.quantities import (
    human_bytes,
    human_count,
    percent,
    percentage_points,
    plural,
)

# Stopped engines that are named in the terminal, those with the largest saving.
MOST_NAMED = 3


def guarantee(adaptive: Adaptive, samples: int, benchmarks: int) -> str:
    """What an adaptive run whose rounds are all done promises, in a sentence, and what it does not."""
    sure = f"With a probability of {100 * (1 - adaptive.delta):.4g}%"
    whose = ", on each benchmark," if benchmarks > 1 else ","
    if adaptive.memory_bytes is None:
        near = f"within {points(adaptive.epsilon)} of" if adaptive.epsilon else "no worse than"
        whole = f"the one that all {samples:,} samples would show"
        said = f"the frontier of these questions is {near} {whole}"
    else:
        batch = f" for {plural(adaptive.batch_size, 'question')} at once"
        where = f"within {human_bytes(adaptive.memory_bytes)}{batch * (adaptive.batch_size > 1)}"
        more = f" by more than {points(adaptive.epsilon)}" if adaptive.epsilon else ""
        said = (
            f"no configuration {where} is better{more} than the best of those that were sampled to the "
            f"end, by all {samples:,} samples of these questions"
        )
    return (
        f"{sure}{whose} {said}; this is about the chance of sampling, while what other questions would show "
        "is in the intervals as ever."
    )


def points(share: float) -> str:
    """`1 point`, `0.5 points`: a difference of accuracies in percentage points."""
    return f"{100 * share:g} point" + ("" if share == 0.01 else "s")


def other_than_sampled(config: RunConfig) -> str:
    """What to know of a recommendation for other requirements than those that the run sampled for."""
    adaptive, wish = config.sweep.adaptive, config.recommend
    if adaptive is None or adaptive.memory_bytes is None:
        return ""
    if (wish.memory_bytes, wish.batch_size) == (adaptive.memory_bytes, adaptive.batch_size):
        return ""
    wanted = (adaptive.memory_bytes, adaptive.batch_size, adaptive.epsilon, adaptive.delta)
    return f"the run sampled for {asked_for(*wanted)}; for other requirements the best may have been stopped"


def never_judged(count: int) -> str:
    """What the guarantee does not speak of; empty if there is nothing."""
    if not count:
        return ""
    are = "was" if count == 1 else "were"
    their = "its group was" if count == 1 else "their groups were"
    stopped = "it stopped with its engine" if count == 1 else "they stopped with their engines"
    return (
        f"It does not speak of {plural(count, 'configuration')} that {are} never "
        f"judged, since {their} too large for the samples made by then; {stopped} or at a budget where "
        "all smaller groups were out."
    )


def asked_for(memory_bytes: float | None, batch_size: int, epsilon: float, delta: float) -> str:
    """What a run asks for: `the frontier up to 1 point, with a probability of 95%`."""
    what = "the frontier"
    if memory_bytes is not None:
        what = f"the best within {human_bytes(memory_bytes)}"
        if batch_size > 1:
            what += f" for {plural(batch_size, 'question')} at once"
    return f"{what} up to {points(epsilon)}, with a probability of {100 * (1 - delta):.4g}%"


def course_lines(course: Sequence[BenchmarkCourse], samples: int) -> Iterator[tuple[str, str]]:
    """Where each benchmark is, and which engines were stopped: lines of (label, text) for the terminal.

    samples  per question that a configuration has which is sampled to the end
    """
    for one in course:
        yield "rounds", f"{one.benchmark}: {round_in_words(one, samples)}"
        for engine in one.largest[:MOST_NAMED]:
            yield "", f"  {stopped_in_words(engine)}"
        if (others := one.stopped_engines - MOST_NAMED) > 0:
            yield "", f"  and {plural(others, 'other engine')}"


def round_in_words(one: BenchmarkCourse, samples: int) -> str:
    """`4 of 24 engines and 700 of 1,008 configurations are out; now 16 of 32 samples`."""
    at = "every decision is made" if one.done else "being made"
    now = f"{one.samples:,} of {samples:,} samples per question, {at}"
    return (
        f"{now}; {one.stopped_engines:,} of {plural(one.engines, 'engine')} and {one.stopped:,} of "
        f"{plural(one.configurations, 'configuration')} are out"
    )


def stopped_in_words(one: StoppedEngine) -> str:
    """`big after 4 samples: small is at most 0.3 points worse`, or what else stopped the engine."""
    if not one.samples:
        return f"{one.engine_id} never starts: it does not fit the memory"
    after = f"{one.engine_id} after {plural(one.samples, 'sample')}"
    if one.out is None or one.by is None or one.margin is None:
        return f"{after}: no configuration of it fits the memory"
    return f"{after}: {beaten_in_words(one.out, one.by, one.margin)}"


def beaten_in_words(out: Place, by: Place, margin: float) -> str:
    """What takes the place of a configuration, and how much better that one may be."""
    ahead = percentage_points(abs(margin))
    how = f"at most {ahead} points worse" if margin > 0 else f"at least {ahead} points better"
    own = f"at {out[1]:,} tokens and G = {out[2]}, "
    return f"{own}{by[0]} with {by[1]:,} tokens and G = {by[2]} is {how}"


def adaptive_lines(adaptive: Mapping[str, Any]) -> Iterator[Line]:
    """What an adaptive run stopped, saved and promises, for the terminal after reduce."""
    stopped, whole = (
        sum(getattr(one, name) for one in course_from(adaptive["benchmarks"]))
        for name in ("stopped", "configurations")
    )
    yield Line("adaptive", f"{stopped:,} of {plural(whole, 'configuration')} stopped early")
    for text in saved_lines(adaptive):
        yield Line("", text)
    if adaptive["guarantee"] is None:
        yield Line(
            "", "not all rounds are done, so nothing is guaranteed; the same command goes on"
        )
        return
    for text in (adaptive["guarantee"], adaptive["never_judged"]):
        if text:
            yield Line("", text)


def saved_lines(adaptive: Mapping[str, Any]) -> Iterator[str]:
    """What was made, of what the full run is planned to be: tokens, GPU-hours, money."""
    made, full = adaptive["made"], adaptive["full_run"]
    if full["tokens"]:
        share = percent(made["tokens"] / full["tokens"])
        whole = f"the {human_count(full['tokens'])} of a full run"
        yield f"{human_count(made['tokens'])} tokens, {share} of {whole}"
    if made["gpu_hours"] is not None and full["gpu_hours"]:
        share = percent(made["gpu_hours"] / full["gpu_hours"])
        money = f", ${full['usd'] - made['usd']:,.2f} less" if full["usd"] else ""
        hours = f"{made['gpu_hours']:,.2f} GPU-hours, {share} of {full['gpu_hours']:,.2f}"
        yield f"{hours}, by the cost model{money}"


def course_from(noted: Sequence[Mapping[str, Any]]) -> tuple[BenchmarkCourse, ...]:
    """The course as summary.json holds it."""
    return tuple(
        BenchmarkCourse(
            **{
                **one,
                "decisions": tuple(Decision(**decision) for decision in one["decisions"]),
                "largest": tuple(_engine(engine) for engine in one["largest"]),
            }
        )
        for one in noted
    )


def _engine(noted: Mapping[str, Any]) -> StoppedEngine:
    places = {name: None if noted[name] is None else tuple(noted[name]) for name in ("out", "by")}
    return StoppedEngine(**{**noted, **places})
