"""What kind of loss an exception of Ray's tells of, and its reason in one line."""

from ray.exceptions import ActorUnavailableError, NodeDiedError, RayError, RayTaskError

NODE_WORDS = ("node has died", "node died", "node is dead", "node failure", "raylet")


def kind_of(error: RayError) -> str:
    """A kind of `scheduling.loop.Lost`; of a place that was not loaded, `load` is made of most of them."""
    if isinstance(error, RayTaskError):
        name = type(error.cause).__name__
        kinds = {"OutOfMemoryError": "out_of_memory", "StorageError": "storage"}
        return kinds.get(name, "error")
    if isinstance(error, ActorUnavailableError | NodeDiedError):
        return "node"
    said = str(error).lower()
    return "node" if any(words in said for words in NODE_WORDS) else "actor"


def reason_of(error: RayError) -> str:
    """What happened, in one line: the actor's own exception, or the last line that Ray says."""
    if isinstance(error, RayTaskError):
        return " ".join(f"{type(error.cause).__name__}: {error.cause}".split())
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
