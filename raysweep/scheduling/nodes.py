"""Machines and their free capacity: CPUs, and a share of each GPU.

A place takes whole GPUs of one node, or a share of one GPU. A share comes from the fullest GPU that has it
free, so that whole GPUs stay free for engines that need them. Ray packs shares in the same way, so an actor
that fits here also fits there.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from raysweep.planning.placements import Need

# A share of a GPU or CPU below this is a rounding error.
NOTHING = 1e-9


@dataclass(frozen=True)
class Node:
    """A machine that is alive: its CPUs, its GPUs, all of one kind ("" if it has none), its address."""

    node_id: str
    cpus: float
    gpus: int = 0
    kind: str = ""
    address: str = ""


@dataclass(frozen=True)
class Spot:
    """Where a need is met: a node, and the numbers of the GPUs it takes there."""

    node_id: str
    need: Need
    devices: tuple[int, ...] = ()

    @property
    def share(self) -> float:
        """The share that it takes of each of the devices."""
        return min(1.0, self.need.gpus)


@dataclass(eq=False)
class _Free:
    node: Node
    cpus: float
    devices: list[float]

    def devices_for(self, need: Need) -> tuple[int, ...] | None:
        """The numbers of the GPUs that meet a need, or None if none do."""
        if need.kind not in ("", self.node.kind) or self.cpus < need.cpus - NOTHING:
            return None
        if not need.gpus:
            return ()
        share, count = min(1.0, need.gpus), max(1, round(need.gpus))
        fitting = [i for i, free in enumerate(self.devices) if free >= share - NOTHING]
        fullest_first = sorted(fitting, key=lambda i: self.devices[i])
        return tuple(fullest_first[:count]) if len(fitting) >= count else None

    def left_after(self, need: Need) -> tuple[float, float]:
        """The GPUs and CPUs that would stay free. The smallest is the best fit."""
        return sum(self.devices) - need.gpus, self.cpus - need.cpus


class Capacity:
    """The free CPUs and GPUs of all live nodes."""

    def __init__(self) -> None:
        self._free: dict[str, _Free] = {}

    @property
    def nodes(self) -> tuple[Node, ...]:
        return tuple(free.node for free in self._free.values())

    def see(self, nodes: Iterable[Node]) -> set[str]:
        """Note which nodes are alive now. Gives the ids of those that have gone since the last call."""
        alive = {node.node_id: node for node in nodes}
        gone = set(self._free) - set(alive)
        for node_id in gone:
            del self._free[node_id]
        for node_id, node in alive.items():
            if node_id not in self._free:
                self._free[node_id] = _Free(node, node.cpus, [1.0] * node.gpus)
        return gone

    def find(self, need: Need, avoid: Collection[str] = ()) -> Spot | None:
        """The best fit for a need, outside the nodes to `avoid`. None if no node has the capacity."""
        best: tuple[tuple[float, float], Spot] | None = None
        for node_id, free in self._free.items():
            if node_id in avoid:
                continue
            devices = free.devices_for(need)
            if devices is None:
                continue
            left = free.left_after(need)
            if best is None or left < best[0]:
                best = left, Spot(node_id, need, devices)
        return best[1] if best else None

    def emptiest(self, need: Need, avoid: Collection[str] = ()) -> str | None:
        """The node with the most free GPUs among those that could meet a need if they were empty."""
        able = [
            f for f in self._free.values() if f.node.node_id not in avoid and could(f.node, need)
        ]
        best = max(able, key=lambda free: sum(free.devices), default=None)
        return best.node.node_id if best else None

    def take(self, spot: Spot) -> None:
        self._change(spot, -1)

    def give(self, spot: Spot) -> None:
        """Give back what was taken. Does nothing if the node has gone."""
        if spot.node_id in self._free:
            self._change(spot, +1)

    def _change(self, spot: Spot, sign: int) -> None:
        free = self._free[spot.node_id]
        free.cpus += sign * spot.need.cpus
        for device in spot.devices:
            free.devices[device] += sign * spot.share


def could(node: Node, need: Need) -> bool:
    """Whether a node can meet a need when nothing else runs there."""
    return _Free(node, node.cpus, [1.0] * node.gpus).devices_for(need) is not None
