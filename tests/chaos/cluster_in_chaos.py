"""A cluster, a driver on it, and the faults that are injected.

The driver is a process of its own on a local cluster of several raylets.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from report import Report

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SWEEP = (
    *("+sweep=smoke", "run=test", "sweep.backend=fake", "stages=[plan,generate,reduce]"),
    *("sweep.weights=[bf16]", "sweep.samples=8"),
    *("generation.shard_questions=4", "generation.shard_samples=2", "generation.max_rows=2"),
    *("generation.max_attempts=1000", "generation.hang_minutes=0.1", "generation.grace_s=12"),
)
# In rounds after 4, 8 and 16 samples of each question. Some engines are out after the first.
ADAPTIVE = ("sweep.adaptive.goal=frontier", "sweep.samples=16")
ORDERS = (
    "killed_loading",
    "killed_writing",
    "engine_error",
    "out_of_memory",
    "hang",
    "storage_error",
)
RESTARTED_WITHIN_S = 60.0
HANG_S = 11.0


class Chaos:
    """A cluster, a driver on it, and functions that inject faults."""

    def __init__(
        self,
        folder: Path,
        seed: int,
        questions: int,
        nodes: int = 3,
        changes: tuple[str, ...] = (),
    ):
        self.folder, self.random, self.changes = folder, random.Random(seed), changes
        self.report = Report()
        for name in ("orders", "taken", "work", "pids", "logs"):
            (folder / name).mkdir(parents=True)
        os.environ |= {"CHAOS": str(folder), "PYTHONPATH": f"{HERE}{os.pathsep}{ROOT}"}
        os.environ.setdefault("RAY_AUTH_TOKEN", "0" * 64)  # Ray reads it once in a process
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        self.pace(0.1)
        self.questions = questions
        self.started = 0
        self._start_cluster(nodes)
        self.driver = self.start_driver()

    def _start_cluster(self, nodes: int) -> None:
        from ray.cluster_utils import Cluster

        quick = {
            "health_check_initial_delay_ms": 1000,
            "health_check_period_ms": 1000,
            "health_check_timeout_ms": 1000,
            "health_check_failure_threshold": 3,
        }
        head = {"num_cpus": 0, "object_store_memory": 80_000_000, "_system_config": quick}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.nodes = [self.add_node() for _ in range(nodes)]

    def add_node(self):
        return self.cluster.add_node(num_cpus=1, object_store_memory=80_000_000)

    def pace(self, step_s: float) -> None:
        (self.folder / "new_pace").write_text(str(step_s))
        (self.folder / "new_pace").rename(self.folder / "pace")

    def command(self, *changes: str) -> list[str]:
        benchmarks = ",".join(
            f"{{name: {name}, count: {self.questions}}}" for name in ("chain", "facts")
        )
        script = str(HERE / "ordered_driver.py")
        grid = f"sweep.benchmarks=[{benchmarks}]"
        cluster = [f"cluster.address={self.cluster.address}", "cluster.actors=null"]
        return [sys.executable, script, *SWEEP, grid, *cluster, *self.changes, *changes]

    def start_driver(self) -> subprocess.Popen:
        self.started += 1
        log = (self.folder / "logs" / f"driver-{self.started}.log").open("wb")
        out = f"out={self.folder / 'runs'}"
        return subprocess.Popen(self.command(out), stdout=log, stderr=log, cwd=self.folder)

    # Faults. Each raises Missed if it could not be injected.

    def order(self, kind: str) -> None:
        name = f"{kind}-{self.random.randrange(10**9)}"
        (self.folder / "orders" / name).touch()
        if kind == "killed_loading":
            self.actor_killed()
        try:
            self.wait_for(lambda: (self.folder / "taken" / name).exists(), 30)
        finally:
            (self.folder / "orders" / name).unlink(missing_ok=True)
        if kind == "hang":
            time.sleep(HANG_S)  # Another fault could end the actor before the hang is noticed.

    def actors(self) -> list[int]:
        """Process ids of the live actors."""
        living = []
        for file in (self.folder / "pids").iterdir():
            try:
                command = Path(f"/proc/{file.name}/cmdline").read_bytes()
            except OSError:
                command = b""
            if b"ChaosActor" in command:
                living.append(int(file.name))
            else:
                file.unlink(missing_ok=True)
        return sorted(living)

    def actor_killed(self) -> None:
        self.wait_for(self.actors, 30)
        os.kill(self.random.choice(self.actors()), signal.SIGKILL)

    def node_killed(self) -> None:
        node = self.nodes.pop(self.random.randrange(len(self.nodes)))
        self.cluster.remove_node(node, allow_graceful=False)
        self.nodes.append(self.add_node())

    def storage_down(self) -> None:
        (self.folder / "storage_is_down").touch()
        time.sleep(self.random.uniform(1.0, 3.0))
        (self.folder / "storage_is_down").unlink()

    def driver_killed(self) -> None:
        self.driver.kill()
        self.driver.wait()
        self.restarted()

    def sigterm(self) -> None:
        started = time.monotonic()
        self.driver.terminate()
        status = self.driver.wait(60)
        self.report.ended_s.append(time.monotonic() - started)
        assert status == 3, status
        self.restarted()

    def taken_over(self) -> None:
        older, self.driver = self.driver, self.start_driver()
        assert older.wait(90) == 3
        self.generates_since(time.time())

    def part_damaged(self) -> None:
        parts = sorted(self.folder.glob("runs/test/samples/*/*.parquet"))
        if not parts:
            raise Missed("part_damaged")
        self.driver.kill()
        self.driver.wait()
        part = self.random.choice(parts)
        data = bytearray(part.read_bytes())
        data[self.random.randrange(len(data) // 2, len(data))] ^= 0xFF
        part.write_bytes(data)
        self.restarted()

    def restarted(self) -> None:
        before = time.time()
        self.driver = self.start_driver()
        self.report.restarts_s.append(self.generates_since(before))

    def generates_since(self, before: float) -> float:
        """Wait for the first sample after a moment. Gives the seconds from that moment."""
        made: list[float] = []

        def look() -> bool:
            made[:] = [at for what, _, at, _ in self.work() if what == "made" and at > before + 1]
            return bool(made)

        self.wait_for(look, RESTARTED_WITHIN_S)
        return min(made) - before

    def work(self) -> Iterator[tuple[str, int, float, str]]:
        """All notes of the actors, as (what, count, time, actor)."""
        for file in (self.folder / "work").iterdir():
            for line in file.read_text().splitlines():
                yield (*json.loads(line), file.stem)

    def wait_for(self, holds: Callable[[], object], seconds: float) -> None:
        end = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > end or self.driver.poll() is not None:
                raise Missed
            time.sleep(0.1)

    def do(self, kind: str) -> None:
        """Inject a fault. It is not counted if that was not possible."""
        if self.driver.poll() is not None:
            if self.driver.returncode == 0:
                raise Finished
            self.restarted()
        try:
            self.order(kind) if kind in ORDERS else getattr(self, kind)()
        except Missed:
            print(f"  missed: {kind}", flush=True)
            return
        self.report.injected[kind] += 1

    def finish(self) -> int:
        """Let the driver finish without further faults, and verify all parts. Gives its exit status."""
        self.pace(0)
        if self.driver.wait(500) == 0 and not self.report.injected["part_damaged"]:
            return 0
        for _ in range(3):
            verified = self.command(f"out={self.folder / 'runs'}", "verify.repair=true")
            verified[verified.index("stages=[plan,generate,reduce]")] = "stages=[verify]"
            subprocess.run(verified, cwd=self.folder, stdout=subprocess.DEVNULL, timeout=300)
            self.driver = self.start_driver()
            if self.driver.wait(500) == 0:
                break
        return self.driver.returncode

    def calm(self) -> None:
        """Run the same sweep without faults, on a Ray of its own."""
        command = self.command(f"out={self.folder / 'calm'}", "cluster.address=local")
        command[1:2] = ["-m", "raysweep"]
        command[command.index("cluster.actors=null")] = "cluster.actors=2"
        subprocess.run(command, cwd=self.folder, check=True, stdout=subprocess.DEVNULL, timeout=300)

    def lost_shards(self) -> list[float]:
        """Per actor that ended: the work that it had done but not written, in shards."""
        made, kept = Counter(), Counter()
        for what, count, _, actor in self.work():
            (made if what == "made" else kept)[actor] += count
        return [(made[actor] - kept[actor]) / 8 for actor in made]

    def close(self) -> None:
        if self.driver.poll() is None:
            self.driver.kill()
            self.driver.wait()
        self.cluster.shutdown()


class Missed(Exception):  # noqa: N818 - it is no fault
    """A fault could not be injected."""


class Finished(Exception):  # noqa: N818 - nor this
    """The sweep ended before all faults were injected."""
