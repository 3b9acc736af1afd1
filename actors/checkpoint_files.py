"""A checkpoint's files on this worker: fetched if they are elsewhere, published once they are complete.

A new checkpoint is written to a temporary folder on the same disk, and renamed when it is complete. Object
stores cannot rename, so there the manifest is written last. So no later run trusts half a checkpoint.
"""

import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from pyarrow import fs

from actors.checkpoint_cache import fetched
from actors.waits import waiting
from raysweep.checkpoints.engine_files import MANIFEST, is_there
from raysweep.checkpoints.hub import repository_of
from raysweep.spec import Checkpoint
from raysweep.system.held_folder import held, is_left_over

TEXTS = ["*.json", "*.jinja", "*.txt", "*.model"]
UNFINISHED = re.compile(r"\.[0-9a-f]+\.([0-9a-f]{32}){1,2}\.tmp")
WANTED = [*TEXTS, "*.safetensors"]  # neither pickles nor code


def local_folder(checkpoint: Checkpoint) -> str:
    """The folder with the checkpoint's files, which are fetched first if they are elsewhere."""
    if repository := repository_of(checkpoint.path):
        return _from_hub(repository, checkpoint.revision, WANTED)
    if "://" not in checkpoint.path:
        return checkpoint.path
    with waiting():
        return str(fetched(checkpoint))


def tokenizer_folder(checkpoint: Checkpoint) -> str:
    """A folder with the checkpoint's tokenizer. Its weights are not fetched from the hub."""
    if repository := repository_of(checkpoint.path):
        return _from_hub(repository, checkpoint.revision, TEXTS)
    return local_folder(checkpoint)


def _from_hub(repository: str, revision: str, patterns: list[str]) -> str:
    from huggingface_hub import snapshot_download

    with waiting():
        return snapshot_download(repository, revision=revision, allow_patterns=patterns)


@contextmanager
def making(checkpoint: Checkpoint, session: str = "") -> Iterator[Path]:
    """An empty folder to make the checkpoint in; it is published if the context ends without an error.

    session  names the temporary folder, so that `remove_leftovers` finds it if this process is killed
    """
    if "://" in checkpoint.path:
        with TemporaryDirectory() as folder:
            yield Path(folder)
            _write_manifest(Path(folder))
            _upload(Path(folder), checkpoint.path)
        return
    target = Path(checkpoint.path)
    with _new_folder_beside(target, session) as aside:
        yield aside
        _write_manifest(aside)
        if not is_there(checkpoint):  # otherwise another run was faster
            _move(aside, target)


def remove_leftovers(checkpoint: Checkpoint, session: str) -> None:
    """Remove what killed processes of a session left beside a checkpoint on this machine's disk."""
    target = Path(checkpoint.path)
    for aside in target.parent.glob(f".{target.name}.{session}*.tmp"):
        shutil.rmtree(aside, ignore_errors=True)


def remove_all_leftovers(folder: Path) -> None:
    """Remove what killed processes of any session left in a folder of checkpoints on this machine's disk."""
    for aside in folder.glob(".*.tmp"):
        if UNFINISHED.fullmatch(aside.name) and is_left_over(aside):
            shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def _new_folder_beside(target: Path, session: str = "") -> Iterator[Path]:
    """A new folder on the target's disk, removed at the end unless it was moved."""
    aside = target.parent / f".{target.name}.{session}{uuid.uuid4().hex}.tmp"
    aside.mkdir(parents=True)
    try:
        with held(aside):
            yield aside
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _move(aside: Path, target: Path) -> None:
    """Rename into place; a folder that is already there is incomplete, and is removed."""
    if target.exists():
        damaged = target.parent / f".{target.name}.{uuid.uuid4().hex}.tmp"
        target.rename(damaged)
        shutil.rmtree(damaged)
    aside.rename(target)


def _write_manifest(folder: Path) -> None:
    sizes = {file.name: file.stat().st_size for file in sorted(folder.iterdir())}
    for name in sizes:
        with (folder / name).open("rb") as file:
            os.fsync(file.fileno())
    (folder / MANIFEST).write_text(json.dumps({"files": sizes}, indent=2) + "\n")


def _upload(folder: Path, address: str) -> None:
    filesystem, path = fs.FileSystem.from_uri(address)
    filesystem.create_dir(path)
    names = sorted(file.name for file in folder.iterdir())
    for name in sorted(names, key=lambda name: name == MANIFEST):
        fs.copy_files(str(folder / name), f"{path}/{name}", destination_filesystem=filesystem)
