"""Machines, and what is free on them: CPUs, and of each GPU a share.

A place takes whole GPUs of one node, or a share of one GPU: the fullest that has it, so that whole ones
stay whole. Ray packs shares of a node alike, so that what fits here fits there.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from raysweep.planning.gpu_options import Need

NOTHING = 1e-9  # below which a share of something is rounding


@dataclass(frozen=True)
class Node:
    """A machine that is there: its CPUs, and its GPUs, all of one kind ("" if it has none)."""

    node_id: str
    cpus: float
    gpus: int = 0
    kind: str = ""


@dataclass(frozen=True)
class Spot:
    """Where a need is met: some GPUs of a node, by their numbers."""

    node_id: str
    need: Need
    devices: tuple[int, ...] = ()

    @property
    def share(self) -> float:
        """What is taken of each of the devices."""
        return min(1.0, self.need.gpus)


@dataclass(eq=False)
class _Free:
    node: Node
    cpus: float
    devices: list[float]

    def devices_for(self, need: Need) -> tuple[int, ...] | None:
        """GPUs that meet a need; None if they cannot."""
        if need.kind not in ("", self.node.kind) or self.cpus < need.cpus - NOTHING:
            return None
        if not need.gpus:
            return ()
        share, count = min(1.0, need.gpus), max(1, round(need.gpus))
        fitting = [i for i, free in enumerate(self.devices) if free >= share - NOTHING]
        fullest_first = sorted(fitting, key=lambda i: self.devices[i])
        return tuple(fullest_first[:count]) if len(fitting) >= count else None

    def left_after(self, need: Need) -> tuple[float, float]:
        """How much would stay unused: the least is the best fit."""
        return sum(self.devices) - need.gpus, self.cpus - need.cpus


class Room:
    """What is free on the nodes that are there."""

    def __init__(self) -> None:
        self._free: dict[str, _Free] = {}

    @property
    def nodes(self) -> tuple[Node, ...]:
        return tuple(free.node for free in self._free.values())

    def see(self, nodes: Iterable[Node]) -> set[str]:
        """Take in which nodes are there now; the ids of those that were, and are no more."""
        there = {node.node_id: node for node in nodes}
        gone = set(self._free) - set(there)
        for node_id in gone:
            del self._free[node_id]
        for node_id, node in there.items():
            if node_id not in self._free:
                self._free[node_id] = _Free(node, node.cpus, [1.0] * node.gpus)
        return gone

    def find(self, need: Need, avoid: Collection[str] = ()) -> Spot | None:
        """The fullest node that has room for a need, or None."""
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
        """Of the nodes that could meet a need if nothing else ran there, the one with most GPUs free."""
        able = [
            f for f in self._free.values() if f.node.node_id not in avoid and could(f.node, need)
        ]
        best = max(able, key=lambda free: sum(free.devices), default=None)
        return best.node.node_id if best else None

    def take(self, spot: Spot) -> None:
        self._change(spot, -1)

    def give(self, spot: Spot) -> None:
        """Give back what was taken; nothing happens if the node is gone."""
        if spot.node_id in self._free:
            self._change(spot, +1)

    def _change(self, spot: Spot, sign: int) -> None:
        free = self._free[spot.node_id]
        free.cpus += sign * spot.need.cpus
        for device in spot.devices:
            free.devices[device] += sign * spot.share


def could(node: Node, need: Need) -> bool:
    """Whether a node can meet a need as long as nothing else runs there."""
    return _Free(node, node.cpus, [1.0] * node.gpus).devices_for(need) is not None
