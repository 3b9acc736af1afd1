"""How a job of the Slurm script ends, and whether it is queued again; Ray and the driver are stubs."""

import re
import signal
from pathlib import Path

import pytest
from support.slurm import Slurm, stubbed_allocation, until

from raysweep.system.exit_status import BAD_INPUT, WORK_REMAINS


@pytest.fixture
def stubbed(tmp_path: Path) -> Slurm:
    return stubbed_allocation(tmp_path)


def test_a_job_that_is_cancelled_lets_its_shards_finish_and_is_not_queued_again(stubbed: Slurm):
    job = stubbed.start()
    until((stubbed.folder / "calls.works").exists)
    job.send_signal(signal.SIGTERM)
    job.send_signal(signal.SIGTERM)
    assert stubbed.ended(job) == WORK_REMAINS, stubbed.said
    assert "finished" in stubbed.said and not stubbed.requeued


@pytest.mark.parametrize(("restarts", "requeued"), [("9", True), ("10", False)])
def test_at_the_end_of_its_time_a_job_is_queued_again_but_not_for_ever(
    stubbed: Slurm, restarts: str, requeued: bool
):
    job = stubbed.start(SLURM_RESTART_COUNT=restarts)
    until((stubbed.folder / "calls.works").exists)
    job.send_signal(signal.SIGUSR1)
    assert stubbed.ended(job) == WORK_REMAINS, stubbed.said
    assert "finished" in stubbed.said and stubbed.requeued is requeued


@pytest.mark.parametrize(
    ("status", "restarts", "requeued"),
    [(WORK_REMAINS, "9", True), (WORK_REMAINS, "10", False), (BAD_INPUT, "0", False)],
)
def test_a_job_with_work_left_is_queued_again_but_not_for_ever_and_not_with_bad_input(
    stubbed: Slurm, status: int, restarts: str, requeued: bool
):
    ended = {"STATUS": str(status), "RAYSWEEP_LEAST_S": "0"}
    assert stubbed.run(**ended, SLURM_RESTART_COUNT=restarts) == status, stubbed.said
    assert stubbed.requeued is requeued
    assert not any(call.startswith("--nodes") for call in stubbed.calls)  # one node needs no srun


def test_a_job_whose_work_ends_at_once_is_not_queued_again(stubbed: Slurm):
    """As with engines that fit on none of its GPUs."""
    assert stubbed.run(STATUS=str(WORK_REMAINS)) == WORK_REMAINS
    assert re.search(r"this attempt ended in \d+ s; the job is not queued again", stubbed.said)
    assert not stubbed.requeued


def test_a_node_that_does_not_join_ends_the_job_with_one_line(stubbed: Slurm):
    assert stubbed.run(SLURM_JOB_NUM_NODES="2", RAYSWEEP_JOIN_S="0") == 1
    assert "raysweep.sbatch: 1 of 2 nodes joined in 0 s; see the log of srun" in stubbed.said
    assert not stubbed.requeued and not (stubbed.folder / "calls.works").exists()


def test_a_ray_that_does_not_answer_ends_the_job(stubbed: Slurm):
    (stubbed.folder / "calls.ill").touch()
    assert stubbed.run(RAYSWEEP_JOIN_S="1") == 1
    assert "raysweep.sbatch: Ray did not start on localhost" in stubbed.said
    assert not stubbed.requeued and not (stubbed.folder / "calls.works").exists()
