"""Makes a private Ray listen on the loopback interface alone.

Ray's metrics need no token, and each of its processes listens on all interfaces. Ray binds all of them to the
loopback interface on macOS and Windows, where it runs no clusters of several machines. A private Ray has one
machine everywhere, so the same switch is set for it. Ray has read it when it was imported, and its processes
read it from the environment.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from ray._private import ray_constants

ADDRESS = "127.0.0.1"


@contextmanager
def loopback_alone() -> Iterator[str]:
    """Gives the address of this machine for `ray.init`, and restores Ray's switch at the end."""
    name, before = ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR, ray_constants.ENABLE_RAY_CLUSTER
    said = os.environ.get(name)
    os.environ[name], ray_constants.ENABLE_RAY_CLUSTER = "0", False
    try:
        yield ADDRESS
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before
        if said is None:
            del os.environ[name]
        else:
            os.environ[name] = said
