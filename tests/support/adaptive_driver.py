"""The stage generate of an adaptive run as a process: `python adaptive_driver.py FOLDER [before|after N]`.

With `before` or `after`, the process kills itself before or after it writes the record of its Nth decision.
"""

import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from ray import cloudpickle
from support import adaptive_runs

from raysweep.adaptive import rounds
from raysweep.configuration.identity import as_document
from raysweep.driver import ray_world
from raysweep.stages import run_stages


def main(folder: str, when: str = "never", number: str = "0") -> int:
    cloudpickle.register_pickle_by_value(adaptive_runs)
    ray_world.EngineActor = adaptive_runs.PlantedActor
    write, calls = rounds.write_look, []

    def write_or_die(*arguments) -> None:
        calls.append(when)
        dies = len(calls) == int(number)
        if dies and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        write(*arguments)
        if dies and when == "after":
            os.kill(os.getpid(), signal.SIGKILL)

    rounds.write_look = write_or_die
    config = adaptive_runs.an_adaptive_config(folder, stages=("generate",))
    return run_stages(config, {**as_document(config), "versions": {"raysweep": "1"}})


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
