"""Running a program that a model wrote: one process, few rights, hard limits, killed whole.

bubblewrap gives it namespaces of its own: no network, a private process list, a read-only file system
that holds the system and Python but no home, no run and no environment, and a scratch folder in memory.
`system_calls` keeps it one process. CPU time, memory, file size and threads are limited besides, so that
all the memory it can hold is MEMORY_BYTES, SCRATCH_BYTES and SHARED_BYTES together, and what an endless loop
takes is bounded until the whole namespace is killed. What it writes goes to files with a limit.
"""

import json
import os
import platform
import random
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

from raysweep.errors import ConfigError
from raysweep.grading.sandboxed import STARTED
from raysweep.grading.system_calls import seccomp_filter

RUNNER = Path(__file__).with_name("sandboxed.py")
MEMORY_BYTES = 1 << 30  # of addresses
STACK_BYTES = 256 << 20  # calls 100,000 deep that go through C, such as those of cached functions
BWRAP = "bwrap"
FILE_BYTES = 16 << 20
SCRATCH_BYTES = 64 << 20
SHARED_BYTES = 16 << 20  # of /dev/shm, where semaphores are
THREADS = 16
OPEN_FILES = 128  # the kernel buffers what sockets and pipes hold
# The kernel counts a user's threads, but never root's: a sandbox that root starts gets a user of its own.
USERS = range(20_000, 60_000)
SYSTEM = (
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/bin",
    "/sbin",
    "/etc/alternatives",
    "/etc/ld.so.cache",
)
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1"}
NAMESPACES = (
    "--unshare-ipc",
    "--unshare-pid",
    "--unshare-net",
    "--unshare-uts",
    "--unshare-cgroup-try",
)

Files = tuple[IO[bytes], IO[bytes], IO[bytes]]  # standard input, output and error


class SandboxError(Exception):
    """The sandbox did not start: nothing is known of the program."""


@dataclass(frozen=True)
class Ran:
    """How a program ended: its output, or None where it failed or was stopped, and why."""

    output: str | None
    reason: str = ""


def run_program(
    source: str,
    stdin: str,
    function: str | None,
    limit_s: float,
    isolated: bool = True,
    imports: str = "",
) -> Ran:
    """Run a Python program with one test's input; `sandboxed` says what `function` changes.

    limit_s   CPU seconds; the wall allows half as much again and a second
    isolated  in bubblewrap; otherwise, at the user's word, with the limits alone
    imports   statements that are run before the program, in its module
    Raises SandboxError.
    """
    with tempfile.TemporaryDirectory(prefix="raysweep-code-") as name, _files(stdin) as files:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "program.py").write_text(source, "utf-8", "replace")
        with _pipe() as pipe, _filter() as denied:
            if isolated:
                python = _python("/program/program.py", imports, function, limit_s, pipe)
                command = [*_bubblewrap(folder, denied), *python]
            else:
                command = _python(str(folder / "program.py"), imports, function, limit_s, pipe)
            status = _run(command, folder, files, (pipe, denied), 1.5 * limit_s + 1)
        output, complaints = (_content(file) for file in files[1:])
    if not complaints.startswith(STARTED):
        raise SandboxError(complaints.strip() or f"ended with status {status}")
    if status is None:
        return Ran(None, "took too long")
    return Ran(output) if status == 0 else Ran(None, f"ended with status {status}")


def check(field: str) -> None:
    """Raise ConfigError, once and for all asking alike, where no sandbox can be had."""
    found = trouble()
    if found:
        raise ConfigError(
            f"{field}: programs that a model wrote cannot be isolated here: {found}; install "
            "bubblewrap (apt-get install bubblewrap), or choose the grader code_unsandboxed, which runs "
            "them with your rights"
        )


@cache
def trouble() -> str:
    """Why no program can be isolated on this machine; empty if one can. Asked once."""
    if shutil.which(BWRAP) is None:
        return "there is no bwrap"
    if seccomp_filter() is None:
        return f"the system calls of {platform.machine()} are not known"
    try:
        ran = run_program("print(6 * 7)", "", None, 10)
    except (SandboxError, OSError) as error:  # the latter where no process can be started
        return str(error)
    return "" if (ran.output or "").strip() == "42" else f"a trial program failed ({ran.reason})"


