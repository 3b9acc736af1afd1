"""raysweep's own code for nodes that lack it, sent by Ray's runtime environment.

What is sent has the content of the wheel: the two packages, with configuration and models inside. The
packages that they import are not sent, so nodes need these already.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

from actors.node_report import OURS
from raysweep.configuration.config import conf_folder

NOT_SENT = shutil.ignore_patterns("__pycache__", "*.pyc")


@contextmanager
def packed_code() -> Iterator[list[str]]:
    """Folders for `py_modules` of a runtime environment. They are needed until Ray is connected."""
    with TemporaryDirectory(prefix="raysweep-code-") as folder:
        yield [str(path) for path in _copies(Path(folder))]


def _copies(folder: Path) -> Iterator[Path]:
    for name in OURS:
        (source,) = import_module(name).__path__
        shutil.copytree(source, folder / name, ignore=NOT_SENT)
        yield folder / name
    beside = conf_folder()
    for data in ("conf", "models"):  # In a checkout they lie beside the packages.
        source, target = beside.parent / data, folder / "raysweep" / data
        if source.is_dir() and not target.exists():
            shutil.copytree(source, target, ignore=NOT_SENT)
