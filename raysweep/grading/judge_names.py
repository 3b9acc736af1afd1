"""The names that a program finds in LiveCodeBench's judge without importing them.

That judge puts star imports of a dozen modules, and the modules, before each program: starter code says
`List[int]` and imports nothing. Here a program gets those of them that it uses and does not define, so
that one which imports what it needs does not wait for the others.
"""

import builtins
import importlib
import symtable
from collections.abc import Iterator
from functools import cache

# In the judge's order: of two modules that export a name, the later one gives it.
MODULES = (
    *("string", "re", "datetime", "collections", "heapq", "bisect", "copy", "math", "random"),
    *("statistics", "itertools", "functools", "operator", "io", "sys", "json"),
)
STARRED = (*MODULES, "typing")


@cache
def imports() -> dict[str, str]:
    """For each name that the judge provides, the statement that does."""
    starred = {
        name: f"from {module} import {name}" for module in STARRED for name in exported(module)
    }
    known = starred | {module: f"import {module}" for module in MODULES}
    return {name: how for name, how in known.items() if not hasattr(builtins, name)}


def exported(module: str) -> list[str]:
    """The names that a star import takes."""
    names = vars(importlib.import_module(module))
    return list(names.get("__all__") or (name for name in names if not name.startswith("_")))


def imports_for(program: str) -> str:
    """The statements that give a program the names of the judge that it uses and does not define."""
    known = imports()
    return "\n".join(known[name] for name in sorted(undefined(program) & known.keys()))


def undefined(program: str) -> set[str]:
    """Global names that a program uses and never binds; none if it is no Python."""
    try:
        module = symtable.symtable(program, "program", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    symbols = [symbol for symbol in all_symbols(module) if symbol.is_global()]
    used = {symbol.get_name() for symbol in symbols if symbol.is_referenced()}
    return used - {
        symbol.get_name() for symbol in symbols if symbol.is_assigned() or symbol.is_imported()
    }


def all_symbols(table: symtable.SymbolTable) -> Iterator[symtable.Symbol]:
    """Those of a scope and of all scopes within."""
    yield from table.get_symbols()
    for inner in table.get_children():
        yield from all_symbols(inner)
