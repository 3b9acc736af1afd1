"""nodes.json: what is kept of the nodes, and how it is shown."""

from dataclasses import replace

from raysweep.driver.preflight import own_report
from raysweep.progress.nodes_json import MOST_SHOWN, NODES, node_lines, read_nodes, write_nodes
from raysweep.storage.store import Store
from raysweep.system.node_report import GpuReport

GB = 10**9
NODE = replace(
    own_report(),
    node="10.0.0.7 (abc123)",
    driver="580.65.06",
    gpus=(
        GpuReport("H100", 85 * GB, 84 * GB),
        GpuReport("H100", 85 * GB, 12 * GB),
        GpuReport("GB10", 0, 0),
    ),
    versions={"raysweep": "0.1.0", "python": "3.11.7"},
    free_disk_bytes=50 * GB,
    compiler=False,
)


def test_a_node_is_shown_with_its_fullest_gpu_of_each_kind_and_what_it_lacks():
    (line,) = node_lines([replace(NODE, bubblewrap=True)])
    assert line == (
        "10.0.0.7 (abc123): 2 × H100 (12 GB of 85 GB free), 1 × GB10 (memory unknown), driver 580.65.06, "
        "raysweep 0.1.0, 50 GB of disk free, no C compiler"
    )


def test_of_many_nodes_the_first_are_shown():
    *_, last = node_lines([NODE] * (MOST_SHOWN + 3))
    assert last == "and 3 other nodes"


def test_what_nodes_said_is_read_as_it_was_written_and_what_cannot_be_read_is_nothing(tmp_path):
    store = Store(str(tmp_path))
    assert read_nodes(store) == ()
    write_nodes(store, [NODE])
    assert read_nodes(store) == (NODE,)
    for damaged in ("[", "[]", '{"nodes": [3]}', '{"nodes": [{"node": "a"}]}'):
        store.write_text(NODES, damaged)
        assert read_nodes(store) == ()
