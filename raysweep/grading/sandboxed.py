"""What runs inside the sandbox: a program under limits, with one test. Needs Python alone.

    python sandboxed.py PROGRAM LIMITS USER GRADER IMPORTS [FUNCTION]

PROGRAM is a file, LIMITS a JSON object of resource limits by name, USER an id to become (0: none needed),
GRADER an open pipe whose other end the grader holds: one that has died will not end the program later.
IMPORTS are statements that are run before the program, in its module. Without FUNCTION the program reads
standard input and writes standard output. With it, standard input holds its arguments, JSON values one
after another, and its result is written as JSON. The first line on standard error says that the sandbox
stands.
"""

import json
import os
import resource
import select
import sys
from collections.abc import Iterator
from numbers import Number
from types import ModuleType
from typing import Any, SupportsFloat

STARTED = "sandbox: started"


def main() -> None:
    program, limits, user, grader, imports, *function = sys.argv[1:]
    limit(json.loads(limits))
    become(int(user))
    if hung_up(int(grader)):
        sys.exit("the grader is gone")
    print(STARTED, file=sys.stderr, flush=True)
    sys.setrecursionlimit(50_000)
    sys.set_int_max_str_digits(0)
    sys.argv = [program]
    if not function:
        run(program, imports, "__main__")
        return
    given = list(arguments(sys.stdin.read()))
    with result_file() as result:
        solved = called(run(program, imports, "solution"), function[0])(*given)
        result.write(json.dumps(solved, default=plain))


def limit(limits: dict[str, int]) -> None:
    """Set limits of resources, each as low as the one that holds already."""
    for name, most in limits.items():
        kind = getattr(resource, f"RLIMIT_{name}")
        least = at_most(kind, most)
        resource.setrlimit(kind, (least, least))


def at_most(kind: int, most: int) -> int:
    """`most`, or the hard limit of that kind if it is lower: no process may raise that."""
    hard = resource.getrlimit(kind)[1]
    return most if hard == resource.RLIM_INFINITY else min(most, hard)


def become(user: int) -> None:
    if user:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)


def hung_up(pipe: int) -> bool:
    """Whether nobody holds the other end any more; closes this one."""
    watched = select.poll()
    watched.register(pipe, select.POLLIN)
    ended = bool(watched.poll(0))
    os.close(pipe)
    return ended


def run(program: str, imports: str, name: str) -> ModuleType:
    """The program as a module of that name, which has run."""
    module = sys.modules[name] = ModuleType(name)
    module.__file__ = program
    with open(program, encoding="utf-8") as file:
        source = file.read()
    exec(imports, module.__dict__)
    exec(compile(source, program, "exec"), module.__dict__)
    return module


def arguments(text: str) -> Iterator[Any]:
    """The JSON values in the text; any space or line end may part them."""
    decoder, rest = json.JSONDecoder(), text.strip()
    while rest:
        value, end = decoder.raw_decode(rest)
        yield value
        rest = rest[end:].lstrip()


def result_file() -> Any:
    """Standard output, which is the result's alone: what the program prints goes to /dev/null."""
    result = os.fdopen(os.dup(1), "w")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return result


def called(module: ModuleType, function: str) -> Any:
    """The method of that name of a class Solution, as some judges ask for, or else the function."""
    names = vars(module)
    if hasattr(names.get("Solution"), function):
        return getattr(names["Solution"](), function)
    return names[function]


def plain(value: Any) -> Any:
    """A number of another type than JSON knows, such as one of NumPy or a fraction."""
    if getattr(value, "shape", None) == ():
        return value.item()
    if isinstance(value, Number) and isinstance(value, SupportsFloat):
        return float(value)
    raise TypeError(f"{type(value).__name__} is no JSON")


if __name__ == "__main__":
    main()