def _bubblewrap(folder: Path, denied: int) -> list[str]:
    """bwrap and its options, for a program in `folder`; `denied` holds the filter of system calls."""
    users = () if os.geteuid() == 0 else ("--unshare-user", "--disable-userns")
    rights = ("--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID")
    return [
        *(BWRAP, "--die-with-parent", "--new-session", *NAMESPACES, *users),
        *(() if users else rights),
        *(option for path in SYSTEM for option in ("--ro-bind-try", path, path)),
        *("--perms", "1777", "--size", str(SCRATCH_BYTES), "--tmpfs", "/tmp"),
        *_python_folders(),  # which may lie below /tmp
        *("--proc", "/proc", "--dev", "/dev"),
        *("--perms", "1777", "--size", str(SHARED_BYTES), "--tmpfs", "/dev/shm"),
        *("--remount-ro", "/dev", "--seccomp", str(denied)),
        *("--ro-bind", str(folder), "/program", "--ro-bind", str(RUNNER), "/sandboxed.py"),
        *("--chdir", "/tmp", "--remount-ro", "/", "--"),
    ]


def _python_folders() -> Iterator[str]:
    """bwrap's options that show Python's own folders, and of those above them nothing but the path."""
    for folder in dict.fromkeys((sys.base_prefix, sys.prefix)):
        if not folder.startswith(tuple(f"{path}/" for path in SYSTEM)) and folder not in SYSTEM:
            for parent in reversed(Path(folder).parents[:-1]):
                yield from ("--perms", "0755", "--dir", str(parent))
            yield from ("--ro-bind", folder, folder)


def _python(
    program: str, imports: str, function: str | None, limit_s: float, pipe: int
) -> list[str]:
    """Python, isolated from the user's settings, with the runner, which sets the limits."""
    isolated = program.startswith("/program/")
    limits = {
        "CPU": max(1, round(limit_s)),
        "AS": MEMORY_BYTES,
        "STACK": STACK_BYTES,
        "FSIZE": FILE_BYTES,
        "CORE": 0,
        "NOFILE": OPEN_FILES,
    }
    if isolated:  # elsewhere all that the user runs would count
        limits["NPROC"] = THREADS
    user = random.choice(USERS) if isolated and os.geteuid() == 0 else 0
    runner = "/sandboxed.py" if isolated else str(RUNNER)
    arguments = [
        program,
        json.dumps(limits),
        str(user),
        str(pipe),
        imports,
        *([function] if function else []),
    ]
    return [sys.executable, "-I", "-B", "-X", "utf8", runner, *arguments]


def _run(
    command: list[str], folder: Path, files: Files, passed: tuple[int, int], wall_s: float
) -> int | None:
    """The exit status; None if it had to be stopped. Whatever it started is killed on return."""
    stdin, stdout, stderr = files
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=ENVIRONMENT,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        pass_fds=passed,
        start_new_session=True,
    )
    try:
        ended = select.poll()
        handle = os.pidfd_open(process.pid)
        try:
            ended.register(handle, select.POLLIN)
            in_time = bool(ended.poll(1000 * wall_s))
        finally:
            os.close(handle)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        status = process.wait()
    return status if in_time else None


@contextmanager
def _pipe() -> Iterator[int]:
    """The end of a pipe that hangs up when this process dies."""
    end, ours = os.pipe()
    try:
        yield end
    finally:
        os.close(end)
        os.close(ours)


@contextmanager
def _filter() -> Iterator[int]:
    """The end of a pipe that holds the filter of system calls."""
    end, ours = os.pipe()
    try:
        os.write(ours, seccomp_filter() or b"")
        os.close(ours)
        yield end
    finally:
        os.close(end)


@contextmanager
def _files(stdin: str) -> Iterator[Files]:
    """Anonymous files for the program's streams: no pipe fills up, and the kernel limits their size."""
    temporary = tempfile.TemporaryFile
    with temporary() as into, temporary() as out, temporary() as err:
        into.write(stdin.encode(errors="replace"))
        into.seek(0)
        for file in (into, out, err):  # another user opens them as /dev/stdin and its like
            os.fchmod(file.fileno(), 0o666)
        yield into, out, err


def _content(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read(FILE_BYTES).decode(errors="replace")
