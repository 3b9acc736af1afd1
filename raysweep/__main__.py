"""The command line: `python -m raysweep [+sweep=NAME] [key=value ...]`, or `raysweep`.

Hydra composes the configuration, and ends; raysweep validates it, and runs the stages. Bad input is one
line and exit status 2, whoever finds it; other faults keep their traceback.
"""

import os
import sys

from raysweep.configuration.composition import compose
from raysweep.configuration.config import read_config
from raysweep.configuration.identity import as_document
from raysweep.errors import ClusterLost, ConfigError, StorageError
from raysweep.system.sigterm import Terminated, terminable
from raysweep.system.streams import accept_any_text

BAD_INPUT, WORK_REMAINS, INTERRUPTED, HUNG_UP = 2, 3, 130, 141


def main() -> int:
    """Do what the command line asks for; the exit status."""
    accept_any_text()
    if (folder := os.getcwd()) not in sys.path:  # a user's own modules, as `python -m` finds them
        sys.path.append(folder)
    try:
        with terminable():
            return _run()
    except ConfigError as error:
        print(f"raysweep: {error}", file=sys.stderr)
        return BAD_INPUT
    except (StorageError, ClusterLost) as error:
        print(f"raysweep: {error}", file=sys.stderr)
        return WORK_REMAINS
    except BrokenPipeError:  # `--help | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left to flush
        return HUNG_UP
    except KeyboardInterrupt as interruption:
        print("raysweep: interrupted; the same command goes on", file=sys.stderr)
        return WORK_REMAINS if isinstance(interruption, Terminated) else INTERRUPTED


def _run() -> int:
    composed = compose()
    if composed is None:
        return 0
    config = read_config(composed.values, composed.folders)

    from raysweep.stages import run_stages

    return run_stages(config, as_document(config), composed.folders)


if __name__ == "__main__":
    sys.exit(main())
