"""Which actors hang: their processes live, but their engines take no more steps.

Each place is asked for its pulse (the number of steps so far) at intervals, with one open question at a
time. A place with work hangs if it took no step, or gave no answer, for `hang_s`. A place that loads has
`LOADING` times as long. That time starts again whenever another place on its GPU ends loading, because
engines on shares of a GPU load in turn, and one that waits for its turn says nothing. A look counts for no
more than twice the usual interval, so that no actor seems to hang because the driver itself was stopped or
its clock jumped.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from raysweep.scheduling.places import Place

# Seconds between two looks, at most.
ASK_EVERY_S = 15.0

# Loading may take this many times `hang_s`: checkpoints are fetched, and kernels are compiled.
LOADING = 4

# The steps of an engine so far, and the number of its shards that still wait for tokens.
Pulse = tuple[int, int]


@dataclass(eq=False)
class _Watched:
    place: Place
    steps: int = -1
    silent_s: float = 0.0
    loaded: bool = False
    asked: bool = False

    @property
    def gpu(self) -> tuple[str, tuple[int, ...]]:
        """The node and the GPUs that the place takes, or shares."""
        return self.place.spot.node_id, self.place.spot.devices

    def passed(self, seconds: float) -> None:
        """Add to the silence. It starts at zero without work, and again once the engine is loaded."""
        place = self.place
        fresh = place.loaded and not (self.loaded and place.in_flight)
        self.silent_s = 0.0 if fresh else self.silent_s + seconds
        self.loaded = place.loaded


class Watchdog:
    """Watches places from their start. It reads no clock itself."""

    def __init__(self, hang_s: float):
        self.hang_s = hang_s
        self.every_s = min(ASK_EVERY_S, hang_s / 4)
        self._watched: dict[int, _Watched] = {}
        self._turns_ended: set[tuple[str, tuple[int, ...]]] = set()
        self._looked_at: float | None = None

    def begin(self, place: Place) -> None:
        self._watched[place.number] = _Watched(place)

    def end(self, place: Place) -> None:
        watched = self._watched.pop(place.number, None)
        if watched is not None and not watched.loaded:
            self._turns_ended.add(watched.gpu)

    def is_due(self, now: float) -> bool:
        return self._looked_at is None or now - self._looked_at >= self.every_s

    def look(self, now: float) -> tuple[Sequence[Place], Sequence[tuple[Place, str]]]:
        """The places to ask for their pulse, and the places that hang with the reasons."""
        passed_s = min(
            now - (now if self._looked_at is None else self._looked_at), 2 * self.every_s
        )
        self._looked_at = now
        self._give_turns_on()
        for watched in self._watched.values():
            watched.passed(passed_s)
        to_ask = [w for w in self._watched.values() if w.loaded and not w.asked]
        for watched in to_ask:
            watched.asked = True
        return [watched.place for watched in to_ask], list(self._hung())

    def loading(self) -> list[Place]:
        """The places whose engines were not loaded at the last look."""
        return [w.place for w in self._watched.values() if not w.loaded]

    def heard(self, place: Place, pulse: Pulse) -> None:
        """Note an answer. A new step is a sign of life, and so is having no shard to step for."""
        watched = self._watched.get(place.number)
        if watched is None:
            return
        steps, generating = pulse
        if steps != watched.steps or not generating:
            watched.silent_s = 0.0
        watched.steps, watched.asked = steps, False

    def _give_turns_on(self) -> None:
        """Let the time to load start again on GPUs where a place has ended loading since the last look."""
        ended, self._turns_ended = self._turns_ended, set()
        ended |= {w.gpu for w in self._watched.values() if w.place.loaded and not w.loaded}
        for watched in self._watched.values():
            if watched.gpu in ended and watched.gpu[1] and not watched.loaded:
                watched.silent_s = 0.0

    def _hung(self) -> Iterable[tuple[Place, str]]:
        for watched in self._watched.values():
            limit_s = self.hang_s if watched.loaded else LOADING * self.hang_s
            if watched.silent_s >= limit_s:
                what = "took no step" if watched.loaded else "was not loaded"
                yield watched.place, f"its engine {what} within {limit_s / 60:.3g} min"
