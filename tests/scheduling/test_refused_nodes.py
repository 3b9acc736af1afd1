"""What is free on machines: shares of GPUs are packed, and nothing is given away twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.scheduling_cases import nodes_of

from raysweep.planning.placements import Need
from raysweep.scheduling.nodes import NOTHING, Capacity, Node, Spot

KINDS = ("L4", "H100")
nodes = st.lists(
    st.tuples(st.sampled_from([1.0, 4.0, 16.0]), st.integers(0, 4), st.sampled_from(KINDS)),
    max_size=4,
).map(lambda made: tuple(Node(f"node-{i}", *node) for i, node in enumerate(made)))
shares = st.one_of(st.integers(0, 20).map(lambda steps: steps / 20), st.sampled_from([2.0, 4.0]))
needs = st.builds(Need, st.sampled_from([0.1, 1.0, 3.0]), shares, st.sampled_from(("", *KINDS)))


def capacity_of(*gpus: int, **node) -> Capacity:
    capacity = Capacity()
    capacity.see(nodes_of(*gpus, **node))
    return capacity


def taken(capacity: Capacity, *gpus: float) -> list[tuple[str, tuple[int, ...]]]:
    """The spots that are found for needs, one after the other."""
    found = []
    for share in gpus:
        spot = capacity.find(Need(1.0, share))
        assert spot is not None
        capacity.take(spot)
        found.append((spot.node_id, spot.devices))
    return found


def test_shares_lie_side_by_side_as_long_as_they_fit():
    assert [devices for _, devices in taken(capacity_of(2), 0.5, 0.5, 0.4, 0.3, 0.3)] == [
        *([(0,)] * 2),
        *([(1,)] * 3),
    ]


def test_two_engines_that_do_not_fit_together_get_two_gpus():
    capacity = capacity_of(2)
    assert [devices for _, devices in taken(capacity, 0.5, 0.55)] == [(0,), (1,)]
    assert capacity.find(Need(1.0, 0.55)) is None


def test_tenths_and_twentieths_of_a_gpu_come_to_a_whole_one():
    capacity = capacity_of(1)
    taken(capacity, *[0.05] * 10, *[0.1] * 5)
    assert capacity.find(Need(1.0, 0.05)) is None


def test_a_share_goes_to_the_fullest_gpu_and_the_fullest_node_that_have_it():
    assert taken(capacity_of(2, 1), 0.6, 0.3) == [("node-1", (0,)), ("node-1", (0,))]
    capacity = capacity_of(4, 2)
    assert taken(capacity, 2.0, 0.5, 0.25)[1:] == [("node-0", (0,)), ("node-0", (0,))]


def test_whole_gpus_are_those_of_one_node():
    capacity = capacity_of(1, 1)
    assert capacity.find(Need(1.0, 2.0)) is None
    assert capacity.find(Need(1.0, 1.0)) is not None


def test_an_engine_on_cpus_leaves_the_gpus_alone():
    assert taken(capacity_of(4, 0), 0.0, 0.0) == [("node-1", ()), ("node-1", ())]


def test_cpus_run_out_like_gpus():
    capacity = capacity_of(4, cpus=2.0)
    taken(capacity, 0.1, 0.1)
    assert capacity.find(Need(1.0, 0.1)) is None


@pytest.mark.parametrize(("kind", "node"), [("L4", "a"), ("H100", "b"), ("A100", None)])
def test_a_kind_of_gpu_is_found_only_where_it_is(kind, node):
    capacity = Capacity()
    capacity.see([Node("a", 8, 1, "L4"), Node("b", 8, 1, "H100")])
    spot = capacity.find(Need(1.0, 1.0, kind))
    assert (spot.node_id if spot else None) == node


def test_a_node_that_left_and_came_back_is_empty():
    capacity = capacity_of(1)
    spot = capacity.find(Need(1.0, 1.0))
    assert spot is not None
    capacity.take(spot)
    assert capacity.see(()) == {"node-0"}
    capacity.give(spot)
    assert capacity.see(nodes_of(1)) == set()
    assert capacity.find(Need(1.0, 1.0)) == spot


@given(nodes, st.lists(st.tuples(needs, st.integers(0, 10)), max_size=40))
def test_nothing_is_ever_given_away_twice(there, needs_and_returns):
    """Needs come in any order, and now and then a spot is given back."""
    capacity, held = Capacity(), []
    capacity.see(there)
    for need, which in needs_and_returns:
        if which < len(held) and which % 2:
            capacity.give(held.pop(which))
        spot = capacity.find(need)
        if spot is None:
            continue
        capacity.take(spot)
        held.append(spot)
        assert_within(there, held)
    for spot in held:
        capacity.give(spot)
    for node in there:
        assert_all_free(capacity, node)


def assert_within(there: tuple[Node, ...], held: list[Spot]) -> None:
    """Each spot meets its need, and no node and no GPU is more than full."""
    for node in there:
        here = [spot for spot in held if spot.node_id == node.node_id]
        assert sum(spot.need.cpus for spot in here) <= node.cpus + NOTHING
        for device in range(node.gpus):
            assert sum(spot.share for spot in here if device in spot.devices) <= 1 + NOTHING
        for spot in here:
            assert spot.share * len(set(spot.devices)) == pytest.approx(spot.need.gpus)
            assert not spot.devices or max(spot.devices) < node.gpus
            assert spot.need.kind in ("", node.kind)


def assert_all_free(capacity: Capacity, node: Node) -> None:
    others = [there.node_id for there in capacity.nodes if there.node_id != node.node_id]
    assert capacity.find(Need(node.cpus, float(node.gpus)), avoid=others) is not None


@given(nodes, needs, st.lists(needs, max_size=8))
def test_capacity_is_found_wherever_there_is_some(there, need, before):
    capacity, held = Capacity(), []
    capacity.see(there)
    for earlier in before:
        if spot := capacity.find(earlier):
            capacity.take(spot)
            held.append(spot)
    assert (capacity.find(need) is not None) == any(
        has_capacity(node, held, need) for node in there
    )


def has_capacity(node: Node, held: list[Spot], need: Need) -> bool:
    """Whether the node can meet the need, by counting what is held there."""
    here = [spot for spot in held if spot.node_id == node.node_id]
    cpus = node.cpus - sum(spot.need.cpus for spot in here)
    free = [1 - sum(s.share for s in here if device in s.devices) for device in range(node.gpus)]
    fitting = sum(share >= min(1.0, need.gpus) - NOTHING for share in free)
    right = need.kind in ("", node.kind)
    return right and cpus >= need.cpus - NOTHING and (not need.gpus or fitting >= need.gpus)
