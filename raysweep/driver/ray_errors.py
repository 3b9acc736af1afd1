"""Ray's exceptions, read as a kind of loss and a reason of one line."""

from ray.exceptions import (
    ActorUnavailableError,
    ActorUnschedulableError,
    NodeDiedError,
    RayActorError,
    RayError,
    RayTaskError,
)

from raysweep.scheduling.loss_kinds import LossKind

MEMORY_WORDS = "low on memory"
NODE_WORDS = ("node has died", "node died", "node is dead", "node failure", "raylet")


KINDS_BY_NAME: dict[str, LossKind] = {
    "OutOfMemoryError": "out_of_memory",
    "StorageError": "storage",
    "StorageRefused": "storage",
    # Whatever the server refuses, it refuses of all questions.
    "ServerRefused": "load",
    "ServerUnavailable": "server",
}


def kind_of(error: RayError) -> LossKind:
    """The kind of loss. `Losses` turns it into `load` if the engine was not loaded yet."""
    if isinstance(error, RayTaskError):
        return KINDS_BY_NAME.get(type(error.cause).__name__, "error")
    if isinstance(error, ActorUnavailableError | ActorUnschedulableError | NodeDiedError):
        return "node"
    if isinstance(error, RayActorError) and error.actor_init_failed:
        return "load"
    message = str(error).lower()
    if MEMORY_WORDS in message:  # Ray killed the actor to protect its node, which lives on.
        return "actor"
    return "node" if any(words in message for words in NODE_WORDS) else "actor"


def reason_of(error: RayError) -> str:
    """The actor's own exception, or the last line of Ray's message, in one line."""
    if isinstance(error, RayTaskError):
        return " ".join(f"{type(error.cause).__name__}: {error.cause}".split())
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
