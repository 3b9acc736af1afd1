"""Which actors hang: they live, and their engines take no step any more.

Each place is asked for its pulse now and then; one question is open at a time. A place with work whose
steps stay the same, or that answers nothing, is hung once that has lasted `hang_s`; while it loads nothing
is expected of it for `LOADING` times as long. Only time in which somebody looked counts, at most twice the
usual pause a look: a driver that was stopped itself, or a clock that jumped, makes no actor hang.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from raysweep.scheduling.places import Place

ASK_EVERY_S = 15.0
LOADING = 4  # checkpoints are fetched, kernels are compiled


Pulse = tuple[int, int]  # steps of an engine so far; shards that wait for more, not to be written


@dataclass(eq=False)
class _Watched:
    place: Place
    steps: int = -1
    silent_s: float = 0.0
    loaded: bool = False
    asked: bool = False

    def passed(self, seconds: float) -> None:
        """Nothing is expected of a place without work, and the silence of loading is no silence after it."""
        place = self.place
        fresh = place.loaded and not (self.loaded and place.in_flight)
        self.silent_s = 0.0 if fresh else self.silent_s + seconds
        self.loaded = place.loaded


class Watchdog:
    """Watches places from the moment that they are started; no clock is read here."""

    def __init__(self, hang_s: float):
        self.hang_s = hang_s
        self.every_s = min(ASK_EVERY_S, hang_s / 4)
        self._watched: dict[int, _Watched] = {}
        self._looked_at: float | None = None

    def begin(self, place: Place) -> None:
        self._watched[place.number] = _Watched(place)

    def end(self, place: Place) -> None:
        self._watched.pop(place.number, None)

    def is_due(self, now: float) -> bool:
        return self._looked_at is None or now - self._looked_at >= self.every_s

    def look(self, now: float) -> tuple[Sequence[Place], Sequence[tuple[Place, str]]]:
        """The places that are to be asked for their pulse, and those that hang, each with the reason."""
        passed_s = min(
            now - (now if self._looked_at is None else self._looked_at), 2 * self.every_s
        )
        self._looked_at = now
        for watched in self._watched.values():
            watched.passed(passed_s)
        to_ask = [w for w in self._watched.values() if w.loaded and not w.asked]
        for watched in to_ask:
            watched.asked = True
        return [watched.place for watched in to_ask], list(self._hung())

    def heard(self, place: Place, pulse: Pulse) -> None:
        """Take in an answer: a step more, or nothing to step for, is a sign of life."""
        watched = self._watched.get(place.number)
        if watched is None:
            return
        steps, generating = pulse
        if steps != watched.steps or not generating:
            watched.silent_s = 0.0
        watched.steps, watched.asked = steps, False

    def _hung(self) -> Iterable[tuple[Place, str]]:
        for watched in self._watched.values():
            limit_s = self.hang_s if watched.loaded else LOADING * self.hang_s
            if watched.silent_s >= limit_s:
                what = "took no step" if watched.loaded else "was not loaded"
                yield watched.place, f"its engine {what} within {limit_s / 60:.3g} min"
