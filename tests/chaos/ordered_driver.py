"""raysweep's command line with actors that obey orders to fail: `python ordered_driver.py [key=value …]`.

An order is a file in $CHAOS/orders with the kind of fault in its name. The first actor that reaches the point
of that fault takes the order, by renaming the file, and fails as ordered. The product contains none of this.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

from actors.engine_actor import EngineActor
from raysweep.driver import ray_world
from raysweep.errors import StorageError
from raysweep.shard import Shard
from raysweep.storage import publishing

CHAOS = Path(os.environ["CHAOS"])


class OutOfMemoryError(RuntimeError):
    """Has the name of torch's exception."""


def ordered(kind: str) -> bool:
    """Whether there is an order of this kind, which is then taken."""
    for order in (CHAOS / "orders").glob(f"{kind}-*"):
        try:
            os.rename(order, CHAOS / "taken" / order.name)
        except FileNotFoundError:
            continue
        return True
    return False


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class ChaosActor(EngineActor):
    """An actor that is slow, logs its work, and obeys orders to fail."""

    def __init__(self, **arguments):
        if ordered("killed_loading"):
            die()
        super().__init__(**arguments)
        self.log = (CHAOS / "work" / f"{os.getpid()}.jsonl").open("a", buffering=1)
        (CHAOS / "pids" / str(os.getpid())).touch()
        publish, engine_step, add = publishing._publish_local, self.engine.step, self.engine.add

        def logged(request, done) -> None:
            def finished(trace) -> None:
                self.note("made", 1)
                done(trace)

            add(request, finished)

        def published(target: str, data: bytes) -> None:
            if (CHAOS / "storage_is_down").exists():
                raise OSError(5, "the storage is down")
            if ordered("storage_error"):
                raise StorageError("storage: it went on failing")
            publish(target, data)

        def step() -> None:
            time.sleep(float((CHAOS / "pace").read_text() or 0))
            if ordered("engine_error"):
                raise RuntimeError("an order")
            if ordered("out_of_memory"):
                raise OutOfMemoryError("an order")
            if ordered("hang"):
                time.sleep(1e6)
            engine_step()

        publishing._publish_local, self.engine.step, self.engine.add = published, step, logged
        replace = os.replace

        def replaced(*paths: str) -> None:
            if "shard-" in str(paths[1]) and ordered("killed_writing"):
                die()
            replace(*paths)

        os.replace = replaced

    async def run_shard(self, shard: Shard):
        receipt = await super().run_shard(shard)
        self.note("kept", receipt.samples)
        return receipt

    def note(self, what: str, count: int) -> None:
        self.log.write(json.dumps([what, count, time.time()]) + "\n")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    import ordered_driver as by_name  # so that workers find the class by its module's name

    from raysweep.__main__ import main

    ray_world.EngineActor = by_name.ChaosActor
    sys.exit(main())
