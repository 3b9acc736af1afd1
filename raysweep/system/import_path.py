"""Imports a user's own code by the import path in a configuration: `my_package.my_module.name`.

Python must find it: in the folder where raysweep is started, on PYTHONPATH, or as an installed package.
Actors and workers must find the same code, so on a cluster it has to be installed on every node.
"""

import importlib
from typing import Any


def load(path: str) -> Any:
    """The object at an import path. Raises ValueError if it cannot be imported."""
    module_name, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"{path!r} cannot be imported ({error})") from error
