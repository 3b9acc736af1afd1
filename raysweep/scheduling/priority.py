"""Which engine starts next, and whether one more place for an engine would pay."""

from collections.abc import Callable

from raysweep.scheduling.places import spare
from raysweep.scheduling.queues import EngineQueue

# Time for this many longest traces is reserved at the end of an engine's work (tuned with
# benchmarks.scheduler).
TAIL = 3.0


def priority(queue: EngineQueue) -> tuple[bool, float, float]:
    """The key by which engines start.

    Those without a place come first, of these the ones with the highest rank, then those that would finish
    last.
    """
    option, waits = queue.options[0], queue.actors == 0
    left_s = queue.waiting_s(option) / (queue.actors + 1)
    return waits, queue.rank if waits else 0.0, left_s + TAIL * queue.longest_s(option)


def pays(queue: EngineQueue, places: int, busy_places: Callable[[], int]) -> bool:
    """Whether one more place, beside so many, would load before they finish the waiting work.

    busy_places  gives how many places of the engine run something
    """
    if not queue.waiting_samples or not places:
        return queue.waiting_samples > 0
    option = queue.options[0]
    if queue.waiting:
        unfed = queue.waiting_samples > places * spare(option.speed.rows)
    else:
        unfed = len(queue.quarantine) > places - busy_places()
    return unfed and queue.waiting_s(option) > places * option.speed.load_s
