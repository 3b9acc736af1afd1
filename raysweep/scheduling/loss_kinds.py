"""The kinds of loss: why an actor, or the driver itself, was lost.

These strings are stored. They are the keys of `faults_by_kind` in summary.json and of `faults` in
progress.json, and the values of the metrics' label `kind`, so they stay the same between versions.
"""

from typing import Literal

LossKind = Literal[
    "actor",  # The actor's process died: it was killed, it crashed, or it ran out of host memory.
    "node",  # The actor's node went away, or Ray could not reach it or schedule on it.
    "server",  # The server that the loaded engine asks was away for too long.
    # The engine failed before it was loaded, whatever the failure was; or its server refuses to be used.
    "load",
    "error",  # The loaded engine raised an exception.
    "out_of_memory",  # The loaded engine ran out of GPU memory.
    "hang",  # The engine took no step for `generation.hang_minutes`, though it had work.
    "storage",  # The samples could not be written.
    "driver",  # The driver was killed. The session after it notes this.
]

# Losses that no shard and no engine can have caused.
BLAMELESS: frozenset[LossKind] = frozenset({"node", "server", "storage"})
