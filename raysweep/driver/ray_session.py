"""A connection to a Ray cluster, or a private Ray on this machine for as long as it is needed."""

import logging
import math
import os
import resource
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import ray

from raysweep.driver.temporary_folder import short_temporary_folder
from raysweep.errors import ConfigError
from raysweep.run_config import Cluster
from raysweep.system.sigterm import terminable

LEAST_ADDRESS_BYTES = 3_000_000_000  # an idle actor with torch reserves 2.1 GB, and uses far less
OBJECT_STORE_BYTES = 100_000_000  # next to Ray's least: nothing but shards and receipts travels

# Of a setting that the user has made already, the user's value stays.
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_IGNORE_UNHANDLED_ERRORS": "1",  # of lost calls: the driver handles them, without asking each
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # without it Ray warns of a change to come
}


@contextmanager
def ray_session(cluster: Cluster) -> Iterator[None]:
    """Ray for the context's duration; one that runs in this process already is used and left alone."""
    if ray.is_initialized():
        yield
        return
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    with ExitStack() as ended:
        if cluster.address == "local":
            ended.enter_context(short_temporary_folder())
        ended.callback(ray.shutdown)
        if cluster.address == "local":
            _start_local(cluster)
        else:
            _connect(cluster)
        with terminable():  # Ray's own handler would exit without a word
            yield


def _connect(cluster: Cluster) -> None:
    try:
        _init(address=cluster.address)
    except (ConnectionError, ValueError) as error:
        raise ConfigError(
            f"cluster.address: no Ray cluster answers at {cluster.address!r} ({error}); "
            "correct it, or write local"
        ) from error


def _init(**options: Any) -> None:
    ray.init(logging_level=logging.ERROR, log_to_driver=False, **options)


def _start_local(cluster: Cluster) -> None:
    """Start a Ray that only this process can talk to, and that ends with it."""
    check_addresses()
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # else Ray writes one to ~/.ray
    _init(
        address="local",
        num_cpus=math.ceil(cluster.actors * cluster.cpus_per_actor) if cluster.actors else None,
        include_dashboard=False,
        object_store_memory=OBJECT_STORE_BYTES,
    )


def check_addresses() -> None:
    """Raise ConfigError where Ray would start, and then wait in vain for processes that cannot load."""
    most = resource.getrlimit(resource.RLIMIT_AS)[0]
    if most != resource.RLIM_INFINITY and most < LEAST_ADDRESS_BYTES:
        raise ConfigError(
            f"ulimit -v: {most // 1024} kB of addresses per process are too few for Ray and its actors; "
            f"raise it to {LEAST_ADDRESS_BYTES // 1000} or more, or to unlimited, in the shell that "
            "starts raysweep"
        )


# Ray only hides the GPUs of an actor that has some; one that has none would use the first.
NO_GPU = {"CUDA_VISIBLE_DEVICES": ""}
