"""Which system calls a sandboxed program may not make: a filter of seccomp, as bubblewrap takes it.

A program stays one process, with threads, as it does under LiveCodeBench's own judge, which takes `fork`
and `subprocess` away too. So the limit of addresses per process is the limit of all its memory. It cannot
enter or make a namespace, whoever started the sandbox: in a user namespace of its own it would mount file
systems without limits. And it holds no memory that no process maps: shared segments, message queues and
files in memory without a name.

The filter is a program of the classic BPF, eight bytes an instruction (linux/filter.h, linux/seccomp.h).
"""

import errno
import platform
import struct
from dataclasses import dataclass

# linux/filter.h: load a word of the call, and jump if it equals, is at least, or has any bit of a number.
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER_AT, ARCHITECTURE_AT, FLAGS_AT = 0, 4, 16
ALLOWED, KILLED = 0x7FFF0000, 0x80000000
CLONE_THREAD = 0x00010000
# Numbers from here on are calls of x86_64's second interface (x32), which has them all again.
SECOND_INTERFACE = 0x40000000


@dataclass(frozen=True)
class Machine:
    """A kind of processor: its number in linux/audit.h, and its numbers of system calls.

    clone   makes threads and processes
    clone3  the same, with flags where no filter sees them; told to be missing, so that libraries use `clone`
    denied  fork, vfork, unshare, setns, shmget, msgget, semget, memfd_create, memfd_secret, io_uring_setup
    """

    audit: int
    clone: int
    denied: tuple[int, ...]
    clone3: int = 435


MACHINES = {
    "x86_64": Machine(0xC000003E, 56, (57, 58, 272, 308, 29, 68, 64, 319, 447, 425)),
    "aarch64": Machine(0xC00000B7, 220, (97, 268, 194, 186, 190, 279, 447, 425)),
}


def seccomp_filter() -> bytes | None:
    """The filter for this machine. None if its numbers of system calls are not known here."""
    machine = MACHINES.get(platform.machine())
    return None if machine is None else _program(machine)


def _program(machine: Machine) -> bytes:
    return b"".join(
        [
            _step(LOAD, ARCHITECTURE_AT),
            *_answer_unless(EQUAL, machine.audit, KILLED),
            _step(LOAD, NUMBER_AT),
            *_answer_if(AT_LEAST, SECOND_INTERFACE, _error(errno.EPERM)),
            *_answer_if(EQUAL, machine.clone3, _error(errno.ENOSYS)),
            *(
                step
                for number in machine.denied
                for step in _answer_if(EQUAL, number, _error(errno.EPERM))
            ),
            *_answer_unless(EQUAL, machine.clone, ALLOWED),
            _step(LOAD, FLAGS_AT),
            *_answer_unless(ANY_BIT, CLONE_THREAD, _error(errno.EPERM)),
            _step(RETURN, ALLOWED),
        ]
    )


def _error(number: int) -> int:
    return 0x00050000 | number


def _answer_if(jump: int, value: int, answer: int) -> tuple[bytes, bytes]:
    return _step(jump, value, 0, 1), _step(RETURN, answer)


def _answer_unless(jump: int, value: int, answer: int) -> tuple[bytes, bytes]:
    return _step(jump, value, 1, 0), _step(RETURN, answer)


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """One instruction; the jumps skip so many of the next ones."""
    return struct.pack("=HBBI", code, if_true, if_false, value)
