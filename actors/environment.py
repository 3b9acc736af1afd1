"""Environment variables that the driver hands over to a worker."""

import os
from collections.abc import Mapping


def take_over(variables: Mapping[str, str]) -> None:
    """Set those that this process lacks. Call it before the libraries that read them are imported."""
    for name, value in variables.items():
        os.environ.setdefault(name, value)
