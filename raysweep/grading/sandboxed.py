"""What runs inside the sandbox: a program under limits, with one test. Needs Python alone.

    python sandboxed.py PROGRAM LIMITS USER GRADER [FUNCTION]

PROGRAM is a file, LIMITS a JSON object of resource limits by name, USER an id to become (0: none needed),
GRADER an open pipe whose other end the grader holds: one that has died will not end the program later.
Without FUNCTION the program reads standard input and writes standard output. With it, the lines of
standard input are its arguments in JSON, and its result is written as JSON. The first line on standard
error says that the sandbox stands.
"""

import json
import os
import resource
import select
import sys
from typing import Any

STARTED = "sandbox: started"


def main() -> None:
    program, limits, user = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
    for name, most in limits.items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (most, most))
    if user:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    if hung_up(int(sys.argv[4])):
        sys.exit("the grader is gone")
    print(STARTED, file=sys.stderr, flush=True)
    sys.setrecursionlimit(50_000)
    with open(program) as file:
        source = file.read()
    names: dict[str, Any] = {"__name__": "__main__"}
    if len(sys.argv) < 6:
        exec(compile(source, program, "exec"), names)
        return
    arguments = [json.loads(line) for line in sys.stdin.read().splitlines() if line.strip()]
    names["__name__"] = "solution"
    result_to, sys.stdout = sys.stdout, sys.stderr  # what the program prints is no result
    exec(compile(source, program, "exec"), names)
    result_to.write(json.dumps(called(names, sys.argv[5])(*arguments)))


def hung_up(pipe: int) -> bool:
    """Whether nobody holds the other end any more; closes this one."""
    watched = select.poll()
    watched.register(pipe, select.POLLIN)
    ended = bool(watched.poll(0))
    os.close(pipe)
    return ended


def called(names: dict[str, Any], function: str) -> Any:
    """The function, or the method of that name of a class Solution, as some judges ask for."""
    if function in names:
        return names[function]
    return getattr(names["Solution"](), function)


if __name__ == "__main__":
    main()
