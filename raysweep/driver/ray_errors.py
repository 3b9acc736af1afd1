"""What kind of loss an exception of Ray's tells of, and its reason in one line."""

from ray.exceptions import (
    ActorUnavailableError,
    ActorUnschedulableError,
    NodeDiedError,
    RayActorError,
    RayError,
    RayTaskError,
)

MEMORY_WORDS = "low on memory"
NODE_WORDS = ("node has died", "node died", "node is dead", "node failure", "raylet")


def kind_of(error: RayError) -> str:
    """A kind of `scheduling.loop.Lost`; of a place that was not loaded, `load` is made of most of them."""
    if isinstance(error, RayTaskError):
        name = type(error.cause).__name__
        kinds = {"OutOfMemoryError": "out_of_memory", "StorageError": "storage"}
        return kinds.get(name, "error")
    if isinstance(error, ActorUnavailableError | ActorUnschedulableError | NodeDiedError):
        return "node"
    if isinstance(error, RayActorError) and error.actor_init_failed:
        return "load"
    said = str(error).lower()
    if MEMORY_WORDS in said:  # the actor's, as far as can be known; its node lives on
        return "actor"
    return "node" if any(words in said for words in NODE_WORDS) else "actor"


def reason_of(error: RayError) -> str:
    """What happened, in one line: the actor's own exception, or the last line that Ray says."""
    if isinstance(error, RayTaskError):
        return " ".join(f"{type(error.cause).__name__}: {error.cause}".split())
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
