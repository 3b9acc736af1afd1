"""A connection to a Ray cluster, or a private Ray cluster on this machine that ends with the session."""

import logging
import math
import os
import resource
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

import ray

from raysweep.driver.loopback import loopback_alone
from raysweep.driver.sent_code import packed_code
from raysweep.driver.temporary_folder import private_folder, short_temporary_folder
from raysweep.errors import ConfigError
from raysweep.run_config import Cluster
from raysweep.system.sigterm import terminable

# An idle actor with torch reserves 2.1 GB of addresses, although it uses far less memory.
LEAST_ADDRESS_BYTES = 3_000_000_000
# Close to the smallest store that Ray allows, because only shards and receipts are sent through it.
OBJECT_STORE_BYTES = 100_000_000

# Environment variables for Ray. If the user has set one, the user's value stays.
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # The driver handles lost calls without asking for each, so Ray need not print them.
    "RAY_IGNORE_UNHANDLED_ERRORS": "1",
    # Without this Ray prints a warning that its default will change.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}

# Environment of an actor or task without GPUs. Ray does not hide the GPUs from it by itself.
NO_GPU = {"CUDA_VISIBLE_DEVICES": ""}


@contextmanager
def ray_session(cluster: Cluster) -> Iterator[None]:
    """Ray for the duration of the context. If this process already runs Ray, it is used and left running."""
    if ray.is_initialized():
        if cluster.send_code:
            raise ConfigError(
                "cluster.send_code: true, but this process runs Ray already, which takes no more code; end "
                "it with ray.shutdown(), or write false"
            )
        yield
        return
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    with ExitStack() as ended:
        if cluster.address == "local":
            ended.enter_context(short_temporary_folder())
            folder = ended.enter_context(private_folder())
            address = ended.enter_context(loopback_alone())
            ended.callback(ray.shutdown)
            _start_local(cluster, folder, address)
        else:
            ended.callback(ray.shutdown)
            _connect(cluster)
        with terminable():  # Ray's own handler of SIGTERM would exit without a message.
            yield


def _connect(cluster: Cluster) -> None:
    try:
        with packed_code() if cluster.send_code else nullcontext([]) as folders:
            _init(address=cluster.address, runtime_env={"py_modules": folders} if folders else None)
    except (ConnectionError, ValueError) as error:
        raise ConfigError(
            f"cluster.address: no Ray cluster answers at {cluster.address!r} ({error}); "
            "correct the address, or write local to start Ray on this machine"
        ) from error


def _init(**options: Any) -> None:
    ray.init(logging_level=logging.ERROR, log_to_driver=False, **options)


def _start_local(cluster: Cluster, folder: str, address: str) -> None:
    """Start a Ray cluster that only this process can talk to and that ends with it.

    folder   for its sockets and logs
    address  on which its processes listen
    """
    check_addresses()
    # Without a token in the environment Ray writes one to ~/.ray.
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    _init(
        address="local",
        num_cpus=math.ceil(cluster.actors * cluster.cpus_per_actor) if cluster.actors else None,
        include_dashboard=False,
        object_store_memory=OBJECT_STORE_BYTES,
        _temp_dir=folder,
        _node_ip_address=address,
    )


def check_addresses() -> None:
    """Raise ConfigError where Ray would start but wait in vain for processes that cannot load."""
    most = resource.getrlimit(resource.RLIMIT_AS)[0]
    if most != resource.RLIM_INFINITY and most < LEAST_ADDRESS_BYTES:
        raise ConfigError(
            f"ulimit -v: {most // 1024} kB of addresses per process are too few for Ray and its actors; "
            f"raise it to {LEAST_ADDRESS_BYTES // 1000} or more, or to unlimited, in the shell that "
            "starts raysweep"
        )
