"""Runs a sweep of 30,000 shards and more for an hour, and draws the memory of each kind of process over time.

    python -m benchmarks.soak runs/soak --minutes 60

The engine is fake, and everything around it is real: Ray, two actors, the driver, its metrics and the agent
that exports them. The sweep is the part of `+sweep=full` that needs no quantised checkpoints. A process's
memory is what it alone has (USS), so that Ray's shared memory is not counted with each. The program prints
how fast each kind grew in the second half, in MiB per hour, by a line through its points.
"""

import argparse
import csv
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import psutil

from benchmarks.full_size import overrides, write_questions

EVERY_S = 10.0
MIB = 1 << 20

# The first text that is found in a process's command line names its kind. The raylet's names its agents.
NODE = "raylet and its agents"
KINDS = {
    **dict.fromkeys(
        ("raylet", "DashboardAgent", "dashboard/agent", "RuntimeEnvAgent", "runtime_env"), NODE
    ),
    "ray::": "actors",
    "gcs_server": "GCS",
    "dashboard": "dashboard",
    "monitor.py": "monitors",
}


def main() -> None:
    parser = argparse.ArgumentParser(description="The memory of a sweep over time.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=60.0)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    write_questions(given.folder)
    rows = watched(command(given.folder), given.folder, given.minutes * 60)
    draw(rows, given.folder / "soak.png")
    for line in lines(rows):
        print(line)


def command(folder: Path) -> list[str]:
    """A sweep of 218,880 shards on two actors."""
    own = ["sweep.weights=[bf16]", "generation.shard_questions=1", "generation.shard_samples=1"]
    here = ["cluster=local", "cluster.actors=2", "stages=[generate]"]
    wanted = [one for one in overrides(folder, 1) if not one.startswith("cluster.")]
    return [sys.executable, "-m", "raysweep", *wanted, *own, *here]


def watched(arguments: Sequence[str], folder: Path, seconds: float) -> list[dict[str, float]]:
    """Run a command for at most so long; its minutes, shards and MiB by kind of process, every 10 s."""
    rows: list[dict[str, float]] = []
    started = time.monotonic()
    with (folder / "soak.log").open("w") as log, (folder / "soak.csv").open("w") as table:
        process = subprocess.Popen(arguments, stdout=log, stderr=subprocess.STDOUT)
        while process.poll() is None and time.monotonic() - started < seconds:
            time.sleep(EVERY_S)
            memory = memory_by_kind(process.pid)
            shards = sum(1 for _ in folder.glob("full/samples/*/*.parquet"))
            rows.append({"minutes": (time.monotonic() - started) / 60, "shards": shards, **memory})
            table.seek(0)
            _write(table, rows)
        process.send_signal(signal.SIGTERM)
        process.wait()
    return rows


def _write(table, rows: Sequence[Mapping[str, float]]) -> None:  # pyright: ignore[reportMissingParameterType]
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(table, names, restval=0.0)
    writer.writeheader()
    writer.writerows(rows)
    table.flush()


def memory_by_kind(pid: int) -> dict[str, float]:
    """The MiB that the processes of each kind have for themselves, for a command and its descendants."""
    found: defaultdict[str, float] = defaultdict(float)
    with suppress(psutil.NoSuchProcess):
        command = psutil.Process(pid)
        for process in (command, *command.children(recursive=True)):
            # A process may end while it is looked at.
            with suppress(psutil.NoSuchProcess):
                kind = "driver" if process.pid == pid else _kind(process)
                found[kind] += process.memory_full_info().uss / MIB
    return dict(found)


def _kind(process: psutil.Process) -> str:
    line = " ".join(process.cmdline())
    return next((kind for text, kind in KINDS.items() if text in line), "others")


def lines(rows: Sequence[Mapping[str, float]]) -> list[str]:
    """What the run made, and the growth of each kind in its second half."""
    half = [row for row in rows if row["minutes"] >= rows[-1]["minutes"] / 2]
    minutes = np.array([row["minutes"] for row in half])
    said = [f"{rows[-1]['shards']:,.0f} shards in {rows[-1]['minutes']:.0f} minutes"]
    for kind in _kinds(rows):
        mib = np.array([row.get(kind, 0.0) for row in half])
        slope = float(np.polyfit(minutes, mib, 1)[0]) * 60
        said.append(f"{kind:<26} {mib[0]:7.0f} -> {mib[-1]:7.0f} MiB, {slope:+7.1f} MiB per hour")
    return said


def _kinds(rows: Sequence[Mapping[str, float]]) -> list[str]:
    names = dict.fromkeys(name for row in rows for name in row)
    return [name for name in names if name not in ("minutes", "shards")]


def draw(rows: Sequence[Mapping[str, float]], path: Path) -> None:
    """Memory over time, a line for each kind of process."""
    figure, axes = plt.subplots(figsize=(9, 4.2), layout="constrained")
    minutes = [row["minutes"] for row in rows]
    for kind in sorted(_kinds(rows), key=lambda kind: -rows[-1].get(kind, 0.0)):
        axes.plot(minutes, [row.get(kind, 0.0) for row in rows], label=kind, linewidth=1.2)
    axes.set(xlabel="minutes", ylabel="memory of its own, MiB", ylim=(0, None))
    axes.set_title(f"{rows[-1]['shards']:,.0f} shards with a fake engine on Ray")
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
