"""The preflight: one small task per node, before an actor takes a GPU there.

A node is asked for its versions, its GPUs, its clock, and whether it sees what the driver has just written.
What is missing or differs from the driver is told in a line per node, with the way out. Nodes that join later
are asked in the same way, and are not used if they fail.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import ray
from ray import cloudpickle
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from actors import node_report as node_side
from raysweep.driver.node_faults import faults
from raysweep.driver.node_questions import Questions, needs_of, questions_of, token_in
from raysweep.driver.ray_errors import reason_of
from raysweep.driver.ray_nodes import live_nodes
from raysweep.errors import ConfigError
from raysweep.planning.jobs import Job
from raysweep.planning.placements import Need
from raysweep.progress.nodes_json import write_nodes
from raysweep.run_config import Cluster, Gpu
from raysweep.scheduling.nodes import Node, could
from raysweep.storage.store import Store
from raysweep.system.node_report import NodeReport, node_report

# A node that has not answered for so many seconds before a run is refused.
PATIENCE_S = 120.0


@contextmanager
def preflight(
    jobs: Sequence[Job],
    store: Store,
    cluster: Cluster,
    nodes: Sequence[Node],
    tell: Callable[[str], None],
) -> Iterator["Preflight | None"]:
    """Ask the nodes before a run, and write nodes.json. Raises ConfigError with a line for each that fails.

    Gives what admits nodes that join during the run, or None on this machine, which is asked without Ray.
    """
    needs = [option.need for job in jobs for option in job.options]
    gpus = cluster.kinds if any(need.gpus for need in needs) else ()
    if cluster.address == "local":
        write_nodes(store, [check_here(Questions(modules=(), needs=needs_of(jobs)), gpus, nodes)])
        yield None
        return
    folders = (("out", store.root),)
    with token_in(folders) as token:
        questions = questions_of(jobs, token, folders)
        asked = Preflight(questions, gpus, partial(meets, needs), tell)
        asked.check(nodes)
        first = dict(asked.reports)
        write_nodes(store, first.values())
        try:
            yield asked
        finally:
            if asked.reports != first:
                write_nodes(store, asked.reports.values())


def check_nodes(
    cluster: Cluster,
    folders: tuple[tuple[str, str], ...],
    paths: tuple[str, ...],
    modules: tuple[str, ...],
    needs: tuple[str, ...],
) -> None:
    """Ask the live nodes on which tasks may run, before the first. Raises ConfigError as `preflight` does.

    folders, paths, modules, needs  as in `Questions`
    """
    nodes = live_nodes(cluster)
    if cluster.address == "local":
        check_here(Questions(modules=(), needs=needs), cluster.kinds, nodes)
        return
    needs_of_task = [Need(cluster.cpus_per_actor, 1 if cluster.on_gpus else 0)]
    with token_in(folders) as token:
        questions = Questions(token, folders, paths, modules, needs=needs)
        Preflight(questions, cluster.kinds, partial(meets, needs_of_task)).check(nodes)


def meets(needs: Iterable[Need], node: Node) -> bool:
    """Whether a node can meet one of the needs."""
    return any(could(node, need) for need in needs)


def check_here(questions: Questions, gpus: Sequence[Gpu], nodes: Sequence[Node]) -> NodeReport:
    """The report of this machine, the one node. Raises ConfigError with a line for each fault."""
    here, count = own_report(questions), sum(node.gpus for node in nodes)
    found = tuple(faults(here, here, gpus, count, (here.clock_s, here.clock_s)))
    if found:
        raise ConfigError(*(f"this machine {fault}" for fault in found))
    return here


def own_report(questions: Questions | None = None) -> NodeReport:
    """The report of the machine on which the driver runs."""
    asked = questions or Questions(modules=())
    return node_report("this machine", node_side.report(asdict(asked)))


class Preflight:
    """The nodes that were asked, and what they said.

    gpus     the kinds of GPU of the plan
    able     whether a node may ever be used; the others are not asked
    tell     called with each line about a node that joined later and is not used
    reports  of the nodes that may be used, by their ids
    refused  why the others may not, in a line
    """

    def __init__(
        self,
        questions: Questions,
        gpus: Sequence[Gpu] = (),
        able: Callable[[Node], bool] = lambda node: True,
        tell: Callable[[str], None] = lambda line: None,
    ):
        self.questions, self.gpus, self.able, self.tell = questions, tuple(gpus), able, tell
        self.here = own_report()
        self.reports: dict[str, NodeReport] = {}
        self.refused: dict[str, str] = {}
        self._asked: dict[str, tuple[Node, Any, float]] = {}
        cloudpickle.register_pickle_by_value(node_side)
        self._task = ray.remote(num_cpus=0, max_retries=0)(node_side.report)

    def check(self, nodes: Sequence[Node]) -> None:
        """Ask the nodes and wait for their answers. Raises ConfigError with a line for each that fails."""
        until = time.monotonic() + PATIENCE_S
        for node in filter(self.able, nodes):
            self._ask(node)
        while (waiting := [task for _, task, _ in self._asked.values()]) and (
            time.monotonic() < until
        ):
            ray.wait(waiting, num_returns=len(waiting), timeout=1.0)
            self._hear()
        for node, _, _ in self._asked.values():
            self._refuse(
                node, [f"gave no answer within {PATIENCE_S:.0f} s; look at Ray's logs there"]
            )
        self._asked.clear()
        if self.refused:
            raise ConfigError(*self.refused.values())

    def admitted(self, nodes: tuple[Node, ...]) -> tuple[Node, ...]:
        """Those of the nodes that passed. Nodes that are new are asked, without waiting for them."""
        known = {*self.reports, *self.refused, *self._asked}
        for node in nodes:
            if node.node_id not in known and self.able(node):
                self._ask(node)
        before = set(self.refused)
        self._hear()
        for node_id in set(self.refused) - before:
            self.tell(self.refused[node_id])
        return tuple(node for node in nodes if node.node_id in self.reports)

    def _ask(self, node: Node) -> None:
        there = NodeAffinitySchedulingStrategy(node.node_id, soft=False)
        task = self._task.options(scheduling_strategy=there).remote(asdict(self.questions))
        self._asked[node.node_id] = node, task, time.time()

    def _hear(self) -> None:
        """Take in the answers that have come."""
        for node, task, asked_s in tuple(self._asked.values()):
            done, _ = ray.wait([task], timeout=0)
            if done:
                del self._asked[node.node_id]
                self._take_in(node, task, asked_s)

    def _take_in(self, node: Node, task: Any, asked_s: float) -> None:
        """Note an answer. A node that was lost meanwhile gives none, and is asked again if it returns."""
        try:
            report = node_report(named(node), ray.get(task))
        except RayError as error:
            if node.node_id in {one["NodeID"] for one in ray.nodes() if one["Alive"]}:
                self._refuse(node, [f"could not answer: {reason_of(error)}"])
            return
        asked_and_answered = (asked_s, time.time())
        found = tuple(faults(report, self._reference(), self.gpus, node.gpus, asked_and_answered))
        if found:
            self._refuse(node, found)
        else:
            self.reports[node.node_id] = report

    def _reference(self) -> NodeReport:
        """What nodes are compared with: this machine, and the first node for packages that it lacks."""
        first = next(iter(self.reports.values()), self.here)
        return replace(self.here, versions={**first.versions, **self.here.versions})

    def _refuse(self, node: Node, reasons: Iterable[str]) -> None:
        """One line for the node: its first fault, which is often the cause of the others."""
        first, *others = reasons
        more = f" (and {len(others)} more)" if others else ""
        self.refused[node.node_id] = f"node {named(node)}: {first}{more}"


def named(node: Node) -> str:
    """A node's address, and the first letters of its id."""
    return f"{node.address or '?'} ({node.node_id[:6]})"
