"""Whatever standard output is, printing to it ends nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = "7 × 8 – 3 … ≤ 1 · müller ─│ \udcff"
PRINT = f"""
from raysweep.system.streams import accept_any_text
accept_any_text()
import sys
print({TEXT!r})
print({TEXT!r}, file=sys.stderr)
"""


def python(script: str, *, redirected: str = "", **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["bash", "-c", f'"$0" "$@" {redirected}', sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
    )


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("ascii", "7 x 8 - 3 ... <= 1 * m\\xfcller -| \\udcff\n"),
        ("latin-1", "7 × 8 - 3 ... <= 1 · müller -| \\udcff\n"),
        ("utf-8", "7 × 8 – 3 … ≤ 1 · müller ─│ \\udcff\n"),
    ],
)
def test_what_an_encoding_lacks_is_written_in_ascii(encoding: str, said: str):
    ended = python(PRINT, PYTHONIOENCODING=encoding)
    assert ended.returncode == 0
    assert (ended.stdout.decode(encoding), ended.stderr.decode(encoding)) == (said, said)


def test_a_stream_that_is_closed_takes_all_and_no_file_becomes_it():
    script = f"{PRINT}\nassert open('/dev/null').fileno() > 2"
    for closed in (">&-", "2>&-", "<&- >&- 2>&-"):
        assert python(script, redirected=closed).returncode == 0, closed


def test_the_standard_streams_of_a_child_are_open_where_those_of_its_parent_are_closed():
    script = f"{PRINT}\nimport subprocess\nsubprocess.run(['echo', 'hello'], check=True)"
    assert python(script, redirected=">&-").returncode == 0


@pytest.mark.parametrize("arguments", [["--help"], ["stages=[plan]", "+sweep=smoke"], ["seed=–"]])
def test_the_command_line_prints_in_any_encoding(tmp_path: Path, arguments: list[str]):
    ended = subprocess.run(
        [sys.executable, "-m", "raysweep", *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"},
        capture_output=True,
    )
    assert ended.returncode == (2 if "seed" in arguments[0] else 0)
    printed = (ended.stdout + ended.stderr).decode("ascii")
    assert printed.strip() and "Traceback" not in printed
