"""What a user wrote, by the import path that a configuration gives: `my_package.my_module.name`.

It may lie wherever Python looks: in the folder in which raysweep is started, on PYTHONPATH, or installed.
Actors and workers must find the same, so that on a cluster it is installed on every node.
"""

import importlib
from typing import Any


def load(path: str) -> Any:
    """The thing of that name in its module. Raises ValueError if there is none."""
    module_name, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"{path!r} cannot be imported ({error})") from error
