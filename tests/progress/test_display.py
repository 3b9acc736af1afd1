"""What a person reads of a running sweep, in a terminal and in a job's log."""

import io
from contextlib import suppress
from dataclasses import replace

from rich.console import Console

from raysweep.monitoring.snapshot import EngineProgress, Snapshot
from raysweep.progress.display import print_lines, show_progress

ENGINE = EngineProgress("toy.bf16.full", "toy", "bf16", "full", "chain")


def snapshot(done: int) -> Snapshot:
    engine = replace(ENGINE, shards_done=done, shards_waiting=200 - done, samples=8 * done)
    return Snapshot((engine,), actors=2, tokens_s=1200.0, seconds_left=200.0 - done)


def test_a_log_has_a_line_each_minute_and_one_at_the_end():
    clock, log = [0.0], io.StringIO()
    with print_lines(Console(file=log, width=40), 1600, now=lambda: clock[0]) as show:
        for second in range(151):
            clock[0] = float(second)
            show(snapshot(second))
    lines = log.getvalue().splitlines()
    assert [line.split()[1] for line in lines] == [
        "0/1,600",
        "480/1,600",
        "960/1,600",
        "1,200/1,600",
    ]
    assert lines[1] == (
        "generate  480/1,600 samples · 60/200 shards · 2 actors · 1,200 tokens/s · 2 min 20 s left"
    )


def test_a_log_says_how_far_it_was_when_a_fault_ended_the_run():
    log = io.StringIO()
    with suppress(KeyboardInterrupt), show_progress(Console(file=log), 1600) as show:
        show(snapshot(0))
        show(snapshot(7))
        raise KeyboardInterrupt
    assert [line.split()[1] for line in log.getvalue().splitlines()] == ["0/1,600", "56/1,600"]


def test_what_is_said_already_is_not_said_again_at_the_end():
    log = io.StringIO()
    with show_progress(Console(file=log), 1600) as show:
        show(snapshot(7))
    assert log.getvalue().count("\n") == 1


def test_a_terminal_has_a_bar_instead():
    log = io.StringIO()
    with show_progress(Console(file=log, force_terminal=True, width=140), 1600) as show:
        show(snapshot(7))
    assert "━" in log.getvalue() and "56/1600" in log.getvalue()
