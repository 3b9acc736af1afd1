"""Damaged files: the error that names one, and the new name under which it is kept.

A damaged part is renamed, so nothing is lost, it counts no more, and its samples are made again. Readers of
data sets ignore files whose names begin with an underscore.
"""

import pyarrow as pa

from raysweep.errors import ConfigError
from raysweep.storage.files import Folder

# What reading a damaged part may raise.
Damage = (pa.ArrowException, ConfigError, KeyError, ValueError)


class DamagedPartError(ConfigError):
    """The file `name` in the run's folder should be a part but cannot be read as one."""

    def __init__(self, name: str, path: str, reason: object):
        super().__init__(
            f"{path}: is not a whole part of a run ({reason}); remove it, and its samples are made again"
        )
        self.name, self.reason = name, reason


def set_aside(folder: Folder, name: str) -> str:
    """Rename a damaged file, so that it is one no more. Gives its new name."""
    folder.move(name, aside_name(name))
    return aside_name(name)


def aside_name(name: str) -> str:
    """The name of a damaged file that was set aside."""
    place, slash, own = name.rpartition("/")
    return f"{place}{slash}_{own}.damaged"
