"""The command line: `python -m raysweep [+sweep=NAME] [key=value ...]`, or `raysweep`.

Hydra only composes the configuration. raysweep validates it and runs the stages. Bad input gives one line
and exit status 2, wherever it is found. A fault of raysweep keeps its traceback.
"""

import os
import sys

from raysweep.configuration.composition import compose
from raysweep.configuration.config import read_config
from raysweep.configuration.identity import as_document
from raysweep.errors import ClusterLost, ConfigError, StorageError
from raysweep.system.exit_status import BAD_INPUT, DONE, INTERRUPTED, OUTPUT_CLOSED, WORK_REMAINS
from raysweep.system.sigterm import Terminated, terminable
from raysweep.system.streams import accept_any_text


def main() -> int:
    """Do what the command line asks for. Gives the exit status."""
    accept_any_text()
    if (folder := os.getcwd()) not in sys.path:
        sys.path.append(folder)  # A user's own modules are found here, as with `python -m`.
    try:
        with terminable():
            return _run()
    except ConfigError as error:
        for line in str(error).splitlines():
            print(f"raysweep: {line}", file=sys.stderr)
        return BAD_INPUT
    except (StorageError, ClusterLost) as error:
        print(f"raysweep: {error}", file=sys.stderr)
        return WORK_REMAINS
    except BrokenPipeError:
        # Python flushes the rest of the output at its end, which must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OUTPUT_CLOSED
    except KeyboardInterrupt as interruption:
        print("raysweep: interrupted; repeat the same command to continue", file=sys.stderr)
        return WORK_REMAINS if isinstance(interruption, Terminated) else INTERRUPTED


def _run() -> int:
    composed = compose()
    if composed is None:
        return DONE
    config = read_config(composed.values, composed.folders)

    from raysweep.stages import run_stages

    return run_stages(config, as_document(config), composed.folders)


if __name__ == "__main__":
    sys.exit(main())
